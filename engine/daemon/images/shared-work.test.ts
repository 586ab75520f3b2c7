import { setTimeout as delay } from 'node:timers/promises';

import { describe, expect, it } from 'vitest';

import { SharedWork } from './shared-work.ts';
import { Slots } from './slots.ts';

describe('shared work', () => {
  const never = new AbortController().signal;
  const ignore = () => undefined;

  it('is done once for all who ask, and disposed of when the last lets go', async () => {
    const disposed: string[] = [];
    const work = new SharedWork<string, number>((value) => disposed.push(value));
    let starts = 0;
    const ask = () =>
      work.run('key', never, ignore, async () => {
        starts++;
        await delay(5);
        return 'result';
      });
    const [a, b] = await Promise.all([ask(), ask()]);
    expect([starts, a?.value, b?.value]).toEqual([1, 'result', 'result']);
    a?.release();
    expect(disposed).toEqual([]);
    b?.release();
    expect(disposed).toEqual(['result']);
  });

  it('may report before it first waits', async () => {
    const work = new SharedWork<string, number>(ignore);
    const seen: number[] = [];
    await work.run(
      'k',
      never,
      (step) => seen.push(step),
      async (_signal, report) => {
        report(1);
        await delay(1);
        report(2);
        return 'done';
      },
    );
    expect(seen).toEqual([1, 2]);
  });

  it('goes on while one still wants it, and is cancelled with the last', async () => {
    const disposed: string[] = [];
    const work = new SharedWork<string, number>((value) => disposed.push(value));
    const [first, second] = [new AbortController(), new AbortController()];
    let stopped = false;
    const start = async (signal: AbortSignal) => {
      signal.addEventListener('abort', () => {
        stopped = true;
      });
      await delay(20);
      return 'late';
    };
    const asked = [work.run('k', first.signal, ignore, start), work.run('k', second.signal, ignore, start)];
    first.abort();
    await expect(asked[0]).rejects.toMatchObject({ kind: 'cancelled' });
    expect(stopped).toBe(false);
    second.abort();
    await expect(asked[1]).rejects.toMatchObject({ kind: 'cancelled' });
    expect(stopped).toBe(true);
    expect(disposed).toEqual(['late']);
  });
});

describe('slots', () => {
  it('let so many work at once, in order, and forget who has gone', async () => {
    const slots = new Slots(() => 2);
    const controller = new AbortController();
    let running = 0;
    let most = 0;
    const work = (signal = new AbortController().signal) =>
      slots.use(signal, async () => {
        most = Math.max(most, ++running);
        await delay(5);
        running--;
      });
    const all = [work(), work(), work(controller.signal), work()];
    controller.abort();
    const results = await Promise.allSettled(all);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'fulfilled']);
    expect([most, slots.busy]).toEqual([2, false]);
  });
});
