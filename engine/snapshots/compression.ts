import { Readable, type Transform } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';

import { invalidParameter } from '../errors.ts';
import { hasIsal, Inflater } from '../linux/isal.ts';

export type Compression = 'none' | 'gzip' | 'zstd' | 'xz' | 'bzip2';

/** Tells the compression of a stream from its first bytes, as Docker does; unknown bytes count as uncompressed. */
export function detectCompression(head: Buffer): Compression {
  const starts = (...bytes: number[]) => bytes.every((byte, index) => head[index] === byte);
  if (starts(0x1f, 0x8b, 0x08)) return 'gzip';
  if (starts(0x28, 0xb5, 0x2f, 0xfd)) return 'zstd';
  // A skippable frame, as zstd:chunked begins with.
  if (head[0] !== undefined && (head[0] & 0xf0) === 0x50 && head[1] === 0x2a && head[2] === 0x4d && head[3] === 0x18) {
    return 'zstd';
  }
  if (starts(0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00)) return 'xz';
  if (starts(0x42, 0x5a, 0x68)) return 'bzip2';
  return 'none';
}

const CHUNK = 256 * 1024;

/** A decompressor that works on the thread pool. */
export function decompressor(compression: 'gzip' | 'zstd'): Transform {
  return compression === 'gzip' ? createGunzip({ chunkSize: CHUNK }) : createZstdDecompress({ chunkSize: CHUNK });
}

/**
 * Undoes a layer's compression. Layers come plain, gzip or zstd; anything else is refused. A chunk is valid until the next
 * one is asked for.
 */
export async function* decompress(source: AsyncIterable<Buffer>, compression: Compression): AsyncGenerator<Buffer> {
  if (compression === 'none') yield* source;
  else if (compression === 'gzip' && hasIsal()) yield* throughIsal(source);
  else if (compression === 'gzip' || compression === 'zstd') yield* throughStream(source, decompressor(compression));
  else throw invalidParameter(`unsupported layer compression ${compression}`);
}

async function* throughStream(source: AsyncIterable<Buffer>, output: Transform): AsyncGenerator<Buffer> {
  const input = Readable.from(source, { objectMode: false, highWaterMark: CHUNK });
  input.on('error', (error) => output.destroy(error));
  input.pipe(output);
  try {
    for await (const chunk of output) yield chunk as Buffer;
  } finally {
    input.destroy();
    output.destroy();
  }
}

/** On this thread, a chunk at a time. */
async function* throughIsal(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const inflater = new Inflater();
  for await (const chunk of source) yield* inflater.push(chunk);
  inflater.end();
}

/** zlib's words for what is wrong, in the words that pulls and loads report. */
export function describeCorruption(error: unknown): Error {
  const code = (error as NodeJS.ErrnoException | undefined)?.code ?? '';
  if (code === 'Z_BUF_ERROR') return invalidParameter('unexpected EOF', error);
  if (code.startsWith('Z_') || code.startsWith('ZSTD')) {
    return invalidParameter(`corrupt layer: ${(error as Error).message}`, error);
  }
  return error instanceof Error ? error : invalidParameter(String(error));
}
