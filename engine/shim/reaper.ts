import { becomeSubreaper, type ExitStatus, reapAny } from '../linux/processes.ts';

/** Exits of processes that nobody asked for yet are kept this long: a runtime tells a pid after the process began. */
const UNCLAIMED_MS = 60_000;

/**
 * Waits for every child of this process: the runtimes it starts, and, as subreaper, the container processes those leave
 * behind. One SIGCHLD may stand for many deaths, so each signal reaps all there are.
 */
export class Reaper {
  readonly #waiting = new Map<number, (status: ExitStatus & { at: number }) => void>();
  readonly #unclaimed = new Map<number, ExitStatus & { at: number }>();

  constructor() {
    becomeSubreaper();
    process.on('SIGCHLD', () => this.#reap());
    setInterval(() => this.#forgetOld(), UNCLAIMED_MS).unref();
  }

  /** Resolves when the process has died; at once when it already had. */
  exitOf(pid: number): Promise<ExitStatus & { at: number }> {
    const known = this.#unclaimed.get(pid);
    if (known) {
      this.#unclaimed.delete(pid);
      return Promise.resolve(known);
    }
    return new Promise((resolve) => {
      this.#waiting.set(pid, resolve);
      this.#reap();
    });
  }

  #reap(): void {
    for (let status = reapAny(); status; status = reapAny()) {
      const exit = { ...status, at: Date.now() };
      const resolve = this.#waiting.get(status.pid);
      if (resolve) {
        this.#waiting.delete(status.pid);
        resolve(exit);
      } else this.#unclaimed.set(status.pid, exit);
    }
  }

  #forgetOld(): void {
    const limit = Date.now() - UNCLAIMED_MS;
    for (const [pid, exit] of this.#unclaimed) if (exit.at < limit) this.#unclaimed.delete(pid);
  }
}
