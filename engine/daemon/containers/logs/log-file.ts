import type { FileHandle } from 'node:fs/promises';
import { createGunzip } from 'node:zlib';

/** One file of a log, open: it may get another name, or none, while it is read. */
export interface OpenFile {
  readonly handle: FileHandle;
  readonly ino: number;
  /** Bytes to read of it, at most. */
  readonly size: number;
  readonly compressed: boolean;
}

const CHUNK = 256 * 1024;
const NEWLINE = 10;

/** @param offset where to begin; must be 0 in a compressed file */
export function chunksOf({ handle, compressed, size }: OpenFile, offset = 0): AsyncIterable<Buffer> {
  if (offset >= size) return none();
  const raw = handle.createReadStream({ start: offset, end: size - 1, autoClose: false, highWaterMark: CHUNK });
  return compressed ? raw.pipe(createGunzip()) : raw;
}

async function* none(): AsyncGenerator<Buffer> {}

/** Whole lines, many at a time. */
export async function* split(chunks: AsyncIterable<Buffer>): AsyncGenerator<string[]> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of chunks) {
    const data = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
    const end = data.lastIndexOf(NEWLINE);
    rest = Buffer.from(data.subarray(end + 1));
    if (end >= 0) yield data.toString('utf8', 0, end).split('\n');
  }
}

/** Where to begin reading: a file, an offset in it, and lines to leave out from there on. */
export interface TailPlace {
  readonly file: number;
  readonly offset: number;
  readonly skip: number;
}

/** The place of the last `lines` lines of some files, the oldest first. Reads no more of plain files than those lines. */
export async function tailPlace(files: readonly OpenFile[], lines: number): Promise<TailPlace> {
  let left = lines;
  for (let index = files.length - 1; index >= 0; index--) {
    const file = files[index] as OpenFile;
    if (file.compressed) {
      const count = await countLines(file);
      if (count >= left) return { file: index, offset: 0, skip: count - left };
      left -= count;
      continue;
    }
    const { offset, count } = await lastLines(file, left);
    if (offset > 0 || count === left) return { file: index, offset, skip: 0 };
    left -= count;
  }
  return { file: 0, offset: 0, skip: 0 };
}

async function countLines(file: OpenFile): Promise<number> {
  let count = 0;
  for await (const chunk of chunksOf(file)) {
    for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, at + 1)) count++;
  }
  return count;
}

/** Where the last `lines` lines begin; 0 and how many there are when there are no more. */
async function lastLines({ handle, size }: OpenFile, lines: number): Promise<{ offset: number; count: number }> {
  const buffer = Buffer.allocUnsafe(Math.min(CHUNK, size));
  let newlines = 0;
  for (let end = size; end > 0; ) {
    const start = Math.max(0, end - CHUNK);
    const { bytesRead } = await handle.read(buffer, 0, end - start, start);
    const chunk = buffer.subarray(0, bytesRead);
    for (let at = chunk.lastIndexOf(NEWLINE); at >= 0; at = at === 0 ? -1 : chunk.lastIndexOf(NEWLINE, at - 1)) {
      // The newline before the first of them.
      if (newlines === lines) return { offset: start + at + 1, count: lines };
      newlines++;
    }
    end = start;
  }
  return { offset: 0, count: newlines };
}
