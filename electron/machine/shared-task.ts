/** One piece of work that several callers wait for: each can leave, and it is cancelled when the last has left. */
import { MachineError } from './types.ts';

export class SharedTask<T> {
  readonly #abort = new AbortController();
  readonly #promise: Promise<T>;
  #waiting = 0;
  /** resolves, never rejects, when the work has ended in whatever way */
  readonly settled: Promise<void>;

  constructor(work: (signal: AbortSignal) => Promise<T>) {
    this.#promise = work(this.#abort.signal);
    this.settled = this.#promise.then(
      () => {},
      () => {},
    );
  }

  /** Waits for the result. When `signal` fires, this caller gets MachineError 'aborted' at once. */
  async join(signal?: AbortSignal): Promise<T> {
    this.#waiting += 1;
    let leave = () => {};
    const left = new Promise<never>((_, reject) => {
      leave = () => reject(new MachineError('aborted', 'The wait for the machine was cancelled.'));
    });
    if (signal?.aborted) leave();
    signal?.addEventListener('abort', leave);
    try {
      return await Promise.race([this.#promise, left]);
    } finally {
      signal?.removeEventListener('abort', leave);
      this.#waiting -= 1;
      if (this.#waiting === 0) this.#abort.abort(); // without effect when it has ended
    }
  }

  cancel(): void {
    this.#abort.abort();
  }
}
