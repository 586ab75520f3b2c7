import type { Machine, MachineState } from '../machine/types.ts';

export interface RevivalOptions {
  machine: Pick<Machine, 'state' | 'onState' | 'start'>;
  log(line: string): void;
}

/** One that dies again so soon would do so for ever: that is for the user to see. */
const TOO_SOON_MS = 120_000;

/**
 * A machine whose QEMU ended by itself (the guest's kernel died, the system was out of memory) is started again: its containers
 * come back by their restart policies, and nobody has to notice. A start that fails, and a stop by the user, are left as they are.
 */
export class Revival {
  readonly #unsubscribe: () => void;
  #last = Number.NEGATIVE_INFINITY;

  constructor({ machine, log }: RevivalOptions, now: () => number = Date.now) {
    let before: MachineState['kind'] = machine.state.kind;
    this.#unsubscribe = machine.onState(({ kind }) => {
      const died = kind === 'failed' && (before === 'running' || before === 'degraded');
      before = kind;
      if (!died) return;
      if (now() - this.#last < TOO_SOON_MS) return log('QEMU ended unexpectedly again: the machine is left as it is');
      this.#last = now();
      log('QEMU ended unexpectedly: the machine is started again');
      machine.start().catch(() => {}); // its state says why
    });
  }

  close(): void {
    this.#unsubscribe();
  }
}
