import {
  close,
  constants,
  createReadStream,
  createWriteStream,
  fstatSync,
  openSync,
  renameSync,
  rmSync,
  write,
} from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';

import { preciseNow } from './clock.ts';
import type { LogTarget } from './protocol.ts';

export type OutputName = 'stdout' | 'stderr';

/** Longest piece of a line in one record, as Docker's copier has it: longer lines become several records. */
const PIECE = 16 * 1024;

/** Queued bytes above which the writer asks the source to wait. */
const HIGH_WATER = 1024 * 1024;

/**
 * Writes a container's output in Docker's json-file format: one `{"log","stream","time"}` object a line, UTF-8.
 *
 * Durable when: handed to the kernel; a kill of the shim loses at most what is queued here. A disk that is full never
 * stops a container: lines that can't be written are counted and reported, and writing resumes when there is room.
 */
export class LogWriter {
  readonly #target: Extract<LogTarget, { driver: 'json-file' }>;
  readonly #suffix: string;
  readonly #onLoss: (lines: number, reason: string) => void;
  readonly #partial: Record<OutputName, Buffer[]> = { stdout: [], stderr: [] };
  readonly #partialSize: Record<OutputName, number> = { stdout: 0, stderr: 0 };
  #fd: number;
  #size: number;
  #queue: Buffer[] = [];
  #queued = 0;
  #writing = false;
  #waiters: (() => void)[] = [];
  #idle: (() => void)[] = [];

  constructor(target: Extract<LogTarget, { driver: 'json-file' }>, onLoss: (lines: number, reason: string) => void) {
    this.#target = target;
    this.#onLoss = onLoss;
    this.#suffix = target.attributes ? `,"attrs":${JSON.stringify(target.attributes)}` : '';
    this.#fd = openLog(target.path);
    this.#size = fstatSync(this.#fd).size;
  }

  /** Takes a chunk of output. Returns false when the source should pause until `drained`. */
  write(stream: OutputName, chunk: Buffer): boolean {
    let start = 0;
    let text = '';
    const tail = `,"stream":"${stream}"${this.#suffix},"time":"${preciseNow()}"}\n`;
    for (;;) {
      const newline = chunk.indexOf(10, start);
      const end = newline < 0 ? chunk.length : newline + 1;
      // Whole lines straight out of the chunk are the common case; only broken ones are gathered.
      if (this.#partialSize[stream] === 0 && newline >= 0 && end - start <= PIECE) {
        text += `{"log":${JSON.stringify(chunk.toString('utf8', start, end))}${tail}`;
      } else if (end > start) {
        text += this.#gather(stream, chunk.subarray(start, end), newline >= 0, tail);
      }
      if (newline < 0) break;
      start = end;
    }
    if (text) this.#enqueue(Buffer.from(text));
    return this.#queued < HIGH_WATER;
  }

  #gather(stream: OutputName, piece: Buffer, complete: boolean, tail: string): string {
    let text = '';
    this.#partial[stream].push(piece);
    this.#partialSize[stream] += piece.length;
    if (!complete && this.#partialSize[stream] < PIECE) return text;
    let line = Buffer.concat(this.#partial[stream]);
    while (line.length > PIECE) {
      const cut = utf8Boundary(line, PIECE);
      text += `{"log":${JSON.stringify(line.toString('utf8', 0, cut))}${tail}`;
      line = line.subarray(cut);
    }
    if (complete) {
      text += `{"log":${JSON.stringify(line.toString('utf8'))}${tail}`;
      line = Buffer.alloc(0);
    }
    this.#partial[stream] = line.length > 0 ? [line] : [];
    this.#partialSize[stream] = line.length;
    return text;
  }

  #enqueue(data: Buffer): void {
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
    const batch = this.#queue.length === 1 ? this.#queue[0]! : Buffer.concat(this.#queue);
    this.#queue = [];
    this.#writeAll(batch, 0);
  }

  #writeAll(batch: Buffer, offset: number): void {
    write(this.#fd, batch, offset, batch.length - offset, null, (error, written) => {
      if (error) this.#onLoss(countLines(batch, offset), error.message);
      else if (offset + written < batch.length) return this.#writeAll(batch, offset + written);
      this.#queued -= batch.length;
      if (!error) this.#size += batch.length;
      if (this.#queued < HIGH_WATER) for (const resume of this.#waiters.splice(0)) resume();
      if (this.#target.maxSize && this.#size >= this.#target.maxSize) this.#rotate();
      this.#flush();
    });
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
      const extension = compress ? '.gz' : '';
      rmSync(`${path}.${maxFiles - 1}${extension}`, { force: true });
      for (let n = maxFiles - 2; n >= 1; n--) renameIfThere(`${path}.${n}${extension}`, `${path}.${n + 1}${extension}`);
      renameIfThere(path, `${path}.1`);
      if (compress) void compressFile(`${path}.1`);
    }
    this.#fd = openLog(path);
    this.#size = 0;
  }

  /** Writes what is left, an unfinished last line included, and closes the file. */
  async end(): Promise<void> {
    for (const stream of ['stdout', 'stderr'] as const) {
      const rest = Buffer.concat(this.#partial[stream]);
      this.#partial[stream] = [];
      this.#partialSize[stream] = 0;
      if (rest.length === 0) continue;
      const tail = `,"stream":"${stream}"${this.#suffix},"time":"${preciseNow()}"}\n`;
      this.#enqueue(Buffer.from(`{"log":${JSON.stringify(rest.toString('utf8'))}${tail}`));
    }
    if (this.#writing) await new Promise<void>((resolve) => this.#idle.push(resolve));
    close(this.#fd);
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

async function compressFile(path: string): Promise<void> {
  try {
    await pipeline(createReadStream(path), createGzip(), createWriteStream(`${path}.gz.tmp`, { mode: 0o640 }));
    renameSync(`${path}.gz.tmp`, `${path}.gz`);
    rmSync(path, { force: true });
  } catch {
    rmSync(`${path}.gz.tmp`, { force: true });
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
