import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { dockerCompose } from '../../scripts/setup.mjs';
import { canRun, type Outcome, Testbed } from '../engine/testbed.ts';

/** Two networks, aliases, a health check that others wait for, a named volume, a bind, a published port. */
const PROJECT = `
services:
  db:
    image: skiff/welcome
    command: sh -c "sleep 1; touch /ready; exec sleep 1000"
    stop_signal: SIGKILL
    healthcheck:
      test: test -f /ready
      interval: 500ms
      retries: 60
    networks:
      back:
        aliases: [database]
        ipv4_address: 10.95.0.50
    volumes: [data:/data]
  web:
    image: skiff/welcome
    stop_signal: SIGKILL
    depends_on:
      db: { condition: service_healthy }
    networks: [front, back]
    ports: ["127.0.0.1:8200-8209:80"]
    environment: { GREETING: hello }
    volumes:
      - ./site:/site:ro
      - { type: tmpfs, target: /scratch, tmpfs: { size: 1048576 } }
  job:
    image: skiff/welcome
    command: sh -c "echo done > /data/job"
    networks: [back]
    volumes: [data:/data]
  probe:
    image: skiff/welcome
    command: sleep 1000
    stop_signal: SIGKILL
    depends_on:
      job: { condition: service_completed_successfully }
      web: { condition: service_started }
    networks: [front]
    extra_hosts: ["host.docker.internal:host-gateway"]
networks:
  front: {}
  back:
    internal: true
    ipam: { config: [{ subnet: 10.95.0.0/24 }] }
volumes:
  data: { labels: { kept: "yes" } }
`;

const LIMIT_MS = 60_000;
const program = dockerCompose();

describe.skipIf(!canRun || !program)(
  "docker compose (skipped without root on Linux or without Debian's docker-compose, which scripts/setup.mjs --test-tools fetches)",
  () => {
    let bed: Testbed;
    const folder = mkdtempSync(join(tmpdir(), 'skiff-compose-'));
    const compose = (...args: string[]): Promise<Outcome> =>
      new Promise((resolve) => {
        execFile(
          program ?? '',
          ['-p', 'shop', '--progress', 'plain', ...args],
          { cwd: folder, timeout: LIMIT_MS, env: { ...process.env, DOCKER_HOST: `unix://${bed.socket}` } },
          (error, stdout, stderr) =>
            resolve({ code: error ? (typeof error.code === 'number' ? error.code : 255) : 0, stdout, stderr }),
        );
      });
    const ok = async (...args: string[]) => {
      const { code, stdout, stderr } = await compose(...args);
      expect(code, `compose ${args.join(' ')}: ${stderr}`).toBe(0);
      return stdout.trim();
    };

    beforeAll(async () => {
      bed = new Testbed();
      await bed.start();
      writeFileSync(join(folder, 'compose.yaml'), PROJECT);
      mkdirSync(join(folder, 'site'));
      await bed.ok('volume', 'ls');
    });
    afterAll(async () => {
      rmSync(folder, { recursive: true, force: true });
      await bed[Symbol.asyncDispose]();
    });

    test('a project of several networks, aliases, health, volumes and jobs comes up in its order and works', async () => {
      await ok('up', '-d', '--scale', 'web=3');
      expect((await ok('ps', '--services', '--status', 'running')).split('\n').sort()).toEqual(['db', 'probe', 'web']);
      const page = await ok('exec', '-T', 'probe', 'wget', '-T', '5', '-qO-', 'http://web/');
      expect(page).toContain('<html');
      const answers = await ok('exec', '-T', 'probe', 'nslookup', 'web');
      expect(answers.match(/^Address: \d/gm)).toHaveLength(3);
      expect(await ok('exec', '-T', 'web', 'nslookup', 'database')).toContain('10.95.0.50');
      expect((await compose('exec', '-T', 'probe', 'nslookup', 'database')).stdout).not.toContain('10.95.0.50');
      expect(await ok('exec', '-T', 'db', 'cat', '/data/job')).toBe('done');
      expect(await ok('exec', '-T', 'web', 'sh', '-c', 'echo $GREETING; df -k /scratch | tail -1')).toMatch(
        /^hello\ntmpfs +1024 /,
      );
      const port = (await ok('port', 'web', '80')).split(':')[1];
      const get = `fetch('http://127.0.0.1:${port}/').then((r) => r.text()).then(console.log)`;
      expect((await bed.inNetwork(process.execPath, ['-e', get])).stdout).toContain('<html');
    });

    test('a second up changes nothing, scaling takes containers and their names away, down leaves the volume', async () => {
      const before = await ok('ps', '-q');
      await ok('up', '-d', '--scale', 'web=3');
      expect(await ok('ps', '-q')).toBe(before);
      await ok('up', '-d', '--scale', 'web=1');
      expect((await ok('exec', '-T', 'probe', 'nslookup', 'web')).match(/^Address: \d/gm)).toHaveLength(1);
      await ok('restart', '-t', '0', 'web');
      expect(await ok('exec', '-T', 'probe', 'wget', '-T', '5', '-qO-', 'http://web/')).toContain('<html');
      await ok('down', '-t', '0');
      expect(await bed.ok('ps', '-aq')).toBe('');
      expect(await bed.ok('network', 'ls', '-q', '--filter', 'type=custom')).toBe('');
      expect(await bed.ok('volume', 'ls', '-q', '--filter', 'label=kept=yes')).toBe('shop_data');
      await ok('down', '-v');
      expect(await bed.ok('volume', 'ls', '-q')).toBe('');
    });
  },
);
