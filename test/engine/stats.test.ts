import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';

import { canRun, Testbed } from './testbed.ts';

const IMAGE = 'skiff/welcome';

describe.skipIf(!canRun)('docker stats, top, diff and sizes (skipped without root on Linux)', () => {
  let bed: Testbed;

  beforeAll(async () => {
    bed = new Testbed();
    await bed.start();
    const burn = 'head -c 200000 /dev/zero > /made; rm /etc/motd 2>/dev/null; sleep 1000 & while :; do :; done';
    await bed.ok(
      'run',
      '-d',
      '--name',
      'busy',
      '--memory',
      '64m',
      '--pids-limit',
      '50',
      '--cpus',
      '0.5',
      IMAGE,
      'sh',
      '-c',
      burn,
    );
    await bed.ok('run', '-d', '--name', 'idle', IMAGE, 'sleep', '1000');
  });
  afterAll(async () => {
    await bed.docker(['rm', '-f', 'busy', 'idle']);
    await bed[Symbol.asyncDispose]();
  });

  const stats = async (name: string, format: string): Promise<string> =>
    bed.ok('stats', '--no-stream', '--format', format, name);

  test('CPU is a share of one processor, near the quota for one that burns and near nothing for one that sleeps', async () => {
    await vi.waitFor(async () => {
      const percent = Number.parseFloat(await stats('busy', '{{.CPUPerc}}'));
      expect(percent).toBeGreaterThan(10);
      expect(percent).toBeLessThan(75);
    }, 30_000);
    expect(Number.parseFloat(await stats('idle', '{{.CPUPerc}}'))).toBeLessThan(10);
  });

  test('memory is what it uses of its limit, PIDs are its processes', async () => {
    const [used = '', limit] = (await stats('busy', '{{.MemUsage}}')).split(' / ');
    expect(used).toMatch(/^\d+(\.\d+)?(KiB|MiB)$/);
    expect(limit).toBe('64MiB');
    expect(await stats('busy', '{{.PIDs}}')).toBe('2');
  });

  test('network traffic is counted', async () => {
    const received = async (): Promise<number> => {
      const text = await stats('idle', '{{.NetIO}}');
      const [, value = '0', unit = ''] = /^([\d.]+)(\w+) \//.exec(text) ?? [];
      return Number(value) * (unit === 'B' ? 1 : unit === 'kB' ? 1e3 : 1e6);
    };
    const before = await received();
    const address = await bed.ok('inspect', '-f', '{{.NetworkSettings.IPAddress}}', 'idle');
    await bed.ok('run', '--rm', IMAGE, 'ping', '-c', '3', '-s', '1400', '-W', '5', address);
    await vi.waitFor(async () => expect(await received()).toBeGreaterThan(before + 3000), 10_000);
  });

  test('a stopped container has no numbers, and all are listed with -a', async () => {
    await bed.ok('create', '--name', 'still', IMAGE);
    const lines = (await bed.ok('stats', '-a', '--no-stream', '--format', '{{.Name}} {{.PIDs}}')).split('\n').sort();
    expect(lines).toEqual(['busy 2', 'idle 1', expect.stringMatching(/^still (0|--)$/)]);
    await bed.ok('rm', 'still');
  });

  test('one-shot answers at once without a sample before; a stream has one', async () => {
    const one = (await bed.request('GET', '/containers/idle/stats?stream=false&one-shot=true')).body as Stats;
    expect(one.precpu_stats.cpu_usage.total_usage).toBe(0);
    expect(one.name).toBe('/idle');
    const two = (await bed.request('GET', '/containers/busy/stats?stream=false')).body as Stats;
    expect(two.cpu_stats.cpu_usage.total_usage).toBeGreaterThan(two.precpu_stats.cpu_usage.total_usage);
    expect(two.cpu_stats.system_cpu_usage).toBeGreaterThan(two.precpu_stats.system_cpu_usage);
    expect(await bed.request('GET', '/containers/idle/stats?one-shot=true')).toMatchObject({ status: 400 });
  });

  test('top lists the processes of the container only, with the columns asked for', async () => {
    const plain = (await bed.ok('top', 'busy')).split('\n');
    expect(plain[0]).toMatch(/^UID +PID +PPID +C +STIME +TTY +TIME +CMD$/);
    expect(plain).toHaveLength(3);
    expect(plain.join('\n')).toContain('sleep 1000');
    const columns = (await bed.ok('top', 'busy', '-o', 'pid,comm')).split('\n');
    expect(columns[0]).toMatch(/^PID +COMMAND$/);
    expect(columns).toHaveLength(3);
    expect((await bed.ok('top', 'busy', 'aux')).split('\n')[0]).toContain('%CPU');
    const refused = async (...args: string[]) => (await bed.docker(['top', ...args])).stderr;
    expect(await refused('busy', '-o', 'uid')).toContain("Couldn't find PID field in ps output");
    expect(await refused('busy', '-o', 'pid', '-o', 'uid=PID')).toContain('specifying "uid=PID" is not allowed');
    await bed.ok('create', '--name', 'still', IMAGE);
    expect(await refused('still')).toContain('is not running');
    await bed.ok('rm', 'still');
  });

  test('diff tells what changed, ps -s and inspect -s how much', async () => {
    expect((await bed.ok('diff', 'busy')).split('\n')).toContain('A /made');
    expect(await bed.ok('ps', '-s', '--filter', 'name=busy', '--format', '{{.Size}}')).toMatch(/^200kB \(virtual /);
    expect(await bed.ok('inspect', '-s', '-f', '{{.SizeRw}}', 'busy')).toBe('200000');
  });
});

interface Cpu {
  readonly cpu_usage: { readonly total_usage: number };
  readonly system_cpu_usage: number;
}
interface Stats {
  readonly name: string;
  readonly cpu_stats: Cpu;
  readonly precpu_stats: Cpu;
}
