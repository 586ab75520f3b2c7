import { Mutex } from '../mutex.ts';
import type { ContainerRecord } from './record.ts';

/** How a wait ends. */
export interface WaitResult {
  readonly exitCode: number;
  readonly error?: string;
}

type Condition = 'exit' | 'removed';

/**
 * A container in memory: its record, the order of its changes, and who waits for what. The record changes through the
 * registry only, which writes it down first.
 */
export class Container {
  record: ContainerRecord;
  /** Held for every change of state. */
  readonly mutex = new Mutex();
  /** Ids of its execs, newest last. */
  readonly execs = new Set<string>();
  /** Set while it is being removed, so that a second remove is refused. */
  removing = false;
  /** Between the two halves of `restart`: an end is no reason to auto-remove. */
  restarting = false;
  /** Stops a pending restart of its restart policy. */
  cancelRestart: (() => void) | undefined;
  #waiters: { readonly condition: Condition; readonly resolve: (result: WaitResult) => void }[] = [];

  constructor(record: ContainerRecord) {
    this.record = record;
  }

  get id(): string {
    return this.record.id;
  }

  /** Resolves at the next exit, or at the removal; never when the signal aborts first (then it rejects). */
  waitFor(condition: Condition, signal?: AbortSignal): Promise<WaitResult> {
    return new Promise((resolve, reject) => {
      const waiter = { condition, resolve };
      this.#waiters.push(waiter);
      signal?.addEventListener('abort', () => {
        this.#waiters = this.#waiters.filter((other) => other !== waiter);
        reject(signal.reason);
      });
    });
  }

  notify(condition: Condition, result: WaitResult): void {
    const due = this.#waiters.filter((waiter) => waiter.condition === condition);
    this.#waiters = this.#waiters.filter((waiter) => waiter.condition !== condition);
    for (const waiter of due) waiter.resolve(result);
  }
}
