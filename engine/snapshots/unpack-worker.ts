/**
 * A worker thread that unpacks layers and removes trees, so that neither stops the engine's own thread. It reads a blob
 * file (also one that is still being written), decompresses it, hashes the tar and writes its entries.
 */
import { createHash } from 'node:crypto';
import { readdirSync, rmSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';

import { cancelled, EngineError, invalidParameter, messageOf } from '../errors.ts';
import { BlobFile } from './blob-file.ts';
import { decompress, describeCorruption, detectCompression } from './compression.ts';
import { DEFAULT_LIMITS, type ExtractLimits, LayerWriter } from './extract.ts';
import { TarReader } from './tar/read.ts';

export interface UnpackJob {
  readonly kind: 'unpack';
  readonly id: number;
  readonly source: string;
  /** How far the source is written, when it still is (see BlobFile). */
  readonly follow: SharedArrayBuffer | undefined;
  readonly target: string;
  /** What the tar must hash to; undefined: whatever it does. */
  readonly diffId: string | undefined;
  /** An uncompressed source is hashed by whoever verifies it as a blob; here it need not be hashed again. */
  readonly hashedElsewhere: boolean;
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
  | ({ readonly kind: 'done'; readonly id: number } & Result)
  | { readonly kind: 'failed'; readonly id: number; readonly message: string; readonly errorKind: EngineError['kind'] };

interface Result {
  /** '' when the source is uncompressed and hashed elsewhere: then it is the source's digest. */
  readonly diffId: string;
  readonly size: number;
  readonly entries: number;
}

const PROGRESS_EVERY_MS = 100;
const port = parentPort;
const aborted = new Set<number>();

port?.on('message', (job: Job) => {
  if (job.kind === 'abort') aborted.add(job.id);
  else void run(job);
});

const post = (report: Report) => port?.postMessage(report);

async function run(job: UnpackJob | RemoveJob): Promise<void> {
  try {
    const result = job.kind === 'unpack' ? await unpack(job) : remove(job);
    post({ kind: 'done', id: job.id, ...result });
  } catch (error) {
    const kind = error instanceof EngineError ? error.kind : 'system';
    post({ kind: 'failed', id: job.id, message: messageOf(error), errorKind: kind });
  } finally {
    aborted.delete(job.id);
  }
}

function remove(job: RemoveJob): Result {
  for (const name of readdirSync(job.folder)) rmSync(`${job.folder}/${name}`, { recursive: true, force: true });
  return { diffId: '', size: 0, entries: 0 };
}

async function unpack(job: UnpackJob): Promise<Result> {
  const file = new BlobFile(job.source, job.follow, () => aborted.has(job.id));
  const writer = new LayerWriter(job.target, job.limits ?? DEFAULT_LIMITS);
  const reader = new TarReader();
  let reported = performance.now();
  try {
    const compression = detectCompression(await file.head());
    const hash = compression === 'none' && job.hashedElsewhere ? undefined : createHash('sha256');
    for await (const chunk of decompress(file, compression)) {
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
        post({ kind: 'progress', id: job.id, read: file.bytesRead });
      }
    }
    reader.finish();
    const diffId = hash ? `sha256:${hash.digest('hex')}` : '';
    if (job.diffId !== undefined && hash && diffId !== job.diffId) {
      throw invalidParameter(`layer diffID mismatch: expected ${job.diffId}, got ${diffId}`);
    }
    writer.finish();
    return { diffId, size: writer.size, entries: writer.entries };
  } catch (error) {
    writer.abort();
    throw describeCorruption(error);
  } finally {
    file.close();
  }
}
