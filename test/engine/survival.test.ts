import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';

import { canRun, Testbed } from './testbed.ts';

const IMAGE = 'skiff/welcome';
/** `SKIFF_KILLS=200` for the long form. */
const KILLS = Number(process.env.SKIFF_KILLS ?? 10);
const CROWD = Number(process.env.SKIFF_CROWD ?? 40);

interface Expected {
  readonly name: string;
  readonly code: number;
}

describe.skipIf(!canRun)('what a crash may not take (skipped without root on Linux)', () => {
  let bed: Testbed;

  beforeAll(async () => {
    bed = new Testbed();
    await bed.start();
  });
  afterAll(() => bed[Symbol.asyncDispose]());

  const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
  const folder = (path: string): string[] => {
    try {
      return readdirSync(join(bed.data, path));
    } catch {
      return [];
    }
  };

  test(
    `${KILLS} × kill -9 of the engine while containers start, log, end and are removed: nothing is lost, nothing is left`,
    async () => {
      let serial = 0;
      const started: Expected[] = [];
      const removed = new Set<string>();
      // A removal whose answer was lost may have been done or not.
      const tried = new Set<string>();
      let over = false;
      // Clients whose engine dies fail; what they were told was done must have been done.
      const client = async (): Promise<void> => {
        while (!over) {
          const name = `job-${++serial}`;
          const code = serial % 5;
          const script = `echo line of ${name}; sleep 0.1; exit ${code}`;
          const run = await bed.docker(['run', '-d', '--name', name, IMAGE, 'sh', '-c', script]);
          if (run.code === 0) started.push({ name, code });
          else await pause(100);
          const victim = started[started.length - 8];
          if (!victim || removed.has(victim.name)) continue;
          tried.add(victim.name);
          if ((await bed.docker(['rm', '-f', victim.name])).code === 0) removed.add(victim.name);
        }
      };
      const clients = [client(), client()];
      for (let kill = 0; kill < KILLS; kill++) {
        await pause(200 + Math.random() * 800);
        await bed.kill();
        await bed.start();
      }
      over = true;
      await Promise.all(clients);

      const kept = started.filter(({ name }) => !tried.has(name));
      expect(started.length).toBeGreaterThan(KILLS / 2);
      await vi.waitFor(async () => expect(await bed.ok('ps', '-q')).toBe(''), { timeout: 30_000, interval: 200 });
      for (const { name, code } of kept) {
        expect(await bed.ok('inspect', '-f', `${name} {{.State.Status}} {{.State.ExitCode}}`, name)).toBe(
          `${name} exited ${code}`,
        );
        expect(await bed.ok('logs', name)).toBe(`line of ${name}`);
      }
      for (const name of removed) expect((await bed.docker(['inspect', name])).code).toBe(1);

      const all = (await bed.ok('ps', '-aq', '--no-trunc')).split('\n').filter(Boolean);
      if (all.length > 0) await bed.ok('rm', '-f', ...all);
      await bed.kill();
      await bed.start();
      await vi.waitFor(
        () => {
          expect(folder('lib/containers')).toEqual([]);
          expect(folder('run/containers')).toEqual([]);
          expect(folder('run/netns')).toEqual([]);
          expect(folder('run/runtimes/crun').filter((name) => name !== '.cache')).toEqual([]);
          expect(folder('run/shim/exits')).toEqual([]);
          expect(readFileSync(`/proc/${bed.pid}/mountinfo`, 'utf8')).not.toMatch(
            / \/run\/skiff\/(containers|netns)\/\S/,
          );
          expect(readFileSync(`/proc/${bed.pid}/net/dev`, 'utf8')).not.toContain('veth');
        },
        { timeout: 20_000, interval: 200 },
      );
    },
    90_000 + KILLS * 4000,
  );

  test(`${CROWD} containers run at once, and all of them answer`, async () => {
    const names = Array.from({ length: CROWD }, (_one, index) => `crowd${index}`);
    const queue = [...names];
    const starters = Array.from({ length: 6 }, async () => {
      for (let name = queue.pop(); name; name = queue.pop()) {
        await bed.ok('run', '-d', '--init', '--name', name, IMAGE, 'sleep', '1000');
      }
    });
    await Promise.all(starters);
    expect((await bed.ok('ps', '-q')).split('\n')).toHaveLength(CROWD);
    expect(await bed.ok('exec', names[0]!, 'echo', 'well')).toBe('well');
    await bed.kill();
    await bed.start();
    expect((await bed.ok('ps', '-q')).split('\n')).toHaveLength(CROWD);
    expect(await bed.ok('exec', names.at(-1)!, 'echo', 'well')).toBe('well');
    await bed.ok('rm', '-f', ...names);
    expect(await bed.ok('ps', '-aq')).toBe('');
  }, 180_000);
});
