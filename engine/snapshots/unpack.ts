import { Worker } from 'node:worker_threads';

import { cancelled, EngineError, systemError } from '../errors.ts';

import type { ExtractLimits } from './extract.ts';
import { type Unpacked, unpackLayer } from './unpack-layer.ts';
import type { Job, Report } from './unpack-worker.ts';

export type { Unpacked } from './unpack-layer.ts';

export interface UnpackSource {
  /** A file that holds the whole layer, possibly compressed. */
  readonly path: string;
  /** Its bytes when known. Small layers are unpacked without a thread, which would cost more than it saves. */
  readonly size?: number;
  /** The file is still being written: how far, as BlobFile describes it. */
  readonly follow?: SharedArrayBuffer;
  /** Whoever wrote the file verifies its digest: an uncompressed layer need not be hashed again. */
  readonly hashedElsewhere?: boolean;
  /** Where to write the outline of an uncompressed tar (see outline.ts). */
  readonly outline?: string;
}

interface Task {
  readonly job: Exclude<Job, { kind: 'abort' }>;
  readonly resolve: (result: Unpacked) => void;
  readonly reject: (error: Error) => void;
  readonly onProgress?: (bytesRead: number) => void;
}

const IDLE_MS = 5000;
/** Unpacked on the engine's own thread, a chunk at a time: at most a few milliseconds each. */
const INLINE = 128 * 1024;
/** Enough for a million directories; beyond it the worker dies with an error, not the engine. */
const HEAP_MB = 768;

/** Beside the source when run as TypeScript, beside the bundle when bundled (it is an entry of its own there). */
const WORKER = new URL(import.meta.url.endsWith('.ts') ? './unpack-worker.ts' : './unpack-worker.mjs', import.meta.url);

/** Worker threads for unpacking, started on demand and ended when idle: an idle engine has none. */
export class UnpackPool {
  readonly #size: number;
  readonly #queue: Task[] = [];
  readonly #idle: { worker: Worker; timer: NodeJS.Timeout }[] = [];
  readonly #running = new Map<Worker, Task>();
  #nextId = 1;

  constructor(size: number) {
    this.#size = Math.max(1, size);
  }

  /** Unpacks a layer into an empty folder. When it fails, what is in the folder is the caller's to remove. */
  unpack(
    source: UnpackSource,
    target: string,
    options: {
      diffId?: string;
      signal?: AbortSignal;
      onProgress?: (bytesRead: number) => void;
      limits?: ExtractLimits;
    } = {},
  ): Promise<Unpacked> {
    const { signal, onProgress, limits } = options;
    if (signal?.aborted) return Promise.reject(cancelled());
    const { path, size, follow, outline, hashedElsewhere = false } = source;
    const request = { source: path, follow, target, diffId: options.diffId, hashedElsewhere, outline, limits };
    if (size !== undefined && size <= INLINE) {
      return unpackLayer(
        request,
        () => signal?.aborted ?? false,
        () => undefined,
      );
    }
    const id = this.#nextId++;
    const promise = new Promise<Unpacked>((resolve, reject) => {
      this.#enqueue({
        job: { kind: 'unpack', id, ...request },
        resolve,
        reject,
        onProgress,
      });
    });
    const stop = () => this.#abort(id);
    signal?.addEventListener('abort', stop, { once: true });
    return promise.finally(() => signal?.removeEventListener('abort', stop));
  }

  /** Removes everything inside a folder. */
  async clear(folder: string): Promise<void> {
    await new Promise<Unpacked>((resolve, reject) => {
      this.#enqueue({ job: { kind: 'remove', id: this.#nextId++, folder }, resolve, reject });
    });
  }

  /** Ends the threads; what runs fails as cancelled. */
  async close(): Promise<void> {
    for (const task of this.#queue.splice(0)) task.reject(cancelled());
    const workers = [
      ...this.#running.keys(),
      ...this.#idle.splice(0).map(({ worker, timer }) => {
        clearTimeout(timer);
        return worker;
      }),
    ];
    await Promise.all(workers.map((worker) => worker.terminate()));
  }

  #abort(id: number): void {
    const queued = this.#queue.findIndex((task) => task.job.id === id);
    if (queued >= 0) {
      this.#queue.splice(queued, 1)[0]?.reject(cancelled());
      return;
    }
    for (const [worker, task] of this.#running) {
      if (task.job.id === id) worker.postMessage({ kind: 'abort', id } satisfies Job);
    }
  }

  #enqueue(task: Task): void {
    this.#queue.push(task);
    this.#dispatch();
  }

  #dispatch(): void {
    while (this.#queue.length > 0) {
      const worker = this.#takeWorker();
      if (!worker) return;
      const task = this.#queue.shift() as Task;
      this.#running.set(worker, task);
      worker.ref();
      worker.postMessage(task.job);
    }
  }

  #takeWorker(): Worker | undefined {
    const idle = this.#idle.pop();
    if (idle) {
      clearTimeout(idle.timer);
      return idle.worker;
    }
    if (this.#running.size >= this.#size) return undefined;
    const worker = new Worker(WORKER, { resourceLimits: { maxOldGenerationSizeMb: HEAP_MB } });
    worker.on('message', (report: Report) => this.#onReport(worker, report));
    worker.on('error', (error) => this.#onDeath(worker, error));
    worker.on('exit', () => this.#onDeath(worker, undefined));
    return worker;
  }

  #onReport(worker: Worker, report: Report): void {
    const task = this.#running.get(worker);
    if (!task || task.job.id !== report.id) return;
    if (report.kind === 'progress') {
      task.onProgress?.(report.read);
      return;
    }
    this.#running.delete(worker);
    this.#rest(worker);
    if (report.kind === 'failed') task.reject(new EngineError(report.errorKind, report.message));
    else task.resolve(report);
    this.#dispatch();
  }

  #rest(worker: Worker): void {
    worker.unref();
    const timer = setTimeout(() => {
      const at = this.#idle.findIndex((entry) => entry.worker === worker);
      if (at >= 0) this.#idle.splice(at, 1);
      void worker.terminate();
    }, IDLE_MS);
    timer.unref();
    this.#idle.push({ worker, timer });
  }

  #onDeath(worker: Worker, error: unknown): void {
    const at = this.#idle.findIndex((entry) => entry.worker === worker);
    if (at >= 0) clearTimeout(this.#idle.splice(at, 1)[0]?.timer);
    const task = this.#running.get(worker);
    this.#running.delete(worker);
    task?.reject(error === undefined ? cancelled() : systemError('the layer is too large to unpack', error));
    this.#dispatch();
  }
}
