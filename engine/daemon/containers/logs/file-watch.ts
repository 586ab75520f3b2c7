import { type FSWatcher, watch } from 'node:fs';

/** A look at the file even when no notice of a change came: watches may be used up. */
const RECHECK_MS = 1000;

/** Tells when an open file has changed or was renamed since the last look. */
export class FileWatch {
  #watcher: FSWatcher | undefined;
  #fd: number | undefined;
  #changed = false;
  #wake: (() => void) | undefined;

  /** From now on only what happens next is a change. */
  look(fd: number | undefined): void {
    this.#changed = false;
    if (fd === this.#fd) return;
    this.close();
    this.#fd = fd;
    if (fd === undefined) return;
    try {
      // The file itself, whatever it is called by now.
      this.#watcher = watch(`/proc/self/fd/${fd}`, { persistent: false }, () => this.#notice());
      this.#watcher.on('error', () => this.close());
    } catch {
      // Then the clock has to do.
    }
  }

  #notice(): void {
    this.#changed = true;
    this.#wake?.();
  }

  /** Resolves at the next change, or when one of the signals aborts. */
  async change(signals: readonly AbortSignal[]): Promise<void> {
    if (this.#changed || signals.some((signal) => signal.aborted)) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => done(), RECHECK_MS);
      const done = (): void => {
        clearTimeout(timer);
        this.#wake = undefined;
        for (const signal of signals) signal.removeEventListener('abort', done);
        resolve();
      };
      this.#wake = done;
      for (const signal of signals) signal.addEventListener('abort', done);
    });
  }

  close(): void {
    this.#watcher?.close();
    this.#watcher = undefined;
    this.#fd = undefined;
  }
}
