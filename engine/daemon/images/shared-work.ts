import { cancelled } from '../../errors.ts';

/** A value that several operations hold; disposed of when the last lets go. */
export class Shared<T> {
  readonly value: T;
  readonly #dispose: (value: T) => void;
  #holders = 0;

  constructor(value: T, dispose: (value: T) => void) {
    this.value = value;
    this.#dispose = dispose;
  }

  hold(): this {
    this.#holders++;
    return this;
  }

  release(): void {
    if (--this.#holders === 0) this.#dispose(this.value);
  }
}

export type Listener<P> = (progress: P) => void;

interface Running<T, P> {
  readonly promise: Promise<Shared<T>>;
  readonly controller: AbortController;
  readonly listeners: Set<Listener<P>>;
  subscribers: number;
  last: P | undefined;
}

/**
 * Work that is done once however many operations ask for it at the same time: two pulls of one layer download it once.
 * Progress reaches all; it is cancelled when the last of them has gone. Each gets the result held (see Shared).
 */
export class SharedWork<T, P> {
  readonly #running = new Map<string, Running<T, P>>();
  readonly #dispose: (value: T) => void;

  constructor(dispose: (value: T) => void) {
    this.#dispose = dispose;
  }

  async run(
    key: string,
    signal: AbortSignal,
    listener: Listener<P>,
    start: (signal: AbortSignal, report: Listener<P>) => Promise<T>,
  ): Promise<Shared<T>> {
    if (signal.aborted) throw cancelled();
    const work = this.#running.get(key) ?? this.#start(key, start);
    work.subscribers++;
    work.listeners.add(listener);
    if (work.last !== undefined) listener(work.last);
    let leave: () => void = () => undefined;
    const gone = new Promise<never>((_resolve, reject) => {
      leave = () => reject(cancelled());
    });
    signal.addEventListener('abort', leave, { once: true });
    try {
      return (await Promise.race([work.promise, gone])).hold();
    } finally {
      signal.removeEventListener('abort', leave);
      work.listeners.delete(listener);
      if (--work.subscribers === 0) this.#end(key, work);
      // Who cancels the work waits until it has cleaned up after itself.
      if (signal.aborted && work.subscribers === 0) await work.promise.catch(() => undefined);
    }
  }

  #start(key: string, start: (signal: AbortSignal, report: Listener<P>) => Promise<T>): Running<T, P> {
    const controller = new AbortController();
    const listeners = new Set<Listener<P>>();
    const report = (progress: P) => {
      work.last = progress;
      for (const listener of listeners) listener(progress);
    };
    // Begun in a turn of its own, so that what it reports at once finds its listeners.
    const promise = Promise.resolve()
      .then(() => start(controller.signal, report))
      .then((value) => new Shared<T>(value, this.#dispose));
    const work: Running<T, P> = { promise, controller, listeners, subscribers: 0, last: undefined };
    this.#running.set(key, work);
    promise.catch(() => undefined);
    return work;
  }

  #end(key: string, work: Running<T, P>): void {
    if (this.#running.get(key) === work) this.#running.delete(key);
    work.controller.abort();
    // Finished while nobody was left to take it: hold and let go, so that it is disposed of.
    work.promise.then((shared) => shared.hold().release()).catch(() => undefined);
  }
}
