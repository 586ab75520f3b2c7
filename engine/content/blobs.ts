import { createHash, type Hash } from 'node:crypto';
import { createReadStream, linkSync, mkdirSync, readdirSync, renameSync, rmSync, unlinkSync } from 'node:fs';
import { type FileHandle, open, readFile, rm } from 'node:fs/promises';

import { Readable } from 'node:stream';

import { cancelled, invalidParameter, notFound } from '../errors.ts';
import { log } from '../log.ts';
import { BlobRepository } from '../store/blobs.ts';
import type { Database } from '../store/database.ts';
import { type Digest, digestHex } from '../store/digest.ts';

/** A verified blob under a temporary name; durable and known to others once committed. */
export interface StagedBlob {
  readonly digest: Digest;
  readonly size: number;
  readonly path: string;
}

interface BlobsOptions {
  /** The data root. */
  readonly root: string;
  readonly db: Database;
  /** Bytes of blobs that are no files here because something else holds what they consist of. */
  readonly assembled?: (digest: Digest, signal: AbortSignal) => AsyncIterable<Buffer> | undefined;
}

/** Small network chunks are gathered into writes of this size. */
const WRITE_SIZE = 1024 * 1024;
const never = new AbortController().signal;
const READ_SIZE = 512 * 1024;

/**
 * The content store: blobs by digest under `<data-root>/content/`, written to `ingest/`, renamed to `blobs/sha256/`, then
 * entered in the database. What `ingest/` holds at start is a crash's and is removed, as are blobs without a row.
 */
export class Blobs {
  readonly rows: BlobRepository;
  readonly #root: string;
  readonly #assembled: NonNullable<BlobsOptions['assembled']>;
  #next = 0;

  constructor(options: BlobsOptions) {
    this.#assembled = options.assembled ?? (() => undefined);
    this.#root = `${options.root}/content`;
    mkdirSync(`${this.#root}/blobs/sha256`, { recursive: true, mode: 0o700 });
    mkdirSync(`${this.#root}/ingest`, { recursive: true, mode: 0o700 });
    this.rows = new BlobRepository(options.db);
    this.#sweep();
  }

  has(digest: Digest): boolean {
    return this.rows.size(digest) !== undefined;
  }

  size(digest: Digest): number | undefined {
    return this.rows.size(digest);
  }

  /** The file of a blob that has one: see `assembled`. */
  path(digest: Digest): string {
    return `${this.#root}/blobs/sha256/${digestHex(digest)}`;
  }

  /** A whole blob in memory: for manifests and configurations. */
  async read(digest: Digest): Promise<Buffer> {
    if (!this.has(digest)) throw notFound(`content ${digest} not found`);
    return readFile(this.path(digest));
  }

  /**
   * A blob's bytes. A chunk is valid until the next one is asked for: two buffers take turns, one being read while the
   * consumer writes the other, because fresh memory for each chunk costs more than the copy.
   */
  async *stream(digest: Digest, signal: AbortSignal): AsyncGenerator<Buffer> {
    const assembled = this.#assembled(digest, signal);
    if (assembled) {
      yield* assembled;
      return;
    }
    const file = await open(this.path(digest), 'r');
    const buffers = [Buffer.allocUnsafeSlow(READ_SIZE), Buffer.allocUnsafeSlow(READ_SIZE)] as const;
    let reading: Promise<{ bytesRead: number }> | undefined;
    try {
      for (let turn = 0; ; turn ^= 1) {
        reading ??= file.read(buffers[turn === 0 ? 0 : 1], 0, READ_SIZE);
        const { bytesRead } = await reading;
        if (bytesRead === 0) return;
        if (signal.aborted) throw cancelled();
        reading = file.read(buffers[turn === 0 ? 1 : 0], 0, READ_SIZE);
        yield buffers[turn === 0 ? 0 : 1].subarray(0, bytesRead);
      }
    } finally {
      await reading?.catch(() => undefined);
      await file.close();
    }
  }

  /** As stream, from an offset on, for whoever wants a Readable. */
  open(digest: Digest, from: number, signal: AbortSignal): Readable {
    const assembled = this.#assembled(digest, signal);
    if (!assembled) return createReadStream(this.path(digest), { start: from, highWaterMark: WRITE_SIZE });
    return Readable.from(copiesFrom(assembled, from), { objectMode: false });
  }

  /** As read, for a blob that may not be committed yet. */
  readStaged(blob: StagedBlob): Promise<Buffer> {
    return readFile(this.has(blob.digest) ? this.path(blob.digest) : blob.path);
  }

  /** The first bytes of a file, as many as there are up to `length`. */
  async head(path: string, length = 512): Promise<Buffer> {
    const file = await open(path, 'r');
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, 0);
      return buffer.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  }

  writer(): Promise<BlobWriter> {
    return BlobWriter.create(`${this.#root}/ingest/${process.pid}-${Date.now()}-${this.#next++}`);
  }

  /** Stores a stream, verifying digest and size where they are known. Leaves nothing behind when it fails. */
  async ingest(
    source: AsyncIterable<Buffer> | Iterable<Buffer>,
    options: { digest?: Digest; size?: number; signal?: AbortSignal; onBytes?: (total: number) => void } = {},
  ): Promise<StagedBlob> {
    const writer = await this.writer();
    try {
      for await (const chunk of source) {
        if (options.signal?.aborted) throw cancelled();
        if (options.size !== undefined && writer.size + chunk.length > options.size) {
          throw invalidParameter(`unexpected size: more than ${options.size} bytes`);
        }
        await writer.write(chunk);
        options.onBytes?.(writer.size);
      }
      return await writer.finish(options);
    } catch (error) {
      await writer.abort();
      throw error;
    }
  }

  /**
   * Gives a staged blob its place and row. Synchronous; call after a sync, inside the caller's transaction. The temporary
   * name stays until `discard`, for others who are still reading the blob by it.
   */
  commit(blob: StagedBlob): void {
    if (this.has(blob.digest)) return;
    try {
      linkSync(blob.path, this.path(blob.digest));
    } catch (error) {
      // Left by a transaction that failed; content is named by its digest, so it is the same.
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    this.rows.add(blob.digest, blob.size);
  }

  /** Removes the temporary name. */
  discard(blob: StagedBlob): void {
    rmSync(blob.path, { force: true });
  }

  /**
   * Forgets blobs. Call inside the caller's transaction, and `unlink` after it.
   * @param assembled those that are no files
   * @returns bytes freed
   */
  remove(digests: readonly Digest[], assembled: ReadonlySet<Digest>): number {
    let freed = 0;
    for (const digest of digests) {
      if (!assembled.has(digest)) freed += this.rows.size(digest) ?? 0;
      this.rows.remove(digest);
    }
    return freed;
  }

  /** Deletes the files of blobs that have no row (any more): out of the way at once, off the disk soon after. */
  unlink(digests: readonly Digest[]): void {
    for (const digest of digests) {
      if (this.has(digest)) continue;
      const grave = `${this.#root}/ingest/removed-${Date.now()}-${this.#next++}`;
      try {
        renameSync(this.path(digest), grave);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') continue;
        throw error;
      }
      rm(grave, { force: true }).catch((error: unknown) => log.warn('could not delete a blob', { digest, error }));
    }
  }

  /** What records and files disagree on (fsck). */
  check(): string[] {
    const found = new Set(readdirSync(`${this.#root}/blobs/sha256`));
    const findings: string[] = [];
    for (const [digest] of this.rows.all()) {
      if (!found.delete(digestHex(digest)) && !this.#isAssembled(digest)) findings.push(`blob ${digest} is missing`);
    }
    for (const name of found) findings.push(`blob file ${name} belongs to nothing`);
    return findings;
  }

  #isAssembled(digest: Digest): boolean {
    return this.#assembled(digest, never) !== undefined;
  }

  /** Names in the ingest folder: what operations are writing right now. */
  unfinished(): string[] {
    return readdirSync(`${this.#root}/ingest`);
  }

  #sweep(): void {
    for (const name of readdirSync(`${this.#root}/ingest`)) unlinkSync(`${this.#root}/ingest/${name}`);
    const found = new Set(readdirSync(`${this.#root}/blobs/sha256`));
    for (const name of found) {
      if (!this.has(`sha256:${name}` as Digest)) unlinkSync(`${this.#root}/blobs/sha256/${name}`);
    }
    for (const [digest] of this.rows.all()) {
      if (!found.has(digestHex(digest)) && !this.#isAssembled(digest)) log.error('a blob is missing', { digest });
    }
  }
}

/** Writes one blob and hashes it on the way. `size` is how far it has come, so that a broken download can go on. */
export class BlobWriter {
  readonly path: string;
  size = 0;
  /**
   * For readers of the unfinished file: one 64-bit number, four times the bytes written plus a state (0 writing,
   * 1 complete, 2 failed), notified at each change. Complete says that all bytes are there, not that they are right.
   */
  readonly follow = new SharedArrayBuffer(8);
  readonly #progress = new BigInt64Array(this.follow);
  readonly #file: FileHandle;
  readonly #hash: Hash = createHash('sha256');
  #pending: Buffer[] = [];
  #pendingSize = 0;
  #written = 0;

  private constructor(path: string, file: FileHandle) {
    this.path = path;
    this.#file = file;
  }

  static async create(path: string): Promise<BlobWriter> {
    return new BlobWriter(path, await open(path, 'wx', 0o600));
  }

  /** The chunk must not change afterwards. */
  async write(chunk: Buffer): Promise<void> {
    this.#hash.update(chunk);
    this.size += chunk.length;
    this.#pending.push(chunk);
    this.#pendingSize += chunk.length;
    if (this.#pendingSize >= WRITE_SIZE) await this.#flush();
  }

  async #flush(): Promise<void> {
    const pending = this.#pending;
    let left = this.#pendingSize;
    this.#pending = [];
    this.#pendingSize = 0;
    while (left > 0) {
      const { bytesWritten } = await this.#file.writev(pending);
      left -= bytesWritten;
      this.#written += bytesWritten;
      this.#tell(0);
      if (left === 0) return;
      // A short write: drop what is written and go on with the rest.
      let done = bytesWritten;
      while (done > 0) {
        const first = pending[0] as Buffer;
        if (first.length > done) {
          pending[0] = first.subarray(done);
          break;
        }
        done -= first.length;
        pending.shift();
      }
    }
  }

  #tell(state: 0 | 1 | 2): void {
    Atomics.store(this.#progress, 0, BigInt(this.#written * 4 + state));
    Atomics.notify(this.#progress, 0);
  }

  /** Verifies and closes. @param options.durable waits until the bytes are on disk (else the caller syncs) */
  async finish(options: { digest?: Digest; size?: number; durable?: boolean } = {}): Promise<StagedBlob> {
    await this.#flush();
    this.#tell(1);
    if (options.size !== undefined && options.size !== this.size) {
      throw invalidParameter(`unexpected size: expected ${options.size} bytes, got ${this.size}`);
    }
    const digest = `sha256:${this.#hash.digest('hex')}` as Digest;
    if (options.digest !== undefined && options.digest !== digest) {
      throw invalidParameter(`filesystem layer verification failed for digest ${options.digest}`);
    }
    if (options.durable) await this.#file.datasync();
    await this.#file.close();
    return { digest, size: this.size, path: this.path };
  }

  /** Removes what was written. */
  async abort(): Promise<void> {
    this.#pending = [];
    this.#tell(2);
    await this.#file.close().catch(() => undefined);
    rmSync(this.path, { force: true });
  }
}

/** A Readable reads ahead, so that each chunk must be its own. */
async function* copiesFrom(chunks: AsyncIterable<Buffer>, from: number): AsyncGenerator<Buffer> {
  let skip = from;
  for await (const chunk of chunks) {
    if (skip < chunk.length) yield Buffer.from(chunk.subarray(skip));
    skip = Math.max(0, skip - chunk.length);
  }
}
