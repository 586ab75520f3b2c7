import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { dockerCli } from '../../scripts/setup.mjs';
import { startRegistry } from '../images/registry.ts';
import { browserMissing, openBrowser } from '../window/browser.ts';
import { canBoot } from './support.ts';

const root = join(import.meta.dirname, '../..');
const READY_LIMIT_MS = 240_000;

/** What a new user does: `npm start -- --headless`, then docker in another terminal. Nothing is made up on the way. */
describe.skipIf(!canBoot)('docker through the local socket into the real VM (skipped without QEMU)', () => {
  const home = mkdtempSync(join(tmpdir(), 'skiff-home-'));
  const folder = mkdtempSync(join(tmpdir(), 'skiff-shared-'));
  let app: ChildProcess;
  let printed = '';

  const docker = (...args: string[]) =>
    new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
      const argv = ['-H', `unix://${join(home, 'docker.sock')}`, ...args];
      const child = execFile(dockerCli(), argv, { timeout: 90_000 }, (error, stdout, stderr) => {
        resolve({ code: error ? (typeof error.code === 'number' ? error.code : 255) : 0, stdout, stderr });
      });
      child.stdin?.end();
    });

  beforeAll(async () => {
    writeFileSync(join(home, 'settings.json'), JSON.stringify({ sharedFolders: [folder] }));
    app = spawn(process.execPath, ['scripts/start.mjs', '--prepared', '--headless'], {
      cwd: root,
      env: { ...process.env, SKIFF_HOME: home },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    await new Promise<void>((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`not ready in time:\n${printed}`)), READY_LIMIT_MS);
      const read = (chunk: Buffer): void => {
        printed += chunk;
        if (!printed.includes('Ready.')) return;
        clearTimeout(late);
        resolve();
      };
      app.stdout?.on('data', read);
      app.stderr?.on('data', read);
      app.once('exit', (code) => reject(new Error(`ended with ${code}:\n${printed}`)));
    });
  }, READY_LIMIT_MS + 10_000);

  afterAll(async () => {
    const ended = new Promise((resolve) => app.once('exit', resolve));
    app.kill('SIGTERM');
    await ended;
    for (const path of [home, folder]) rmSync(path, { recursive: true, force: true });
  }, 90_000);

  test('the start says how long it took until the engine answered through the local socket', () => {
    expect(printed).toMatch(/QEMU started → \/_ping through the local socket: [\d.]+ s/);
  });

  test('run prints, exits and leaves nothing', async () => {
    const run = await docker('run', '--rm', 'skiff/welcome', 'sh', '-c', 'echo hello from $(uname -s); exit 4');
    expect(run).toMatchObject({ code: 4, stdout: 'hello from Linux\n' });
    expect((await docker('ps', '-aq')).stdout).toBe('');
  });

  test('a published page opens on this machine', async () => {
    expect((await docker('run', '-d', '--name', 'web', '-p', '127.0.0.1:18080:80', 'skiff/welcome')).code).toBe(0);
    const page = await fetch('http://127.0.0.1:18080/', { signal: AbortSignal.timeout(30_000) });
    expect(await page.text()).toContain('<html');
    // QEMU forwards IPv4 only: the other family is the app's.
    await docker('run', '-d', '--name', 'six', '-p', '[::1]:18081:80', 'skiff/welcome');
    const six = await fetch('http://[::1]:18081/', { signal: AbortSignal.timeout(30_000) });
    expect(await six.text()).toContain('<html');
    await docker('rm', '-f', 'six');
    await expect(fetch('http://[::1]:18081/')).rejects.toThrow();
    if (browserMissing()) console.log(`no browser opens it: ${browserMissing()}`);
    else {
      const browser = await openBrowser();
      await browser.page.goto('http://127.0.0.1:18080/', { timeout: 60_000 });
      expect(await browser.page.title()).not.toBe('');
      expect(await browser.page.textContent('body')).toMatch(/\S/);
      await browser.close();
    }
    expect((await docker('exec', 'web', 'hostname')).code).toBe(0);
    expect((await docker('logs', 'web')).code).toBe(0);
    expect((await docker('stop', '-t', '1', 'web')).stdout).toBe('web\n');
    expect((await docker('rm', 'web')).stdout).toBe('web\n');
  });

  test('a shared folder is the same on both sides: content, names, links and who owns it', async () => {
    const work = join(folder, 'wörk 工作');
    mkdirSync(work);
    writeFileSync(join(work, 'Readme'), 'from the host\n');
    const script =
      'cat Readme; echo made > made; ln -s made link; mkdir sub; mv Readme sub/readme; chown 1234 made || true';
    const run = await docker('run', '--rm', '-v', `${work}:/app`, '-w', '/app', 'skiff/welcome', 'sh', '-c', script);
    expect(run).toMatchObject({ code: 0, stdout: 'from the host\n' });
    expect(readFileSync(join(work, 'link'), 'utf8')).toBe('made\n');
    expect(readFileSync(join(work, 'sub/readme'), 'utf8')).toBe('from the host\n');

    expect((await docker('run', '-d', '--name', 'watcher', '-v', `${work}:/app:ro`, 'skiff/welcome')).code).toBe(0);
    writeFileSync(join(work, 'made'), 'changed on the host\n');
    expect((await docker('exec', 'watcher', 'cat', '/app/made')).stdout).toBe('changed on the host\n');
    expect((await docker('exec', 'watcher', 'touch', '/app/x')).stderr).toContain('Read-only file system');
    const source = await docker('inspect', '-f', '{{(index .Mounts 0).Source}}', 'watcher');
    expect(source.stdout).toBe(`${work}\n`);
    await docker('rm', '-f', 'watcher');

    // -v makes a missing folder, here as with dockerd.
    await docker('run', '--rm', '-v', `${folder}/new/deep:/app`, 'skiff/welcome', 'true');
    expect(statSync(join(folder, 'new/deep')).isDirectory()).toBe(true);
  });

  test('changes in a shared folder wake watchers in a container: new content, new and removed files', async () => {
    const work = join(folder, 'watched');
    mkdirSync(join(work, 'src'), { recursive: true });
    writeFileSync(join(work, 'src/file'), 'one');
    // The machine's own Node, as the image has none.
    const node = [
      '-v',
      '/usr:/usr:ro',
      '-v',
      '/usr/lib:/lib:ro',
      '-v',
      '/usr/lib64:/lib64:ro',
      'skiff/welcome',
      'node',
    ];
    const program =
      "for (const d of ['/app', '/app/src']) require('fs').watch(d, (type, name) => console.log(d, type, name)); console.log('watching')";
    await docker('run', '-d', '--name', 'watching', '-v', `${work}:/app`, ...node, '-e', program);
    const logs = async () => (await docker('logs', 'watching')).stdout;
    const seen = (line: string) => expect.poll(logs, { timeout: 60_000, interval: 500 }).toContain(line);
    await seen('watching\n');
    writeFileSync(join(work, 'src/file'), 'two');
    await seen('/app/src change file\n');
    writeFileSync(join(work, 'src/new'), '');
    await seen('/app/src change new\n');
    rmSync(join(work, 'src'), { recursive: true });
    // Of what has gone its folder is told, where a watcher looks.
    await seen('/app rename app\n');
    expect((await docker('exec', 'watching', 'ls', '/app')).stdout).toBe('');
    await docker('rm', '-f', 'watching');
  });

  test('a folder that is not shared is refused, with the setting to change', async () => {
    const run = await docker('run', '--rm', '-v', '/opt/not-shared:/app', 'skiff/welcome', 'true');
    expect(run.code).toBe(125);
    expect(run.stderr).toMatch(/path \/opt\/not-shared is not shared from your computer.*Settings > File sharing/);
    expect((await docker('ps', '-aq', '--filter', 'status=running')).stdout).toBe('');
  });

  test('a terminal goes all the way', async () => {
    const line = `${dockerCli()} -H unix://${join(home, 'docker.sock')} run --rm -it skiff/welcome tty`;
    const { promise, resolve } = Promise.withResolvers<string>();
    execFile('script', ['-qec', line, '/dev/null'], { timeout: 60_000 }, (_error, stdout) => resolve(stdout));
    expect(await promise).toContain('/dev/pts/0');
  });

  test('a registry on this machine is pushed to and pulled from, and seen by containers', async () => {
    await using registry = await startRegistry();
    const name = `${registry.host}/welcome:copy`;
    await docker('tag', 'skiff/welcome', name);
    expect(await docker('push', '-q', name)).toMatchObject({ code: 0 });
    await docker('rmi', name);
    expect(await docker('pull', name)).toMatchObject({ code: 0 });
    expect((await docker('run', '--rm', name, 'echo', 'pulled')).stdout).toBe('pulled\n');
    await docker('rmi', name);
    const url = `http://host.docker.internal:${registry.port}/v2/_catalog`;
    expect((await docker('run', '--rm', 'skiff/welcome', 'wget', '-qO-', url)).stdout).toContain('welcome');
  });

  test('limits hold on cgroup v2: memory kills, and says so', async () => {
    await docker(
      'run',
      '--name',
      'hungry',
      '--memory',
      '16m',
      'skiff/welcome',
      'sh',
      '-c',
      'x=a; while :; do x=$x$x; done',
    );
    const state = await docker('inspect', '-f', '{{.State.OOMKilled}} {{.State.ExitCode}}', 'hungry');
    expect(state.stdout).toBe('true 137\n');
    await docker('rm', 'hungry');
  });

  test('version, info and images say what is there', async () => {
    expect((await docker('version', '-f', '{{.Server.APIVersion}}')).stdout).toBe('1.51\n');
    expect((await docker('info', '-f', '{{.CgroupVersion}} {{.Driver}}')).stdout).toBe('2 overlay2\n');
    expect((await docker('images', '--format', '{{.Repository}}:{{.Tag}}')).stdout).toBe('skiff/welcome:latest\n');
  });
});
