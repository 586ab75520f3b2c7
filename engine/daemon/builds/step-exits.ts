import type { ProcessExit, ShimEvent } from '../../runtime/runtime.ts';

/** Exits of RUN steps: the shim tells of them as of any container's. */
export class StepExits {
  readonly #waiting = new Map<string, (exit: ProcessExit) => void>();

  /** Call before the start, so that no exit can be missed. */
  expect(key: string): Promise<ProcessExit> {
    return new Promise((resolve) => this.#waiting.set(key, resolve));
  }

  drop(key: string): void {
    this.#waiting.delete(key);
  }

  /** The shim has died, and every step with it. */
  lost(): void {
    for (const key of [...this.#waiting.keys()]) this.#settle(key, { code: 255, at: Date.now() });
  }

  /** @returns whether the event was of a step */
  onShimEvent(event: ShimEvent): boolean {
    if (event.event !== 'exit') return false;
    return this.#settle(event.process.key, event.process.exit);
  }

  #settle(key: string, exit: ProcessExit): boolean {
    const resolve = this.#waiting.get(key);
    if (!resolve) return false;
    this.#waiting.delete(key);
    resolve(exit);
    return true;
  }
}
