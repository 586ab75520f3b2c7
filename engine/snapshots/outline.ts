import { closeSync, constants, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';

import { cancelled, systemError } from '../errors.ts';

import { pathOf } from './tar/header.ts';

/**
 * What a layer's tar holds besides the content of its files: together with the layer's folder, which never changes, it gives
 * the tar back byte for byte, so that a layer isn't kept twice (as tar-split does for dockerd).
 *
 * The file is a row of frames, each four bytes of length and that many of zstd. Unpacked and joined they are records:
 * `0, length (4 bytes), bytes` and `1, length of the path (2), path, length of the content (6)`.
 */
const RAW = 0;
const FILE = 1;
const RAW_HEAD = 5;
const FILE_HEAD = 9;
/** Unpacked bytes of a frame, at most this and one record. */
const FRAME = 512 * 1024;
const MAX_RAW = 256 * 1024;

/** Writes an outline. Synchronous, so that a worker can do it on the way. */
export class OutlineWriter {
  readonly #path: string;
  #fd: number;
  #parts: Buffer[] = [];
  #size = 0;
  #file: { path: string; length: number } | undefined;

  constructor(path: string) {
    this.#path = path;
    this.#fd = openSync(path, 'wx', 0o600);
  }

  /** Bytes of the tar, as they are. The buffer may change afterwards. */
  raw(bytes: Buffer): void {
    if (bytes.length === 0) return;
    this.#endFile();
    for (let at = 0; at < bytes.length; at += MAX_RAW) {
      const piece = bytes.subarray(at, at + MAX_RAW);
      const head = Buffer.allocUnsafe(RAW_HEAD);
      head[0] = RAW;
      head.writeUInt32LE(piece.length, 1);
      this.#put(head, Buffer.from(piece));
    }
  }

  /** The next `length` bytes of the tar are the next ones of a file. @param path in the layer, a byte string */
  content(path: string, length: number): void {
    if (length === 0) return;
    if (this.#file?.path === path) this.#file.length += length;
    else {
      this.#endFile();
      this.#file = { path, length };
    }
  }

  finish(): void {
    this.#endFile();
    this.#writeFrame();
    closeSync(this.#fd);
    this.#fd = -1;
  }

  /** Removes what was written. */
  abort(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
    rmSync(this.#path, { force: true });
  }

  #endFile(): void {
    const file = this.#file;
    if (!file) return;
    this.#file = undefined;
    const path = Buffer.from(file.path, 'latin1');
    const record = Buffer.allocUnsafe(FILE_HEAD + path.length);
    record[0] = FILE;
    record.writeUInt16LE(path.length, 1);
    path.copy(record, 3);
    record.writeUIntLE(file.length, 3 + path.length, 6);
    this.#put(record);
  }

  #put(...parts: Buffer[]): void {
    for (const part of parts) {
      this.#parts.push(part);
      this.#size += part.length;
    }
    if (this.#size >= FRAME) this.#writeFrame();
  }

  #writeFrame(): void {
    if (this.#size === 0) return;
    const packed = zstdCompressSync(Buffer.concat(this.#parts));
    const head = Buffer.allocUnsafe(4);
    head.writeUInt32LE(packed.length);
    const all = Buffer.concat([head, packed]);
    for (let at = 0; at < all.length; ) at += writeSync(this.#fd, all, at);
    this.#parts = [];
    this.#size = 0;
  }
}

const CHUNK = 512 * 1024;

/** The tar again. A chunk is valid until the next one is asked for. Fails when the folder isn't what it was. */
export async function* tarOfOutline(outline: string, folder: string, signal: AbortSignal): AsyncGenerator<Buffer> {
  const chunk = Buffer.allocUnsafeSlow(CHUNK);
  let filled = 0;
  for await (const frame of frames(outline)) {
    for (let at = 0; at < frame.length; ) {
      if (frame[at] === RAW) {
        const length = frame.readUInt32LE(at + 1);
        if (filled + length > CHUNK) {
          yield chunk.subarray(0, filled);
          filled = 0;
        }
        frame.copy(chunk, filled, at + RAW_HEAD, at + RAW_HEAD + length);
        filled += length;
        at += RAW_HEAD + length;
        continue;
      }
      const pathLength = frame.readUInt16LE(at + 1);
      const path = frame.toString('latin1', at + 3, at + 3 + pathLength);
      const length = frame.readUIntLE(at + 3 + pathLength, 6);
      at += FILE_HEAD + pathLength;
      const fd = openFile(folder, path);
      try {
        for (let position = 0; position < length; ) {
          if (filled === CHUNK) {
            yield chunk;
            filled = 0;
            if (signal.aborted) throw cancelled();
          }
          const read = readSync(fd, chunk, filled, Math.min(CHUNK - filled, length - position), position);
          if (read === 0) throw systemError(`layer is damaged: ${path} is shorter than it was`);
          filled += read;
          position += read;
        }
      } finally {
        closeSync(fd);
      }
    }
    if (signal.aborted) throw cancelled();
  }
  if (filled > 0) yield chunk.subarray(0, filled);
}

function openFile(folder: string, path: string): number {
  try {
    return openSync(pathOf(`${folder}/${path}`), constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch (error) {
    throw systemError(`layer is damaged: ${path} can't be read`, error);
  }
}

async function* frames(path: string): AsyncGenerator<Buffer> {
  const file = await open(path, 'r');
  try {
    const head = Buffer.allocUnsafe(4);
    while (await readWhole(file, head)) {
      const packed = Buffer.allocUnsafe(head.readUInt32LE());
      if (!(await readWhole(file, packed))) throw systemError(`${path} is damaged`);
      yield zstdDecompressSync(packed);
    }
  } finally {
    await file.close();
  }
}

async function readWhole(file: FileHandle, buffer: Buffer): Promise<boolean> {
  for (let at = 0; at < buffer.length; ) {
    const { bytesRead } = await file.read(buffer, at, buffer.length - at, null);
    if (bytesRead === 0) return false;
    at += bytesRead;
  }
  return true;
}
