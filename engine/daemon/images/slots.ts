import { cancelled } from '../../errors.ts';

/** At most so many at once, in the order they asked (max-concurrent-downloads, -uploads). */
export class Slots {
  #used = 0;
  readonly #count: () => number;
  readonly #waiting: (() => void)[] = [];

  /** @param count asked each time, so that it may change while the engine runs */
  constructor(count: () => number) {
    this.#count = count;
  }

  get #full(): boolean {
    return this.#used >= Math.max(1, this.#count());
  }

  /** True when the next `use` would have to wait. */
  get busy(): boolean {
    return this.#full;
  }

  async use<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    await this.#take(signal);
    try {
      return await work();
    } finally {
      this.#give();
    }
  }

  #take(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.reject(cancelled());
    if (!this.#full) {
      this.#used++;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const go = () => {
        signal.removeEventListener('abort', stop);
        resolve();
      };
      const stop = () => {
        this.#waiting.splice(this.#waiting.indexOf(go), 1);
        reject(cancelled());
      };
      signal.addEventListener('abort', stop, { once: true });
      this.#waiting.push(go);
    });
  }

  #give(): void {
    this.#used--;
    while (!this.#full) {
      const next = this.#waiting.shift();
      if (!next) return;
      this.#used++;
      next();
    }
  }
}
