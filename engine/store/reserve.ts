import { rmSync, statfsSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

const SIZE = 2 * 1024 * 1024;
/** Less room than this and a transaction might fail. */
const TIGHT = 512 * 1024;
/** With more room than this the reserve is laid up (again). */
const AMPLE = 32 * 1024 * 1024;

/**
 * Room for records on a disk that containers or images have filled: without it nothing could be removed either, since a
 * removal is a record first. A file beside the database takes the room, and gives it to the transaction that has none.
 */
export class Reserve {
  readonly #path: string;
  #there: boolean;

  constructor(database: string) {
    this.#path = `${database}.reserve`;
    this.#there = false;
    this.#layUp(this.#free());
  }

  /** Call before writing; two microseconds. */
  makeRoom(): void {
    const free = this.#free();
    if (!this.#there) this.#layUp(free);
    else if (free < TIGHT) {
      rmSync(this.#path, { force: true });
      this.#there = false;
    }
  }

  #free(): number {
    const { bavail, bsize } = statfsSync(dirname(this.#path));
    return bavail * bsize;
  }

  #layUp(free: number): void {
    if (free < AMPLE) return;
    try {
      writeFileSync(this.#path, Buffer.alloc(SIZE), { mode: 0o600 });
      this.#there = true;
    } catch {
      // Somebody took the room meanwhile.
      rmSync(this.#path, { force: true });
    }
  }
}
