import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sshdMissing } from '../tunnel/sshd.ts';
import { openTestApp, type TestApp } from './app.ts';

const skip = sshdMissing();
const main = join(import.meta.dirname, '../../electron/cli/main.ts');

function skiff(home: string, ...args: string[]): Promise<{ code: number; out: string; err: string }> {
  return new Promise((done) => {
    const env = { ...process.env, SKIFF_HOME: home, DISPLAY: '', WAYLAND_DISPLAY: '' };
    execFile(process.execPath, [main, ...args], { env }, (error, out, err) => {
      done({ code: error ? Number(error.code) : 0, out, err });
    });
  });
}

describe.skipIf(skip)(`the skiff command${skip ? `, skipped: ${skip}` : ''}`, { timeout: 30_000 }, () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await openTestApp();
  }, 30_000);
  afterAll(() => app?.close());

  test('says that nothing runs, with an exit code of its own', async () => {
    expect(await skiff('/nonexistent/skiff', 'status')).toMatchObject({ code: 3, out: 'Skiff is not running.\n' });
    expect(await skiff('/nonexistent/skiff', 'logs')).toMatchObject({ code: 3 });
    expect(await skiff('/nonexistent/skiff', 'stop')).toMatchObject({ code: 0 });
  });

  test('shows the state of the running app', async () => {
    const { code, out } = await skiff(app.home, 'status');
    expect(out).toContain('machine   running\ntunnel    connected\nengine    ready');
    expect(code).toBe(0);
  });

  test('shows it to programs as well', async () => {
    const status = JSON.parse((await skiff(app.home, 'status', '--json')).out);
    expect(status).toMatchObject({
      running: true,
      machine: { kind: 'running' },
      socketPath: join(app.home, 'docker.sock'),
    });
  });

  test('restarts the machine of the running app', async () => {
    const { code, out } = await skiff(app.home, 'restart');
    expect(out).toContain('QEMU started → /_ping through the local socket: ');
    expect(code).toBe(0);
    expect(app.machine.starts).toBe(1);
  });

  test('prints what points docker at the socket', async () => {
    expect((await skiff(app.home, 'env')).out).toBe(`export DOCKER_HOST=unix://${app.home}/docker.sock\n`);
  });

  test('prints the log of the machine', async () => {
    expect((await skiff(app.home, 'logs', '-n', '5')).out).toContain('Linux');
  });

  test('prints a link to the window', async () => {
    expect((await skiff(app.home, 'open')).out).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/\?token=[\w-]{32}\n$/);
  });

  test('explains itself, and wrong use is an error', async () => {
    expect((await skiff(app.home, '--help')).out).toContain('Usage: skiff COMMAND');
    expect(await skiff(app.home, 'fly')).toMatchObject({ code: 2 });
    expect(await skiff(app.home, 'status', '--loud')).toMatchObject({ code: 2 });
  });
});
