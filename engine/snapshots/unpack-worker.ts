/**
 * A worker thread that unpacks layers and removes trees, so that neither stops the engine's own thread.
 */
import { readdirSync, rmSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';

import { EngineError, messageOf } from '../errors.ts';

import { type Unpacked, type UnpackRequest, unpackLayer } from './unpack-layer.ts';

export interface UnpackJob extends UnpackRequest {
  readonly kind: 'unpack';
  readonly id: number;
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
  | ({ readonly kind: 'done'; readonly id: number } & Unpacked)
  | { readonly kind: 'failed'; readonly id: number; readonly message: string; readonly errorKind: EngineError['kind'] };

const port = parentPort;
const aborted = new Set<number>();

port?.on('message', (job: Job) => {
  if (job.kind === 'abort') aborted.add(job.id);
  else void run(job);
});

const post = (report: Report) => port?.postMessage(report);

async function run(job: UnpackJob | RemoveJob): Promise<void> {
  const { id } = job;
  try {
    const result =
      job.kind === 'remove'
        ? remove(job)
        : await unpackLayer(
            job,
            () => aborted.has(id),
            (read) => post({ kind: 'progress', id, read }),
          );
    post({ kind: 'done', id, ...result });
  } catch (error) {
    const kind = error instanceof EngineError ? error.kind : 'system';
    post({ kind: 'failed', id, message: messageOf(error), errorKind: kind });
  } finally {
    aborted.delete(id);
  }
}

function remove(job: RemoveJob): Unpacked {
  for (const name of readdirSync(job.folder)) rmSync(`${job.folder}/${name}`, { recursive: true, force: true });
  return { diffId: '', size: 0, entries: 0, outlined: false };
}
