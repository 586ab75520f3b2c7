import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { Readable, type Transform } from 'node:stream';
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

/** A decompressor that works on the thread pool. */
export function decompressor(compression: 'gzip' | 'zstd'): Transform {
  return compression === 'gzip' ? createGunzip({ chunkSize: CHUNK }) : createZstdDecompress({ chunkSize: CHUNK });
}

/**
 * Where it is installed, Intel's igzip inflates three to four times as fast as zlib (127 MB of files: 0.2 s against
 * 0.7 s); dockerd uses unpigz in the same way.
 */
const IGZIP = ['/usr/bin/igzip', '/bin/igzip'].find((path) => existsSync(path));

/** A start costs what zlib needs for about this much. */
const WORTH_A_PROGRAM = 2 * 1024 * 1024;

/** Undoes a layer's compression. Layers come plain, gzip or zstd; anything else is refused. */
export async function* decompress(
  source: AsyncIterable<Buffer>,
  compression: Compression,
  size: number | undefined,
): AsyncGenerator<Buffer> {
  if (compression === 'none') yield* source;
  else if (compression === 'gzip' && IGZIP && (size ?? Number.POSITIVE_INFINITY) > WORTH_A_PROGRAM)
    yield* throughProgram(source, IGZIP);
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

async function* throughProgram(source: AsyncIterable<Buffer>, program: string): AsyncGenerator<Buffer> {
  const child = spawn(program, ['-dc'], { stdio: ['pipe', 'pipe', 'ignore'] });
  const exit = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  exit.catch(() => undefined);
  const input = Readable.from(source, { objectMode: false, highWaterMark: CHUNK });
  let failure: unknown;
  input.on('error', (error) => {
    failure = error;
    child.kill('SIGKILL');
  });
  // A program that gives up closes its end; its exit code tells.
  child.stdin.on('error', () => undefined);
  input.pipe(child.stdin);
  try {
    for await (const chunk of child.stdout) yield chunk as Buffer;
    const code = await exit;
    if (failure) throw failure;
    if (code !== 0) throw invalidParameter('corrupt layer: invalid or incomplete gzip data');
  } finally {
    child.kill('SIGKILL');
    input.destroy();
  }
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
