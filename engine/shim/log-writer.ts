import {
  close,
  closeSync,
  constants,
  createReadStream,
  createWriteStream,
  existsSync,
  fstatSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  write,
} from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';

import { preciseNow } from './clock.ts';
import { jsonFormat, type LogFormat, localFormat } from './log-format.ts';
import type { LogTarget } from './protocol.ts';

export type OutputName = 'stdout' | 'stderr';

type FileTarget = Exclude<LogTarget, { driver: 'none' }>;

/** Longest piece of a line in one record, as Docker's copier has it: longer lines become several records. */
const PIECE = 16 * 1024;

const NEWLINE = 10;
const LOSS_REPORT_MS = 1000;

/** Queued bytes above which the writer asks the source to wait. */
const HIGH_WATER = 1024 * 1024;

/**
 * Writes a container's output, one record a line, UTF-8 (log-format.ts).
 *
 * Durable when: handed to the kernel; a kill of the shim loses at most what is queued here. A disk that is full never
 * stops a container: lines that can't be written are counted and reported, at most once a second, and writing resumes when
 * there is room.
 */
export class LogWriter {
  readonly #target: FileTarget;
  readonly #format: LogFormat;
  readonly #onLoss: (lines: number, reason: string) => void;
  /** The rest of a record that a full disk cut. */
  #torn: Buffer = Buffer.alloc(0);
  /** What is being written begins with such a rest. */
  #resumed = false;
  #lost = 0;
  #lossReason = '';
  #lossTimer: NodeJS.Timeout | undefined;
  readonly #partial: Record<OutputName, Buffer[]> = { stdout: [], stderr: [] };
  readonly #partialSize: Record<OutputName, number> = { stdout: 0, stderr: 0 };
  /**
   * Where files are rotated, records are handed over in portions of this size, each with a time of its own: so a new file
   * begins with a later time than the last one ends with, by which a follower finds its place again.
   */
  readonly #portion: number;
  #fd: number;
  #size: number;
  #queue: Buffer[] = [];
  #queued = 0;
  #writing = false;
  #compressing = false;
  #waiters: (() => void)[] = [];
  #idle: (() => void)[] = [];

  constructor(target: FileTarget, onLoss: (lines: number, reason: string) => void) {
    this.#target = target;
    this.#onLoss = onLoss;
    this.#format = target.driver === 'local' ? localFormat : jsonFormat(target.attributes);
    this.#portion = target.maxSize ? Math.min(PIECE, target.maxSize / 8) : Number.POSITIVE_INFINITY;
    this.#fd = openLog(target.path);
    this.#size = fstatSync(this.#fd).size;
  }

  /** Takes a chunk of output. Returns false when the source should pause until `drained`. */
  write(stream: OutputName, chunk: Buffer): boolean {
    let start = 0;
    let text = '';
    let tail = this.#format.tail(stream, preciseNow());
    for (;;) {
      const newline = chunk.indexOf(10, start);
      const end = newline < 0 ? chunk.length : newline + 1;
      // Whole lines straight out of the chunk are the common case; only broken ones are gathered.
      if (this.#partialSize[stream] === 0 && newline >= 0 && end - start <= PIECE) {
        text += this.#format.record(chunk.toString('utf8', start, end), tail);
      } else if (end > start) {
        text += this.#gather(stream, chunk.subarray(start, end), newline >= 0, tail);
      }
      if (newline < 0) break;
      start = end;
      if (text.length > this.#portion) {
        this.#enqueue(Buffer.from(text));
        text = '';
        tail = this.#format.tail(stream, preciseNow());
      }
    }
    if (text) this.#enqueue(Buffer.from(text));
    return this.#queued < HIGH_WATER || this.#target.nonBlockingBytes !== undefined;
  }

  #gather(stream: OutputName, piece: Buffer, complete: boolean, tail: string): string {
    let text = '';
    this.#partial[stream].push(piece);
    this.#partialSize[stream] += piece.length;
    if (!complete && this.#partialSize[stream] < PIECE) return text;
    let line = Buffer.concat(this.#partial[stream]);
    while (line.length > PIECE) {
      const cut = utf8Boundary(line, PIECE);
      text += this.#format.record(line.toString('utf8', 0, cut), tail);
      line = line.subarray(cut);
    }
    if (complete) {
      text += this.#format.record(line.toString('utf8'), tail);
      line = Buffer.alloc(0);
    }
    this.#partial[stream] = line.length > 0 ? [line] : [];
    this.#partialSize[stream] = line.length;
    return text;
  }

  #enqueue(data: Buffer): void {
    if (this.#queued > (this.#target.nonBlockingBytes ?? Number.POSITIVE_INFINITY)) {
      this.#lose(countLines(data, 0), 'the buffer of the non-blocking log is full');
      return;
    }
    this.#queue.push(data);
    this.#queued += data.length;
    if (!this.#writing) this.#flush();
  }

  #flush(): void {
    if (this.#queue.length === 0) {
      this.#writing = false;
      for (const resume of this.#idle.splice(0)) resume();
      return;
    }
    this.#writing = true;
    const portions = this.#queue.splice(0, this.#untilRotation());
    this.#resumed = this.#torn.length > 0;
    if (this.#resumed) {
      portions.unshift(this.#torn);
      this.#queued += this.#torn.length;
      this.#torn = Buffer.alloc(0);
    }
    const batch = portions.length === 1 ? portions[0]! : Buffer.concat(portions);
    this.#writeAll(batch, 0);
  }

  /** After a failed write: the record that was written in part is finished before any other. */
  #keepTorn(batch: Buffer, offset: number, reason: string): void {
    const torn = offset === 0 ? this.#resumed : batch[offset - 1] !== NEWLINE;
    const end = torn ? batch.indexOf(NEWLINE, offset) + 1 : offset;
    this.#torn = batch.subarray(offset, end);
    this.#lose(countLines(batch, end), reason);
  }

  /** How many of the queued portions go into the live file before it is full. */
  #untilRotation(): number {
    const { maxSize } = this.#target;
    if (!maxSize) return this.#queue.length;
    let size = this.#size;
    let count = 0;
    while (count < this.#queue.length && (count === 0 || size < maxSize)) size += this.#queue[count++]!.length;
    return count;
  }

  #writeAll(batch: Buffer, offset: number): void {
    write(this.#fd, batch, offset, batch.length - offset, null, (error, written) => {
      if (!error && offset + written < batch.length) return this.#writeAll(batch, offset + written);
      this.#queued -= batch.length;
      this.#size += error ? offset : batch.length;
      if (error) this.#keepTorn(batch, offset, error.message);
      if (this.#queued < HIGH_WATER) for (const resume of this.#waiters.splice(0)) resume();
      if (this.#target.maxSize && this.#size >= this.#target.maxSize) this.#rotate();
      this.#flush();
    });
  }

  #lose(lines: number, reason: string): void {
    this.#lost += lines;
    this.#lossReason = reason;
    if (this.#lossTimer) return;
    this.#reportLoss();
    this.#lossTimer = setTimeout(() => {
      this.#lossTimer = undefined;
      this.#reportLoss();
    }, LOSS_REPORT_MS);
  }

  #reportLoss(): void {
    if (this.#lost > 0) this.#onLoss(this.#lost, this.#lossReason);
    this.#lost = 0;
  }

  /** Resolves when the queue is short again. */
  drained(): Promise<void> {
    return this.#queued < HIGH_WATER ? Promise.resolve() : new Promise((resolve) => this.#waiters.push(resolve));
  }

  #rotate(): void {
    const { path, maxFiles = 1, compress } = this.#target;
    close(this.#fd);
    if (maxFiles < 2) rmSync(path, { force: true });
    else {
      // One that has been compressed in the meantime keeps its place as well.
      for (const extension of ['', '.gz']) {
        rmSync(`${path}.${maxFiles - 1}${extension}`, { force: true });
        for (let n = maxFiles - 2; n >= 1; n--)
          renameIfThere(`${path}.${n}${extension}`, `${path}.${n + 1}${extension}`);
      }
      renameIfThere(path, `${path}.1`);
      if (compress && !this.#compressing) void this.#compressAll();
    }
    this.#fd = openLog(path);
    this.#size = 0;
  }

  /** Compresses rotated files, oldest first, one at a time. Files may be rotated on meanwhile. */
  async #compressAll(): Promise<void> {
    const { path, maxFiles = 1 } = this.#target;
    this.#compressing = true;
    for (let n = this.#oldestPlain(); n > 0; n = this.#oldestPlain()) {
      // Held open until it has its new name: the number of a file that is rotated away could be a new file's otherwise.
      const fd = openSync(`${path}.${n}`, constants.O_RDONLY);
      try {
        if (!(await compressFile(fd, `${path}.gz.tmp`))) break;
        const { ino } = fstatSync(fd);
        const now = numbers(maxFiles).find((k) => statSync(`${path}.${k}`, { throwIfNoEntry: false })?.ino === ino);
        if (now === undefined) continue;
        renameSync(`${path}.gz.tmp`, `${path}.${now}.gz`);
        rmSync(`${path}.${now}`, { force: true });
      } finally {
        closeSync(fd);
      }
    }
    rmSync(`${path}.gz.tmp`, { force: true });
    this.#compressing = false;
  }

  #oldestPlain(): number {
    const { path, maxFiles = 1 } = this.#target;
    return numbers(maxFiles).findLast((n) => existsSync(`${path}.${n}`)) ?? 0;
  }

  /** Writes what is left, an unfinished last line included, and closes the file. */
  async end(): Promise<void> {
    for (const stream of ['stdout', 'stderr'] as const) {
      const rest = Buffer.concat(this.#partial[stream]);
      this.#partial[stream] = [];
      this.#partialSize[stream] = 0;
      if (rest.length === 0) continue;
      this.#enqueue(Buffer.from(this.#format.record(rest.toString('utf8'), this.#format.tail(stream, preciseNow()))));
    }
    if (this.#torn.length > 0) this.#enqueue(Buffer.alloc(0));
    if (this.#writing) await new Promise<void>((resolve) => this.#idle.push(resolve));
    close(this.#fd);
    clearTimeout(this.#lossTimer);
    this.#reportLoss();
  }
}

const openLog = (path: string): number =>
  openSync(path, constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT, 0o640);

function renameIfThere(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

/** 1 … maxFiles - 1: what rotated files are called. */
const numbers = (maxFiles: number): number[] => Array.from({ length: maxFiles - 1 }, (_one, index) => index + 1);

/** @returns false when it can't be done now, for instance on a full disk: the file then stays as it is */
async function compressFile(fd: number, to: string): Promise<boolean> {
  try {
    const from = createReadStream('', { fd, start: 0, autoClose: false });
    await pipeline(from, createGzip(), createWriteStream(to, { mode: 0o640 }));
    return true;
  } catch {
    return false;
  }
}

function countLines(batch: Buffer, from: number): number {
  let lines = 0;
  for (let at = batch.indexOf(10, from); at >= 0; at = batch.indexOf(10, at + 1)) lines++;
  return lines;
}

/** The last place at or before `at` that doesn't split a UTF-8 sequence. */
function utf8Boundary(line: Buffer, at: number): number {
  let cut = at;
  while (cut > at - 4 && ((line[cut] ?? 0) & 0xc0) === 0x80) cut--;
  return cut > at - 4 ? cut : at;
}
