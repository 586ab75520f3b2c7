import { mkdirSync, readdirSync, renameSync } from 'node:fs';
import { rm } from 'node:fs/promises';

import { log } from '../log.ts';

import type { UnpackPool } from './unpack.ts';

const DELAY_MS = 100;

/**
 * Removal that costs its caller one rename: what is thrown away vanishes at once under its name and is deleted later,
 * off the engine's thread. What a crash left in the folder goes at the next start.
 */
export class Trash {
  readonly #folder: string;
  readonly #pool: UnpackPool;
  #next = 0;
  #timer: NodeJS.Timeout | undefined;
  #large = false;
  #emptying: Promise<void> | undefined;

  constructor(folder: string, pool: UnpackPool) {
    this.#folder = folder;
    this.#pool = pool;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    if (readdirSync(folder).length > 0) this.#schedule(true);
  }

  /** @param large likely thousands of files: deleted by a worker thread. A path that is gone is not an error. */
  throwAway(path: string, large: boolean): void {
    try {
      renameSync(path, `${this.#folder}/${Date.now()}-${this.#next++}`);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
      throw error;
    }
    this.#schedule(large);
  }

  /** Resolves when all that was thrown away so far is deleted. */
  async settled(): Promise<void> {
    if (this.#timer) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
      this.#start();
    }
    await this.#emptying;
  }

  #schedule(large: boolean): void {
    this.#large ||= large;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#start();
    }, DELAY_MS).unref();
  }

  #start(): void {
    const large = this.#large;
    this.#large = false;
    const before = this.#emptying ?? Promise.resolve();
    this.#emptying = before
      .then(() => this.#empty(large))
      .catch((error: unknown) => log.warn('could not empty the trash', { folder: this.#folder, error }));
  }

  async #empty(large: boolean): Promise<void> {
    if (large) return this.#pool.clear(this.#folder);
    for (const name of readdirSync(this.#folder)) await rm(`${this.#folder}/${name}`, { recursive: true, force: true });
  }
}
