import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { REGISTRY, REGISTRY_PORT, Web } from '../build/web.ts';
import { canRun, Testbed } from '../engine/testbed.ts';
import { Driver, driveAll } from './drive.ts';
import { type Operation, Swagger, swaggerMissing } from './swagger.ts';

const reason = canRun ? swaggerMissing : 'needs root on Linux';
const TABLE = join(import.meta.dirname, '../../docs/api.md');

describe.skipIf(reason)(
  `every operation of the API (${reason ? `skipped: ${reason}` : 'by the specification'})`,
  () => {
    let bed: Testbed;
    let driver: Driver;
    let swagger: Swagger;
    const web = new Web();

    beforeAll(async () => {
      swagger = new Swagger();
      bed = new Testbed();
      await bed.start();
      await web.startRegistry(bed, REGISTRY_PORT);
      driver = new Driver(swagger, bed.socket);
      await driveAll(driver, REGISTRY);
      await driver.driveRest();
    }, 240_000);

    afterAll(async () => {
      await web[Symbol.asyncDispose]();
      await bed?.[Symbol.asyncDispose]();
    });

    it('is answered with a status and a body that the specification has', () => {
      const problems = [...driver.seen.values()].flatMap((seen) => seen.problems);
      expect(problems).toEqual([]);
    });

    it('is there, but for what needs a swarm or BuildKit', () => {
      const cluster = ['Swarm', 'Node', 'Service', 'Task', 'Secret', 'Config', 'Session'];
      const missing = swagger.operations.filter(
        (operation) =>
          !cluster.includes(operation.tag) &&
          verdict(driver.seen.get(operation)?.statuses ?? [], operation) === 'refused' &&
          // dockerd's own answer to a standalone engine: only cluster volumes can be updated.
          !(operation.method === 'PUT' && operation.path === '/volumes/{name}'),
      );
      expect(missing.map(({ method, path }) => `${method} ${path}`)).toEqual([]);
    });

    it('is in the table of docs/api.md, as it was seen', () => {
      const table = tableOf(swagger, driver);
      if (process.env.UPDATE_API_TABLE) writeFileSync(TABLE, table);
      expect(readFileSync(TABLE, 'utf8')).toBe(table);
    });
  },
);

type Verdict = 'implemented' | 'refused';

function verdict(statuses: readonly number[], operation: Operation): Verdict {
  if (statuses.some((status) => status < 400)) return 'implemented';
  return operation.path === '/images/search' ? 'implemented' : 'refused';
}

function tableOf(swagger: Swagger, driver: Driver): string {
  const rows = swagger.operations.map((operation) => {
    const seen = driver.seen.get(operation);
    const statuses = [...new Set(seen?.statuses ?? [])].sort((a, b) => a - b);
    const words = verdict(statuses, operation) === 'implemented' ? 'yes' : 'refused, as a standalone engine';
    return `| ${operation.tag} | \`${operation.method} ${operation.path}\` | ${words} | ${statuses.join(', ')} |`;
  });
  const count = (word: string) => rows.filter((row) => row.includes(`| ${word}`)).length;
  return [
    '# The API, operation by operation',
    '',
    `Made by \`test/api/conformance.test.ts\` (\`UPDATE_API_TABLE=1\` writes it), which drives every operation of Docker's specification,`,
    `version ${swagger.version}, against the engine and checks each status and body against the specification. \`GET /images/search\` needs Docker Hub.`,
    '',
    `${count('yes')} implemented, ${count('refused')} refused as a standalone dockerd refuses them, or because the engine has no swarm mode.`,
    '',
    '| Tag | Operation | Implemented | Statuses seen |',
    '|---|---|---|---|',
    ...rows,
    '',
  ].join('\n');
}
