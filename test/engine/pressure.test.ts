import { closeSync, openSync, readFileSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { join } from 'node:path';

import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';

import { canRun, Testbed } from './testbed.ts';

const IMAGE = 'skiff/welcome';
const SOON = { timeout: 30_000, interval: 100 };

describe.skipIf(!canRun)('under pressure (skipped without root on Linux)', () => {
  let bed: Testbed;

  beforeAll(async () => {
    bed = new Testbed({ diskMegabytes: 256 });
    await bed.start();
  });
  afterAll(() => bed[Symbol.asyncDispose]());
  afterEach(async () => {
    const left = (await bed.ok('ps', '-aq')).split('\n').filter(Boolean);
    if (left.length > 0) await bed.ok('rm', '-f', ...left);
  });

  /** Takes all room of the disk. */
  function fill(path: string): void {
    const fd = openSync(path, 'w');
    for (let size = 1 << 20; size >= 512; ) {
      try {
        writeSync(fd, Buffer.alloc(size));
      } catch {
        size >>= 1;
      }
    }
    closeSync(fd);
  }

  test('on a full disk containers go on and can be removed; what logs miss is told, and they go on when there is room', async () => {
    const loop = 'i=0; while :; do i=$((i+1)); echo "line $i"; echo $i > /count/n; usleep 1000; done';
    const id = await bed.ok('run', '-d', '--name', 'talks', '--tmpfs', '/count', IMAGE, 'sh', '-c', loop);
    await bed.ok('run', '-d', '--name', 'spare', IMAGE, 'sleep', '1000');
    const pid = await bed.ok('inspect', '-f', '{{.State.Pid}}', 'talks');
    const count = () => Number(readFileSync(`/proc/${pid}/root/count/n`, 'utf8'));
    await vi.waitFor(() => expect(count()).toBeGreaterThan(50), SOON);
    const filler = join(bed.disk, 'filler');
    // What is freed while it is filled (a journal that is cut back) is taken as well.
    fill(filler);
    await vi.waitFor(() => {
      if (statfsSync(bed.disk).bavail > 0) fill(`${filler}2`);
      expect(bed.log).toMatch(/log lines lost.*no space left/);
    }, SOON);
    const then = count();
    await vi.waitFor(() => expect(count()).toBeGreaterThan(then + 100), SOON);
    expect(await bed.ok('inspect', '-f', '{{.State.Running}}', 'talks')).toBe('true');
    // Nothing could be written down any more, but for the room that is kept for it.
    await bed.ok('rm', '-f', 'spare');
    rmSync(filler);
    rmSync(`${filler}2`, { force: true });
    const later = count();
    await vi.waitFor(async () => {
      const [last = ''] = (await bed.ok('logs', '--tail', '1', 'talks')).split('\n');
      expect(Number(last.split(' ')[1])).toBeGreaterThan(later);
    }, SOON);
    // Only whole records, in order.
    const numbers = (await bed.ok('logs', 'talks')).split('\n').map((line) => Number(/^line (\d+)$/.exec(line)?.[1]));
    expect(numbers.every((number, index) => index === 0 || number > numbers[index - 1]!)).toBe(true);
    for (const line of bed.logFile(id).trimEnd().split('\n')) JSON.parse(line);
    await bed.ok('run', '--rm', IMAGE, 'true');
  }, 120_000);

  test('containers that write without end, read by nobody, keep neither others nor the engine waiting', async () => {
    const log = ['--log-opt', 'max-size=5m', '--log-opt', 'max-file=2'];
    await bed.ok(
      'run',
      '-d',
      '--name',
      'logged',
      ...log,
      IMAGE,
      'sh',
      '-c',
      'yes "a line of some length, again and again"',
    );
    await bed.ok('run', '-d', '--name', 'unlogged', '--log-driver', 'none', IMAGE, 'sh', '-c', 'cat /dev/zero');
    for (let turn = 0; turn < 3; turn++) {
      expect(await bed.ok('run', '--rm', IMAGE, 'echo', 'there')).toBe('there');
      expect(await bed.ok('exec', 'logged', 'echo', 'here')).toBe('here');
      expect(await bed.ok('logs', '--tail', '2', 'logged')).toContain('again and again');
    }
    const status = readFileSync(`/proc/${bed.shimPid}/status`, 'utf8');
    expect(Number(/VmRSS:\s*(\d+)/.exec(status)?.[1])).toBeLessThan(400_000);
    await bed.ok('kill', 'logged', 'unlogged');
    expect(await bed.ok('wait', 'logged', 'unlogged')).toBe('137\n137');
  }, 120_000);
});
