import { describe, expect, it } from 'vitest';
import type { MachineState } from '../machine/types.ts';
import { Revival } from './revival.ts';

const RUNNING: MachineState = { kind: 'running', since: 0, bootMs: 0 };
const DEGRADED: MachineState = { kind: 'degraded', since: 0, reason: '' };
const FAILED: MachineState = { kind: 'failed', step: 'qemu', reason: '', hint: '', log: [] };
const STARTING: MachineState = { kind: 'starting', step: 'qemu', since: 0 };

function revived(closed = false) {
  const known = { starts: 0, now: 0 };
  let listener: (state: MachineState) => void = () => {};
  const machine = {
    state: { kind: 'stopped' } as MachineState,
    onState: (wanted: typeof listener) => {
      listener = wanted;
      return () => {
        listener = () => {};
      };
    },
    start: async () => {
      known.starts++;
      throw new Error('no QEMU');
    },
  };
  const revival = new Revival({ machine, log: () => {} }, () => known.now);
  if (closed) revival.close();
  return { known, goes: (...states: MachineState[]) => states.forEach((state) => void listener(state)) };
}

describe('a machine whose QEMU ended by itself', () => {
  it('is started again, also when its engine was away just then', () => {
    const { known, goes } = revived();
    goes(STARTING, RUNNING, FAILED);
    expect(known.starts).toBe(1);
    known.now = 3_600_000;
    goes(STARTING, RUNNING, DEGRADED, FAILED);
    expect(known.starts).toBe(2);
  });

  it('is left as it is when it dies again at once', () => {
    const { known, goes } = revived();
    goes(RUNNING, FAILED);
    known.now = 60_000;
    goes(STARTING, RUNNING, FAILED);
    expect(known.starts).toBe(1);
  });

  it('is not started when a start failed, when it was stopped, or when the app closes', () => {
    const { known, goes } = revived();
    goes(STARTING, FAILED, { kind: 'stopped' }, STARTING, RUNNING, { kind: 'stopping' }, { kind: 'stopped' });
    const other = revived(true);
    other.goes(RUNNING, FAILED);
    expect([known.starts, other.known.starts]).toEqual([0, 0]);
  });
});
