import { describe, expect, it } from 'vitest';
import { IdleStop, type IdleStopOptions } from './idle-stop.ts';

function idle(changes: Partial<IdleStopOptions> = {}) {
  const known = { stopped: 0, open: 0, served: 0, containers: false };
  const stop = new IdleStop({
    machine: {
      state: { kind: 'running', since: 0, bootMs: 0 },
      stop: async () => {
        known.stopped++;
      },
    },
    minutes: () => 5,
    clients: () => known,
    containersRun: async () => known.containers,
    log: () => {},
    ...changes,
  });
  stop.close();
  const start = Date.now();
  return { known, lookAt: (minutes: number) => stop.look(start + minutes * 60_000 + 1_000) };
}

describe('a machine that nobody uses', () => {
  it('stops when there was no client and no container for the minutes of the setting', async () => {
    const { known, lookAt } = idle();
    await lookAt(0);
    await lookAt(4);
    expect(known.stopped).toBe(0);
    await lookAt(5.1);
    expect(known.stopped).toBe(1);
  });

  it('goes on while a client is connected, and counts from its leaving', async () => {
    const { known, lookAt } = idle();
    known.open = 1;
    await lookAt(6);
    known.open = 0;
    await lookAt(10);
    expect(known.stopped).toBe(0);
    await lookAt(11.1);
    expect(known.stopped).toBe(1);
  });

  it('notices commands that came and went between two looks', async () => {
    const { known, lookAt } = idle();
    await lookAt(0);
    known.served = 3;
    await lookAt(4.9);
    await lookAt(6);
    expect(known.stopped).toBe(0);
  });

  it('goes on while a container runs', async () => {
    const { known, lookAt } = idle();
    known.containers = true;
    for (const minute of [0, 6, 12, 18]) await lookAt(minute);
    expect(known.stopped).toBe(0);
  });

  it('never stops by itself when the setting says so', async () => {
    const { known, lookAt } = idle({ minutes: () => 0 });
    for (const minute of [0, 60, 600]) await lookAt(minute);
    expect(known.stopped).toBe(0);
  });
});
