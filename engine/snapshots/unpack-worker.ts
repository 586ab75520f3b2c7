/**
 * A worker thread that unpacks layers and removes trees, so that neither stops the engine's own thread. It reads a blob
 * file, decompresses it on the thread pool, hashes the tar and writes its entries.
 */
import { createHash } from 'node:crypto';
import { createReadStream, readdirSync, rmSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';

import { cancelled, EngineError, invalidParameter, messageOf } from '../errors.ts';

import { type Compression, decompressor, describeCorruption } from './compression.ts';
import { DEFAULT_LIMITS, type ExtractLimits, LayerWriter } from './extract.ts';
import { TarReader } from './tar/read.ts';

export interface UnpackJob {
  readonly kind: 'unpack';
  readonly id: number;
  readonly source: string;
  readonly compression: Compression;
  readonly target: string;
  /** What the tar must hash to; undefined: whatever it does. */
  readonly diffId: string | undefined;
  /** The source's own digest when it is known to be right: an uncompressed source need not be hashed again. */
  readonly sourceDigest: string | undefined;
  readonly limits?: ExtractLimits;
}

/** Removes everything inside a folder, not the folder. */
export interface RemoveJob {
  readonly kind: 'remove';
  readonly id: number;
  readonly folder: string;
}

export type Job = UnpackJob | RemoveJob | { readonly kind: 'abort'; readonly id: number };

export type Report =
  | { readonly kind: 'progress'; readonly id: number; readonly read: number }
  | {
      readonly kind: 'done';
      readonly id: number;
      readonly diffId: string;
      readonly size: number;
      readonly entries: number;
    }
  | { readonly kind: 'failed'; readonly id: number; readonly message: string; readonly errorKind: EngineError['kind'] };

const READ_SIZE = 512 * 1024;
const PROGRESS_EVERY_MS = 100;
const port = parentPort;
const aborted = new Set<number>();

port?.on('message', (job: Job) => {
  if (job.kind === 'abort') aborted.add(job.id);
  else if (job.kind === 'remove') remove(job);
  else void run(job);
});

function remove(job: RemoveJob): void {
  for (const name of readdirSync(job.folder)) rmSync(`${job.folder}/${name}`, { recursive: true, force: true });
  post({ kind: 'done', id: job.id, diffId: '', size: 0, entries: 0 });
}

const post = (report: Report) => port?.postMessage(report);

async function run(job: UnpackJob): Promise<void> {
  try {
    post({ kind: 'done', id: job.id, ...(await unpack(job)) });
  } catch (error) {
    const kind = error instanceof EngineError ? error.kind : 'system';
    post({ kind: 'failed', id: job.id, message: messageOf(error), errorKind: kind });
  } finally {
    aborted.delete(job.id);
  }
}

async function unpack(job: UnpackJob): Promise<{ diffId: string; size: number; entries: number }> {
  const { compression } = job;
  if (compression === 'xz' || compression === 'bzip2')
    throw invalidParameter(`unsupported layer compression ${compression}`);
  const source = createReadStream(job.source, { highWaterMark: READ_SIZE });
  const trusted = compression === 'none' ? job.sourceDigest : undefined;
  const hash = trusted === undefined ? createHash('sha256') : undefined;
  const writer = new LayerWriter(job.target, job.limits ?? DEFAULT_LIMITS);
  const reader = new TarReader();
  let reported = performance.now();
  const stream = compression === 'none' ? source : source.pipe(decompressor(compression));
  source.on('error', (error) => stream.destroy(error));
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      if (aborted.has(job.id)) throw cancelled();
      hash?.update(chunk);
      for (const event of reader.push(chunk)) {
        if (event.kind === 'entry') writer.begin(event.entry);
        else if (event.kind === 'data') writer.data(event.data);
        else writer.end();
      }
      const now = performance.now();
      if (now - reported > PROGRESS_EVERY_MS) {
        reported = now;
        post({ kind: 'progress', id: job.id, read: source.bytesRead });
      }
    }
  } catch (error) {
    writer.abort();
    throw describeCorruption(error);
  } finally {
    source.destroy();
    stream.destroy();
  }
  reader.finish();
  const diffId = hash ? `sha256:${hash.digest('hex')}` : (trusted as string);
  if (job.diffId !== undefined && diffId !== job.diffId) {
    throw invalidParameter(`layer diffID mismatch: expected ${job.diffId}, got ${diffId}`);
  }
  writer.finish();
  return { diffId, size: writer.size, entries: writer.entries };
}
