/** Remembers the accelerators that this computer seems to have and that did not run the machine. */
import { readFileSync, writeFileSync } from 'node:fs';
import type { Accelerator } from './types.ts';

/** After this an accelerator gets another chance: an update of the system or of QEMU may have mended it. */
const FORGET_MS = 24 * 3_600_000;

export class BrokenAccelerators {
  readonly #file: string;
  readonly #now: () => number;

  constructor(file: string, now: () => number = Date.now) {
    this.#file = file;
    this.#now = now;
  }

  /** The list without what failed lately; emulation always stays. */
  without(accelerators: readonly Accelerator[]): Accelerator[] {
    const failed = this.#read();
    return accelerators.filter((name) => name === 'tcg' || this.#now() - (failed[name] ?? -FORGET_MS) >= FORGET_MS);
  }

  add(accelerator: Accelerator): void {
    if (accelerator === 'tcg') return;
    writeFileSync(this.#file, JSON.stringify({ ...this.#read(), [accelerator]: this.#now() }), { mode: 0o600 });
  }

  /** Accelerator → when it failed, in milliseconds since the epoch. A file that can't be read counts as none. */
  #read(): Partial<Record<Accelerator, number>> {
    try {
      const value: unknown = JSON.parse(readFileSync(this.#file, 'utf8'));
      return typeof value === 'object' && value !== null ? value : {};
    } catch {
      return {};
    }
  }
}
