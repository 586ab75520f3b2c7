import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openMachine } from '../../electron/machine/machine.ts';
import { isAlive, processId } from '../../electron/machine/process.ts';
import { formatBootTiming } from '../../electron/machine/timing.ts';
import type { Machine, MachineState } from '../../electron/machine/types.ts';
import type { VmImage } from '../../resources/vm/image.ts';
import { ask, canBoot, guest, login, testImage, testOptions } from './support.ts';

const BOOT_MS = 240_000;

/** These tests are one story and run in order: each boot of the emulated machine takes many seconds. */
describe.skipIf(!canBoot)('the real machine (needs QEMU)', () => {
  let home: string;
  let image: VmImage;
  let app: ChildProcess;
  let machine: Machine;
  const states: MachineState[] = [];

  const open = (diskGb = 4) => {
    const opened = openMachine({ ...testOptions(home), diskGb, image });
    opened.onState((state) => states.push(state));
    return opened;
  };
  const qemuPid = () => (JSON.parse(readFileSync(join(home, 'machine', 'qemu.json'), 'utf8')) as { pid: number }).pid;
  const until = (reached: (state: MachineState) => boolean) =>
    expect.poll(() => states.some(reached), { timeout: 60_000, interval: 50 }).toBe(true);

  beforeAll(async () => {
    home = mkdtempSync(join(tmpdir(), 'skiff-vm-'));
    image = await testImage();
  }, 300_000);

  afterAll(async () => {
    app?.kill('SIGKILL');
    await machine?.stop(AbortSignal.timeout(10_000));
    rmSync(home, { recursive: true, force: true });
  }, 60_000);

  it('left running by an app that was killed, is adopted by the next app', { timeout: BOOT_MS }, async () => {
    app = spawn(process.execPath, [join(import.meta.dirname, 'app-that-dies.ts'), home], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await new Promise<void>((resolve, reject) => {
      app.stdout!.on('data', (data: Buffer) => data.includes('running') && resolve());
      app.once('exit', (code) => reject(new Error(`the app ended with ${code}`)));
    });
    const pid = qemuPid();
    app.kill('SIGKILL');
    await new Promise((resolve) => app.once('exit', resolve));

    machine = open();
    await machine.start();
    expect(machine.state).toMatchObject({ kind: 'running', bootMs: 0 });
    expect(qemuPid()).toBe(pid);
    expect(machine.accelerator).toBeDefined();
  });

  it('lets in whoever has the key, and answers for the engine', { timeout: 60_000 }, async () => {
    expect(await ask(machine.endpoint(), '/_ping')).toBe('OK');
    expect(await guest(machine.endpoint(), 'hostname; cat /proc/1/comm')).toBe('skiff\ninit');
  });

  it('refuses another key', { timeout: 60_000 }, async () => {
    const { makeKey } = await import('../../electron/machine/keys.ts');
    const stranger = { ...machine.endpoint(), privateKey: Buffer.from(makeKey().privateKey) };
    await expect(login(stranger)).rejects.toThrow(/authentication/i);
  });

  it('has what containers need', { timeout: 60_000 }, async () => {
    const check = [
      'cat /sys/fs/cgroup/cgroup.controllers',
      'cat /proc/sys/net/ipv4/ip_forward',
      'crun --version | head -n 1',
      'nft list ruleset && echo nft ok',
      'mkdir -p /run/t/l /run/t/u /run/t/w /run/t/m',
      'mount -t overlay overlay -o lowerdir=/run/t/l,upperdir=/run/t/u,workdir=/run/t/w /run/t/m && echo overlay ok',
      'umount /run/t/m',
      'grep host.docker.internal /etc/hosts',
      'ls /usr/share/skiff/images',
    ];
    const said = await guest(machine.endpoint(), check.join('; '));
    expect(said).toMatch(/cpu.*memory.*pids/);
    for (const part of ['\n1\n', 'crun version', 'nft ok', 'overlay ok', '10.0.2.2', 'welcome.tar']) {
      expect(said).toContain(part);
    }
  });

  it('forwards a host port, and says when it is taken', { timeout: 60_000 }, async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    const { port: takenPort } = taken.address() as { port: number };
    const port = (hostPort: number) => ({ proto: 'tcp', hostIp: '127.0.0.1', hostPort, guestPort: 8000 }) as const;
    await expect(machine.expose(port(takenPort))).rejects.toMatchObject({ kind: 'port-taken' });
    await new Promise((resolve) => taken.close(resolve));

    const endpoint = machine.endpoint();
    await guest(endpoint, 'mkdir -p /tmp/www && echo hello >/tmp/www/index.html && httpd -p 8000 -h /tmp/www');
    await machine.expose(port(takenPort));
    expect(await (await fetch(`http://127.0.0.1:${takenPort}/`)).text()).toBe('hello\n');
    await machine.unexpose(port(takenPort));
    await expect(fetch(`http://127.0.0.1:${takenPort}/`)).rejects.toThrow();
  });

  it('tells what it costs the host', { timeout: 60_000 }, async () => {
    const stats = await machine.stats();
    expect(stats.hostRssBytes).toBeGreaterThan(50e6);
    expect(stats.diskVirtualBytes).toBe(4 * 1024 ** 3);
    expect(stats.diskRealBytes).toBeLessThan(200e6);
    await expect
      .poll(async () => (await machine.stats()).guestUsedBytes, { timeout: 20_000, interval: 500 })
      .toBeGreaterThan(20e6);
  });

  it('starts the engine again when it dies, and is degraded meanwhile', { timeout: 90_000 }, async () => {
    states.length = 0;
    await guest(machine.endpoint(), 'kill -9 $(cat /run/skiff/skiffd.pid)');
    await until((state) => state.kind === 'degraded');
    await until((state) => state.kind === 'running');
    expect(await ask(machine.endpoint(), '/_ping')).toBe('OK');
  });

  it('stops cleanly, and leaves nothing running', { timeout: 90_000 }, async () => {
    const qemu = processId(qemuPid());
    await guest(machine.endpoint(), 'echo kept >/var/lib/skiff/note');
    await machine.stop();
    expect(machine.state).toEqual({ kind: 'stopped' });
    expect(isAlive(qemu)).toBe(false);
    expect(machine.logTail(20).join('\n')).toContain('Power down');
  });

  it('keeps its data over a restart, with a larger disk when one is wished', { timeout: BOOT_MS }, async () => {
    machine = open(6);
    await machine.start();
    console.log(formatBootTiming(machine.bootTiming()!).join('\n'));
    const endpoint = machine.endpoint();
    expect(await guest(endpoint, 'cat /var/lib/skiff/note')).toBe('kept');
    const marks = machine.bootTiming()!.guest.map(({ mark }) => mark);
    expect(marks).not.toContain('fsck');
    expect(marks).not.toContain('format');
    await expect
      .poll(() => guest(endpoint, "df -m /var/lib/skiff | awk 'NR==2{print $2}'"), { timeout: 30_000 })
      .toMatch(/^[5]\d{3}$/);
  });

  it('whose QEMU is killed fails, with the reason', { timeout: 60_000 }, async () => {
    await guest(machine.endpoint(), 'echo also kept >/var/lib/skiff/note2; sync');
    states.length = 0;
    process.kill(qemuPid(), 'SIGKILL');
    await until((state) => state.kind === 'failed');
    expect(machine.state).toMatchObject({
      kind: 'failed',
      reason: expect.stringContaining('QEMU'),
      hint: expect.any(String),
    });
    expect(() => machine.endpoint()).toThrow(expect.objectContaining({ kind: 'not-running' }));
  });

  it('whose kernel dies while it starts is started once more', { timeout: BOOT_MS }, async () => {
    await machine.start();
    await guest(machine.endpoint(), 'touch /var/lib/skiff/die; sync');
    states.length = 0;
    process.kill(qemuPid(), 'SIGKILL');
    await until((state) => state.kind === 'failed');
    states.length = 0;
    await machine.start();
    expect(states.filter((state) => state.kind === 'starting' && state.step === 'qemu')).toHaveLength(2);
    states.length = 0;
    process.kill(qemuPid(), 'SIGKILL');
    await until((state) => state.kind === 'failed');
  });

  it('starts again after that, with its disk checked and its data there', { timeout: BOOT_MS }, async () => {
    await machine.start();
    expect(machine.bootTiming()!.guest.map(({ mark }) => mark)).toContain('fsck');
    expect(await guest(machine.endpoint(), 'cat /var/lib/skiff/note /var/lib/skiff/note2')).toBe('kept\nalso kept');
    expect(statSync(join(home, 'machine', 'id_ed25519')).mode & 0o777).toBe(0o600);
    await machine.stop();
  });
});
