import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { fetchDebs } from '../../resources/vm/fetch.ts';
import { readLock } from '../../resources/vm/lock.ts';
import { eventually, RealApp } from './app.ts';
import { chapter } from './chapter.ts';
import { canBoot } from './support.ts';

const PAGE = 'http://127.0.0.1:18081/';

/** One boot for all: they run in order, and each leaves the machine as it found it. */
describe.skipIf(!canBoot)('the machine in daily life (skipped without QEMU)', { timeout: 300_000, retry: 0 }, () => {
  let app: RealApp;
  const page = () =>
    eventually(
      async () => (await fetch(PAGE, { signal: AbortSignal.timeout(20_000) })).text(),
      (text) => text.includes('<html'),
    );
  const works = async () => {
    const ps = await app.docker('ps', '--format', '{{.Names}}');
    expect(ps).toMatchObject({ code: 0, stdout: 'web\n' });
    await page();
  };
  const clockIsRight = () =>
    eventually(
      async () => Number(await app.guest('date +%s')) * 1000 - Date.now(),
      (skew) => Math.abs(skew) < 10_000,
    );

  beforeAll(async () => {
    app = new RealApp();
    const started = await app.skiff('start');
    if (started.code !== 0) throw new Error(`${started.stdout}${started.stderr}${app.logs()}`);
    const web = await app.docker('run', '-d', '--name', 'web', '-p', '127.0.0.1:18081:80', 'skiff/welcome');
    if (web.code !== 0) throw new Error(`${web.stderr}${app.logs()}`);
  }, 300_000);

  afterAll(() => app?.close(), 120_000);

  const then = (name: string, body: () => Promise<void>) => chapter(name, () => app, body);

  then('a computer that slept: docker works at once, and the clock is right', async () => {
    await works();
    expect(await app.guest('date -s @1000000000 >/dev/null; date +%Y')).toBe('2001');
    const pids = [app.qemuPid, (await (await app.client()).app.info()).pid];
    for (const pid of pids) process.kill(pid, 'SIGSTOP');
    await sleep(20_000);
    for (const pid of pids) process.kill(pid, 'SIGCONT');
    await works();
    await clockIsRight();
  });

  then('a machine that stood still while the app did not: docker works, a wrong clock is noticed', async () => {
    await app.guest('date -s @1000000000');
    process.kill(app.qemuPid, 'SIGSTOP');
    await sleep(8_000);
    process.kill(app.qemuPid, 'SIGCONT');
    await works();
    await clockIsRight();
  });

  then('the SSH connections dropped, and then sshd itself killed', async () => {
    await app.guest('killall -9 sshd-session');
    await works();
    await app.guest('killall -9 sshd sshd-session');
    await works();
  });

  then('the engine killed', async () => {
    const before = (await app.docker('inspect', '-f', '{{.State.Pid}}', 'web')).stdout;
    await app.guest('kill -9 $(cat /run/skiff/skiffd.pid)');
    await works();
    expect((await app.docker('inspect', '-f', '{{.State.Pid}}', 'web')).stdout).toBe(before);
  });

  then('the app killed and started again: the machine and its published ports are the same', async () => {
    const qemu = app.qemuPid;
    process.kill((await (await app.client()).app.info()).pid, 'SIGKILL');
    expect(await app.skiff('start')).toMatchObject({ code: 0 });
    await works();
    expect(app.qemuPid).toBe(qemu);
  });

  then('programs of the other architecture run', async () => {
    const [foreign, platform, machine] =
      process.arch === 'arm64'
        ? (['x64', 'linux/amd64', 'x86_64'] as const)
        : (['arm64', 'linux/arm64', 'aarch64'] as const);
    const dir = mkdtempSync(join(tmpdir(), 'skiff-foreign-'));
    try {
      const packages = (await readLock()).packages[foreign].filter(({ name }) => name === 'busybox-static');
      const [busybox] = await fetchDebs(foreign, packages, { log: () => {} });
      const script =
        'set -e; mkdir "$2/root"; dpkg-deb --fsys-tarfile "$1" | tar -x -C "$2/root" --wildcards "*bin/busybox"; cd "$2/root"; ' +
        '[ -d bin ] || mv usr/bin bin; ln -s busybox bin/sh; ln -s busybox bin/uname; tar -cf ../root.tar bin';
      execFileSync('bash', ['-c', script, 'bash', busybox!.path, dir]);
      const imported = await app.docker('import', '--platform', platform, join(dir, 'root.tar'), 'foreign');
      expect(imported).toMatchObject({ code: 0 });
      const told = await app.docker(
        'run',
        '--rm',
        '--platform',
        platform,
        'foreign',
        '/bin/sh',
        '-c',
        'uname -m; echo $0',
      );
      expect(told).toMatchObject({ code: 0, stdout: `${machine}\n/bin/sh\n` });
      await app.docker('rmi', 'foreign');
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });

  then('memory that a container used goes back to this computer', async () => {
    const rss = () =>
      Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${app.qemuPid}/status`, 'latin1'))?.[1]) * 1024;
    const fill = 'dd if=/dev/zero of=/dev/shm/x bs=1M count=500 2>/dev/null; echo full; sleep 600';
    const before = rss();
    await app.docker('run', '-d', '--name', 'big', '--shm-size', '600m', 'skiff/welcome', 'sh', '-c', fill);
    await eventually(
      async () => (await app.docker('logs', 'big')).stdout,
      (said) => said.includes('full'),
    );
    const filled = rss();
    expect(filled - before).toBeGreaterThan(300e6);
    await app.docker('rm', '-f', 'big');
    await eventually(rss, (now) => now < filled - 350e6);
    console.log(`QEMU's memory: ${[before, filled, rss()].map((n) => `${Math.round(n / 1e6)} MB`).join(' → ')}`);
  });

  then('a full disk is said by docker in its words, and removing something helps', async () => {
    const room = Number(await app.guest("df -k /var/lib/skiff | awk 'NR==2{print $4}'"));
    await app.guest(`fallocate -l ${(room - 8_000) * 1024} /var/lib/skiff/filler`);
    const run = await app.docker(
      'run',
      '--name',
      'full',
      'skiff/welcome',
      'dd',
      'if=/dev/zero',
      'of=/x',
      'bs=1M',
      'count=64',
    );
    expect(run.code).not.toBe(0);
    expect(run.stderr).toContain('No space left on device');
    await works();
    expect(await app.docker('container', 'prune', '-f')).toMatchObject({ code: 0 });
    await app.guest('rm /var/lib/skiff/filler');
    expect(
      await app.docker('run', '--rm', 'skiff/welcome', 'sh', '-c', 'dd if=/dev/zero of=/x bs=1M count=8'),
    ).toMatchObject({
      code: 0,
    });
  });

  then('room that was given free goes back to this computer', async () => {
    const write = 'dd if=/dev/urandom of=/v/x bs=1M count=150 2>/dev/null; sync';
    const real = async () => {
      const { figures } = JSON.parse((await app.skiff('status', '--json')).stdout);
      return figures.diskRealBytes as number;
    };
    expect(await app.docker('run', '--rm', '-v', 'big:/v', 'skiff/welcome', 'sh', '-c', write)).toMatchObject({
      code: 0,
    });
    const filled = await eventually(real, (bytes) => bytes > 150e6);
    await app.docker('volume', 'rm', 'big');
    const compact = await app.skiff('disk', 'compact', '--json');
    expect(compact).toMatchObject({ code: 0 });
    const { afterBytes } = JSON.parse(compact.stdout);
    console.log(`the disk's file: ${Math.round(filled / 1e6)} MB → ${Math.round(afterBytes / 1e6)} MB`);
    await eventually(real, (bytes) => bytes < filled - 120e6);
  });

  then('the disk grows while the machine runs', async () => {
    expect(await app.skiff('disk', 'resize', '5')).toMatchObject({ code: 1 });
    expect(await app.skiff('disk', 'resize', '9')).toMatchObject({ code: 0, stderr: '' });
    const size = Number(await app.guest("df -m /var/lib/skiff | awk 'NR==2{print $2}'"));
    expect(size).toBeGreaterThan(8_000);
    await works();
  });

  then("the guest's kernel dies: the machine and the containers that restart come back by themselves", async () => {
    await app.docker('update', '--restart', 'always', 'web');
    const before = app.qemuPid;
    await app.guest('sync; echo c >/proc/sysrq-trigger');
    await page(); // what listens on the port is QEMU: no docker command wakes it
    expect(app.qemuPid).not.toBe(before);
    await works();
  });
});
