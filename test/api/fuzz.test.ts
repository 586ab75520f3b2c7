import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { makePlugin } from '../engine/sample-plugin.ts';
import { canRun, Testbed } from '../engine/testbed.ts';
import { call } from './http.ts';
import { Random } from './random.ts';
import { type Operation, type Schema, Swagger, swaggerMissing } from './swagger.ts';

const reason = canRun ? swaggerMissing : 'needs root on Linux';
const REQUESTS = 10_000;
const AT_ONCE = 8;
/** Streams without an end are left after this. */
const PATIENCE_MS = 400;
const ENOUGH = 4096;
const SEED = Number(process.env.SKIFF_FUZZ_SEED ?? 1);

/** Operations that go out to a registry or a server, which a made-up name makes fail; `ps` with made-up arguments and what is wrong
 * with plugins, which dockerd answers with 500 too; and what a standalone engine refuses (with 503 elsewhere as well). */
const MAY_FAIL =
  /^\/(containers\/.*top|images\/(create|search|.*push)|distribution|auth|build|swarm|nodes|services|tasks|secrets|configs|plugins)/;

/** What no answer may say: a mistake of the engine's. */
const MISTAKE =
  /Cannot (read|set|convert|destructure)|is not (a function|iterable|defined|a constructor)|must be of type/;

const WORDS = [
  'driven',
  'skiff/welcome',
  'bridge',
  'x',
  '',
  ' ',
  '..',
  '../../etc/passwd',
  '%2e%2e',
  'ünï\u{1f680}',
  '\u0000',
  '-1',
  '"',
  `a'b`,
];
const JUNK: readonly unknown[] = [
  null,
  true,
  false,
  0,
  -1,
  1.5,
  1e308,
  2 ** 53,
  '',
  'x',
  '\ud800',
  [],
  {},
  [[]],
  [null],
  { '': null },
  'ÿ'.repeat(70_000),
  deep(400),
];

function deep(levels: number): unknown {
  let value: unknown = 1;
  for (let level = 0; level < levels; level++) value = level % 2 === 0 ? [value] : { a: value };
  return value;
}

describe.skipIf(reason)(`${REQUESTS} malformed requests (${reason ? `skipped: ${reason}` : `seed ${SEED}`})`, () => {
  let bed: Testbed;
  const swagger = reason ? undefined : new Swagger();
  const random = new Random(SEED);

  beforeAll(async () => {
    bed = new Testbed();
    await bed.start();
    await bed.ok('create', '--name', 'driven', 'skiff/welcome');
    const folder = mkdtempSync(join(tmpdir(), 'skiff-fuzz-plugin-'));
    makePlugin(folder);
    await bed.ok('plugin', 'create', 'driven', folder);
    rmSync(folder, { recursive: true, force: true });
  }, 120_000);
  afterAll(() => bed?.[Symbol.asyncDispose]());

  it('do not crash the engine, find no error of its own, and leave nothing behind', { timeout: 300_000 }, async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE });
    const operations = swagger!.operations.filter(({ path }) => path !== '/session');
    const image = (await call(bed.socket, 'GET', '/images/skiff/welcome/get')).body;
    const before = { files: openFiles(bed.pid), memory: residentMb(bed.pid) };
    const faults: string[] = [];
    let sent = 0;
    const worker = async () => {
      while (sent < REQUESTS) {
        sent++;
        const made = makeRequest(random.pick(operations), swagger!, random);
        const outcome = await send(bed.socket, agent, made);
        if (outcome && isFault(outcome, made)) {
          const { method, path, body } = made;
          const request = `${method} ${path.slice(0, 200)} ${body?.toString('utf8').slice(0, 300) ?? ''}`;
          faults.push(`${outcome.status} ${request}: ${outcome.text.slice(0, 200)}`);
        }
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    agent.destroy();
    expect(faults).toEqual([]);
    expect((await call(bed.socket, 'GET', '/_ping')).status).toBe(200);
    for (const id of (await bed.ok('ps', '-aq')).split('\n').filter(Boolean)) await bed.docker(['rm', '-f', id]);
    // Some request may well have removed it.
    await call(bed.socket, 'POST', '/images/load', { body: image });
    expect(await bed.ok('run', '--rm', '--entrypoint', 'echo', 'skiff/welcome', 'still here')).toBe('still here');
    await expect.poll(() => openFiles(bed.pid), { timeout: 30_000 }).toBeLessThan(before.files + 40);
    expect(residentMb(bed.pid)).toBeLessThan(before.memory + 400);
  });
});

interface Outcome {
  readonly status: number;
  /** The beginning of the body. */
  readonly text: string;
}

function isFault({ status, text }: Outcome, { template }: Made): boolean {
  if (status < 500) return false;
  return MISTAKE.test(text) || (status !== 501 && status !== 503 && !MAY_FAIL.test(template));
}

interface Made {
  readonly method: string;
  readonly template: string;
  readonly path: string;
  readonly body: Buffer | undefined;
}

function makeRequest(operation: Operation, swagger: Swagger, random: Random): Made {
  const word = () => encodeURIComponent(random.pick(WORDS).replace(/\ud800/g, ''));
  const filled = operation.path.replace(/\{\w+\}/g, () => (random.chance(0.5) ? 'driven' : word() || 'x'));
  const query = operation.query
    .filter(() => random.chance(0.5))
    .map(
      (name) =>
        `${name}=${random.chance(0.3) ? encodeURIComponent(JSON.stringify(random.pick(JUNK)).slice(0, 500)) : word()}`,
    );
  const version = random.pick(['', '/v1.24', '/v1.44', `/v${swagger.version}`, '/v9.9', '/vx']);
  const method = random.chance(0.03)
    ? random.pick(['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'])
    : operation.method;
  const path = `${version}${filled}${query.length > 0 ? `?${query.join('&')}` : ''}`;
  return { method, template: operation.path, path, body: makeBody(operation, swagger, random) };
}

function makeBody(operation: Operation, swagger: Swagger, random: Random): Buffer | undefined {
  if (operation.method === 'GET' || operation.method === 'HEAD' || random.chance(0.1)) return undefined;
  const kind = random.next();
  if (kind < 0.1) return Buffer.from(Array.from({ length: random.below(2000) }, () => random.below(256)));
  const value = kind < 0.2 ? random.pick(JUNK) : operation.body ? fromSchema(operation.body, swagger, random, 0) : {};
  const text = JSON.stringify(value) ?? '';
  return Buffer.from(random.chance(0.05) ? text.slice(0, random.below(text.length + 1)) : text);
}

/** A document of the schema in which here and there something is wrong. */
function fromSchema(schema: Schema, swagger: Swagger, random: Random, depth: number): unknown {
  if (random.chance(0.12)) return random.pick(JUNK);
  const resolved = swagger.resolve(schema);
  if (Array.isArray(resolved.allOf)) {
    return Object.assign({}, ...resolved.allOf.map((part: Schema) => fromSchema(part, swagger, random, depth)));
  }
  if (depth > 6) return random.pick(JUNK);
  switch (resolved.type) {
    case 'string':
      return Array.isArray(resolved.enum) && random.chance(0.7) ? random.pick(resolved.enum) : random.pick(WORDS);
    case 'integer':
    case 'number':
      return random.pick([0, 1, -1, 100, 2 ** 31, -(2 ** 62)]);
    case 'boolean':
      return random.chance(0.5);
    case 'array':
      return Array.from({ length: random.below(3) }, () =>
        fromSchema((resolved.items ?? {}) as Schema, swagger, random, depth + 1),
      );
    default: {
      const properties = Object.entries((resolved.properties ?? {}) as Record<string, Schema>);
      const chosen = properties.filter(() => random.chance(depth === 0 ? 0.3 : 0.5));
      const entries = chosen.map(([name, of]): [string, unknown] => [name, fromSchema(of, swagger, random, depth + 1)]);
      if (resolved.additionalProperties && typeof resolved.additionalProperties === 'object') {
        entries.push([
          random.pick(WORDS),
          fromSchema(resolved.additionalProperties as Schema, swagger, random, depth + 1),
        ]);
      }
      if (depth === 0 && random.chance(0.5)) entries.push(['Image', 'skiff/welcome']);
      return Object.fromEntries(entries);
    }
  }
}

/** @returns undefined when the answer had no end, or the connection was closed on a request that isn't HTTP */
function send(socketPath: string, agent: Agent, { method, path, body }: Made): Promise<Outcome | undefined> {
  return new Promise((resolve) => {
    const headers = body ? { 'Content-Type': 'application/json', 'Content-Length': body.length } : {};
    const outgoing = request({ socketPath, agent, method, path, headers }, (response) => {
      let text = '';
      const answered = () => resolve({ status: response.statusCode ?? 0, text });
      response.on('data', (chunk: Buffer) => {
        if (text.length < ENOUGH) text += chunk.toString('utf8');
      });
      response.on('end', answered);
      response.on('error', answered);
    });
    const timer = setTimeout(() => {
      outgoing.destroy();
      resolve(undefined);
    }, PATIENCE_MS);
    outgoing.on('error', () => resolve(undefined));
    outgoing.on('close', () => clearTimeout(timer));
    outgoing.end(body);
  });
}

const openFiles = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length;

const residentMb = (pid: number): number =>
  Number(/^VmRSS:\s*(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
