import type { Transform } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';

import { invalidParameter } from '../errors.ts';

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

/** A decompressor that works on the thread pool. xz and bzip2 have none in Node; see engine/content. */
export function decompressor(compression: 'gzip' | 'zstd'): Transform {
  return compression === 'gzip' ? createGunzip({ chunkSize: CHUNK }) : createZstdDecompress({ chunkSize: CHUNK });
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
