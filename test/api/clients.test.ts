import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { dockerCli, olderDockerClients } from '../../scripts/setup.mjs';
import { canRun, type Outcome, Testbed } from '../engine/testbed.ts';

const older = olderDockerClients();
const reason = canRun
  ? older
    ? undefined
    : 'docker 20.10 and compose 1.29 are not to be had here'
  : 'needs root on Linux';

describe.skipIf(reason)(
  `clients of other years (${reason ? `skipped: ${reason}` : 'docker 20.10, compose 1.29'})`,
  () => {
    let bed: Testbed;
    const folder = mkdtempSync(join(tmpdir(), 'skiff-clients-'));

    const run = (program: string, args: readonly string[]) =>
      new Promise<Outcome>((resolve) => {
        const env = { ...process.env, DOCKER_HOST: `unix://${bed.socket}`, PYTHONPATH: older?.pythonPath ?? '' };
        execFile(program, args, { timeout: 60_000, env, cwd: folder }, (error, stdout, stderr) => {
          resolve({ code: error ? (typeof error.code === 'number' ? error.code : 255) : 0, stdout, stderr });
        });
      });

    beforeAll(async () => {
      bed = new Testbed();
      await bed.start();
    }, 60_000);
    afterAll(async () => {
      rmSync(folder, { recursive: true, force: true });
      await bed?.[Symbol.asyncDispose]();
    });

    it('negotiate their version', async () => {
      const version = ['version', '--format', '{{.Client.APIVersion}}'];
      expect((await run(older!.docker, version)).stdout).toBe('1.41\n');
      expect((await run(dockerCli(), version)).stdout.trim()).toMatch(/^1\.(4[4-9]|5[01])$/);
    });

    it('run, build, list, log, stop and remove as ever', async () => {
      const { docker } = older!;
      writeFileSync(join(folder, 'Dockerfile'), 'FROM skiff/welcome\nRUN echo built > /built\nCMD cat /built\n');
      expect(await run(docker, ['build', '-q', '-t', 'old', '.'])).toMatchObject({ code: 0 });
      expect(await run(docker, ['run', '--rm', 'old'])).toMatchObject({ code: 0, stdout: 'built\n' });
      expect(await run(docker, ['run', '-d', '--name', 'page', '-P', 'skiff/welcome'])).toMatchObject({ code: 0 });
      expect((await run(docker, ['ps', '--format', '{{.Names}} {{.Ports}}'])).stdout).toMatch(/^page .*->80\/tcp/);
      expect((await run(docker, ['exec', 'page', 'hostname'])).code).toBe(0);
      expect((await run(docker, ['logs', 'page'])).code).toBe(0);
      expect((await run(docker, ['stats', '--no-stream', '--format', '{{.Name}}', 'page'])).stdout).toBe('page\n');
      expect((await run(docker, ['cp', 'page:/etc/hostname', join(folder, 'hostname')])).code).toBe(0);
      expect((await run(docker, ['system', 'df'])).stdout).toContain('Images');
      expect((await run(docker, ['stop', '-t', '1', 'page'])).code).toBe(0);
      expect((await run(docker, ['rm', 'page'])).code).toBe(0);
    });

    it('compose 1.29 brings a project up, names its services, and takes it down', { timeout: 120_000 }, async () => {
      writeFileSync(
        join(folder, 'docker-compose.yml'),
        [
          'version: "3"',
          'services:',
          '  web: {image: skiff/welcome}',
          '  client: {image: skiff/welcome, command: sleep 1000, depends_on: [web], volumes: ["data:/data"]}',
          'volumes: {data: {}}',
          '',
        ].join('\n'),
      );
      const up = await run(older!.compose, ['-p', 'old', 'up', '-d']);
      expect(up.stderr).toMatch(/done/);
      expect(up.code).toBe(0);
      const page = await run(older!.compose, ['-p', 'old', 'exec', '-T', 'client', 'wget', '-qO-', 'http://web/']);
      expect(page.stdout).toContain('<html');
      expect((await run(older!.compose, ['-p', 'old', 'ps'])).stdout).toMatch(/old_web_1/);
      expect(await run(older!.compose, ['-p', 'old', 'down', '-v', '-t', '1'])).toMatchObject({ code: 0 });
      expect(await bed.ok('volume', 'ls', '-q')).toBe('');
    });
  },
);
