/**
 * One source, many readers. Each reader has a queue of its own; `overflow` says what a reader that fell behind gets instead
 * of what it missed.
 */
export class Topic<T> {
  #readers = new Set<{ queue: T[]; wake: () => void }>();
  #limit: number;
  #overflow: (queue: T[]) => T[];

  constructor(limit: number, overflow: (queue: T[]) => T[]) {
    this.#limit = limit;
    this.#overflow = overflow;
  }

  publish(value: T): void {
    for (const reader of this.#readers) {
      reader.queue.push(value);
      if (reader.queue.length > this.#limit) reader.queue = this.#overflow(reader.queue);
      reader.wake();
    }
  }

  /** Begins with `first`, then everything published from now on, until the signal fires. */
  async *read(signal: AbortSignal, ...first: T[]): AsyncGenerator<T> {
    const reader = { queue: first, wake: () => {} };
    this.#readers.add(reader);
    const onAbort = () => reader.wake();
    signal.addEventListener('abort', onAbort);
    try {
      while (!signal.aborted) {
        if (reader.queue.length > 0) yield reader.queue.shift() as T;
        else {
          await new Promise<void>((done) => {
            reader.wake = done;
          });
        }
      }
    } finally {
      signal.removeEventListener('abort', onAbort);
      this.#readers.delete(reader);
    }
  }
}
