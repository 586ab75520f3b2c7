import { closeSync, openSync, readSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';

import { cancelled } from '../errors.ts';

const READ_SIZE = 512 * 1024;
/** Reads between looks at the message queue, so that an abort is heard. */
const READS_PER_TURN = 8;
const WAIT_MS = 1000;

/** The writer's state, in the two lowest bits. */
const COMPLETE = 1;
const FAILED = 2;

/**
 * A blob file as chunks, read synchronously (this is a worker thread). It can be read while it is still being written:
 * `follow` holds one 64-bit number, four times the bytes available plus the writer's state, and is notified at each change.
 */
export class BlobFile implements AsyncIterable<Buffer> {
  bytesRead = 0;
  readonly #fd: number;
  readonly #follow: BigInt64Array | undefined;
  readonly #aborted: () => boolean;
  #reads = 0;
  /** One buffer for all chunks: for consumers that are done with a chunk when they ask for the next. */
  reuse = false;
  #buffer: Buffer | undefined;

  constructor(path: string, follow: SharedArrayBuffer | undefined, aborted: () => boolean) {
    this.#fd = openSync(path, 'r');
    this.#follow = follow && new BigInt64Array(follow);
    this.#aborted = aborted;
  }

  /** The first bytes, without moving on. */
  async head(): Promise<Buffer> {
    await this.#available(0, 512);
    const head = Buffer.alloc(512);
    return head.subarray(0, readSync(this.#fd, head, 0, 512, 0));
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    for (;;) {
      const limit = await this.#available(this.bytesRead, 1);
      const want = Math.min(READ_SIZE, limit - this.bytesRead);
      if (want <= 0) return;
      const buffer = this.#take(want);
      const read = readSync(this.#fd, buffer, 0, want, this.bytesRead);
      if (read === 0) return;
      this.bytesRead += read;
      yield buffer.subarray(0, read);
      if (++this.#reads % READS_PER_TURN === 0) await nextTurn();
      if (this.#aborted()) throw cancelled();
    }
  }

  /** Fresh memory for each chunk costs more than reading it: every page is a fault. */
  #take(size: number): Buffer {
    if (!this.reuse) return Buffer.allocUnsafe(size);
    this.#buffer ??= Buffer.allocUnsafeSlow(READ_SIZE);
    return this.#buffer;
  }

  close(): void {
    closeSync(this.#fd);
  }

  /** Waits until `count` bytes from `at` on can be read, or all there will be. Returns how far the file can be read. */
  async #available(at: number, count: number): Promise<number> {
    const follow = this.#follow;
    if (!follow) return Number.POSITIVE_INFINITY;
    for (;;) {
      const value = Atomics.load(follow, 0);
      const state = Number(value & 3n);
      const written = Number(value >> 2n);
      if (state === FAILED || this.#aborted()) throw cancelled();
      if (state === COMPLETE || written >= at + count) return written;
      await Atomics.waitAsync(follow, 0, value, WAIT_MS).value;
    }
  }
}
