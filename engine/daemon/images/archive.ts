import { spawn } from 'node:child_process';
import { Readable } from 'node:stream';

import type { Blobs, BlobWriter, StagedBlob } from '../../content/blobs.ts';
import { cancelled, invalidParameter } from '../../errors.ts';
import { type Compression, decompressor, describeCorruption, detectCompression } from '../../snapshots/compression.ts';
import { TarReader } from '../../snapshots/tar/read.ts';

/** A file of an image archive: small ones stay in memory, large ones are staged as blobs while they stream by. */
export type ArchiveFile =
  | { readonly kind: 'memory'; readonly content: Buffer }
  | { readonly kind: 'blob'; readonly blob: StagedBlob; readonly head: Buffer };

const MEMORY_FILE = 1024 * 1024;
const MEMORY_TOTAL = 64 * 1024 * 1024;
const MAX_FILES = 100_000;
export const HEAD = 512;

/** Undoes an outer compression, told by the first bytes: gzip and zstd on the thread pool, xz and bzip2 by their tools. */
export async function* decompressed(source: AsyncIterable<Buffer>, signal: AbortSignal): AsyncGenerator<Buffer> {
  const iterator = source[Symbol.asyncIterator]();
  const pieces: Buffer[] = [];
  let size = 0;
  while (size < 6) {
    const next = await iterator.next();
    if (next.done) break;
    pieces.push(next.value);
    size += next.value.length;
  }
  const rest = { [Symbol.asyncIterator]: () => iterator };
  const all = join(pieces, rest);
  const compression = detectCompression(Buffer.concat(pieces));
  if (compression === 'none') yield* all;
  else if (compression === 'gzip' || compression === 'zstd') yield* through(all, compression, signal);
  else yield* throughTool(all, compression, signal);
}

async function* join(pieces: readonly Buffer[], rest: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  yield* pieces;
  yield* rest;
}

async function* through(source: AsyncIterable<Buffer>, compression: 'gzip' | 'zstd', signal: AbortSignal) {
  const input = Readable.from(source, { objectMode: false });
  const output = decompressor(compression);
  input.on('error', (error) => output.destroy(error));
  signal.addEventListener('abort', () => output.destroy(cancelled()), { once: true });
  input.pipe(output);
  try {
    for await (const chunk of output) yield chunk as Buffer;
  } catch (error) {
    throw describeCorruption(error);
  } finally {
    input.destroy();
    output.destroy();
  }
}

async function* throughTool(source: AsyncIterable<Buffer>, compression: Compression, signal: AbortSignal) {
  const tool = spawn(compression, ['-dc'], { stdio: ['pipe', 'pipe', 'pipe'], signal });
  const ended = new Promise<void>((resolve, reject) => {
    let words = '';
    tool.stderr.on('data', (chunk) => {
      words = (words + chunk).slice(-1000);
    });
    tool.on('error', (error) => {
      const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
      reject(
        missing ? invalidParameter(`cannot read ${compression} archives: ${compression} is not installed`) : error,
      );
    });
    tool.on('close', (code) =>
      code === 0 ? resolve() : reject(invalidParameter(words.trim() || `${compression} failed`)),
    );
  });
  ended.catch(() => undefined);
  tool.stdin.on('error', () => undefined);
  Readable.from(source, { objectMode: false })
    .on('error', () => tool.kill())
    .pipe(tool.stdin);
  try {
    for await (const chunk of tool.stdout) yield chunk as Buffer;
    await ended;
  } finally {
    tool.kill();
  }
}

/** Hears of the large files of an archive while they stream by, so that unpacking overlaps reading. */
export interface ArchiveListener {
  /** A file began; `writer.follow` tells how far it is. */
  begun(name: string, head: Buffer, writer: BlobWriter): void;
  /** It is complete. */
  staged(file: Extract<ArchiveFile, { kind: 'blob' }>, writer: BlobWriter): void;
}

/**
 * Reads an image archive to its end. Links count as the file they point to. The caller owns the staged blobs, also when
 * this throws.
 */
export async function readArchive(
  source: AsyncIterable<Buffer>,
  blobs: Blobs,
  listener: ArchiveListener,
  signal: AbortSignal,
): Promise<Map<string, ArchiveFile>> {
  const files = new Map<string, ArchiveFile>();
  const links = new Map<string, string>();
  const reader = new TarReader();
  let name = '';
  let memory: Buffer[] | undefined;
  let head = Buffer.alloc(0);
  let writer: BlobWriter | undefined;
  let inMemory = 0;
  try {
    for await (const chunk of decompressed(source, signal)) {
      if (signal.aborted) throw cancelled();
      for (const event of reader.push(chunk)) {
        if (event.kind === 'entry') {
          const { entry } = event;
          name = cleanPath(entry.name);
          memory = undefined;
          if (files.size + links.size > MAX_FILES) throw invalidParameter('too many files in the archive');
          if (entry.type === 'symlink') links.set(name, resolveLink(name, entry.linkName));
          else if (entry.type === 'link') links.set(name, cleanPath(entry.linkName));
          else if (entry.type === 'file') {
            if (entry.size <= MEMORY_FILE && inMemory + entry.size <= MEMORY_TOTAL) {
              inMemory += entry.size;
              memory = [];
            } else {
              head = Buffer.alloc(0);
              writer = await blobs.writer();
            }
          }
        } else if (event.kind === 'data') {
          if (memory) memory.push(Buffer.from(event.data));
          else if (writer) {
            if (head.length < HEAD) {
              head = Buffer.concat([head, event.data.subarray(0, HEAD - head.length)]);
              if (head.length === HEAD) listener.begun(name, head, writer);
            }
            await writer.write(event.data);
          }
        } else if (memory) {
          files.set(name, { kind: 'memory', content: Buffer.concat(memory) });
          memory = undefined;
        } else if (writer) {
          const file = { kind: 'blob', blob: await writer.finish(), head } as const;
          listener.staged(file, writer);
          writer = undefined;
          files.set(name, file);
        }
      }
    }
    reader.finish();
  } catch (error) {
    await writer?.abort();
    throw error;
  }
  for (const [link, target] of links) {
    const file = files.get(target) ?? files.get(links.get(target) ?? '');
    if (file) files.set(link, file);
  }
  return files;
}

/** Only names the archive's own files; nothing is ever written under them. */
export const cleanPath = (name: string): string =>
  name
    .split('/')
    .filter((part) => part !== '' && part !== '.')
    .join('/');

function resolveLink(name: string, target: string): string {
  const parts = name.split('/').slice(0, -1);
  for (const part of target.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return parts.join('/');
}
