import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { Transport } from '../../content/registry/transport.ts';
import { messageOf } from '../../errors.ts';
import { log } from '../../log.ts';
import type { ShimEvent } from '../../runtime/runtime.ts';
import type { BuildCacheRepository } from '../../store/build-cache.ts';
import type { DocumentStore } from '../../store/documents.ts';
import type { Filters } from '../filters.ts';
import { newId } from '../ids.ts';
import type { Progress } from '../images/progress.ts';
import { Build } from './build.ts';
import type { Cache } from './cache.ts';
import { BuildHistory, type BuildRecord } from './history.ts';
import { openContext } from './open-context.ts';
import { BuildOutput } from './output.ts';
import type { BuildParts } from './parts.ts';
import { type BuildCacheUsage, type BuildPruned, CacheKeeper, type PruneOptions } from './prune.ts';
import type { BuildRequest } from './request.ts';
import { StepFailed } from './run-step.ts';
import { StepExits } from './step-exits.ts';

export type { BuildRecord } from './history.ts';
export type { BuildCacheUsage, BuildPruned } from './prune.ts';
export type { BuildLimits, BuildRequest } from './request.ts';

export interface BuildsOptions extends Omit<BuildParts, 'exits' | 'root' | 'cache' | 'rows' | 'web'> {
  readonly dataRoot: string;
  readonly cache: Cache;
  readonly rows: BuildCacheRepository;
  readonly records: DocumentStore<BuildRecord>;
  /** Bytes of cache that are kept after each build; undefined: all. */
  readonly keepBytes: number | undefined;
}

/** The builds (swagger: ImageBuild, BuildPrune), what they left in the cache, and the last of them by name. */
export class Builds {
  readonly #parts: BuildParts;
  readonly #exits = new StepExits();
  readonly #history: BuildHistory;
  readonly #keeper: CacheKeeper;
  readonly #keepBytes: number | undefined;
  readonly #running = new Map<string, AbortController>();

  constructor(options: BuildsOptions) {
    const { dataRoot, records, keepBytes, ...rest } = options;
    this.#keepBytes = keepBytes;
    const root = join(dataRoot, 'builds');
    mkdirSync(root, { recursive: true, mode: 0o710 });
    const web = new Transport({
      insecureRegistries: [],
      certsDir: '/etc/docker/certs.d',
      hostLoopback: undefined,
      env: rest.proxies,
    });
    this.#parts = { ...rest, root, web, exits: this.#exits };
    this.#history = new BuildHistory(records);
    this.#keeper = new CacheKeeper(this.#parts);
    this.#sweep();
  }

  /** What a crash left: mounts, spools, snapshots of steps. */
  #sweep(): void {
    const { root, snapshots, registry, plugins } = this.#parts;
    for (const folder of ['mounts', 'scratch']) {
      const path = join(root, folder);
      mkdirSync(path, { recursive: true, mode: 0o710 });
      for (const name of readdirSync(path)) {
        if (folder === 'mounts') snapshots.unmount(join(path, name, 'root'));
        rmSync(join(path, name), { recursive: true, force: true });
      }
    }
    snapshots.removeOrphans((key) => registry.byId(key) !== undefined || plugins.has(key));
    this.#history.settle();
  }

  /** POST /build. Every line of the stream goes to `progress`; an error before the first line gets a status of its own. */
  async build(request: BuildRequest, progress: Progress, signal: AbortSignal): Promise<void> {
    const id = newId();
    const stop = new AbortController();
    const both = AbortSignal.any([signal, stop.signal]);
    const held: Parameters<Progress>[0][] = [];
    const output = new BuildOutput(request.quiet ? (line) => void held.push(line) : progress);
    const scratch = join(this.#parts.root, 'scratch', id);
    mkdirSync(scratch, { recursive: true, mode: 0o700 });
    let build: Build | undefined;
    this.#running.set(id, stop);
    try {
      const opened = await openContext(this.#parts, request, { scratch, signal: both, output });
      build = new Build(this.#parts, { id, request, ...opened, scratch, output, signal: both });
      this.#history.begin(id, request, build);
      const image = await build.run();
      this.#history.end(id, build, output.log, { status: 'completed', image });
      if (request.quiet) progress({ stream: `${image}\n` });
    } catch (error) {
      if (build)
        this.#history.end(id, build, output.log, {
          status: both.aborted ? 'canceled' : 'failed',
          error: messageOf(error),
        });
      for (const line of held) progress(line);
      throw error;
    } finally {
      this.#running.delete(id);
      if (this.#keepBytes !== undefined) this.#collect(this.#keepBytes);
      rmSync(scratch, { recursive: true, force: true });
    }
  }

  /** POST /build/cancel. An id that is no running build's is not an error. */
  cancel(id: string): void {
    this.#running.get(id)?.abort();
  }

  /** POST /build/prune. */
  prune(options: PruneOptions): BuildPruned {
    const pruned = this.#keeper.prune(options);
    this.#parts.events.publish('builder', 'prune', '', { reclaimed: String(pruned.SpaceReclaimed) });
    return pruned;
  }

  /** Removes what was used least recently until no more than this is kept. */
  #collect(keepBytes: number): void {
    const filters: Filters = new Map();
    const { SpaceReclaimed } = this.#keeper.prune({ all: true, keepBytes, filters });
    if (SpaceReclaimed > 0) log.info('build cache collected', { bytes: SpaceReclaimed });
  }

  /** BuildCache of GET /system/df. */
  usage(): Promise<BuildCacheUsage[]> {
    return this.#keeper.usage();
  }

  list(): Omit<BuildRecord, 'log'>[] {
    return this.#history.list();
  }

  get(id: string): BuildRecord {
    return this.#history.get(id);
  }

  /** @returns whether the event was of a build step */
  onShimEvent(event: ShimEvent): boolean {
    return this.#exits.onShimEvent(event);
  }

  shimLost(): void {
    this.#exits.lost();
  }

  /** Ends running builds, before the engine ends. */
  async shutDown(): Promise<void> {
    for (const stop of this.#running.values()) stop.abort();
    for (let tries = 0; this.#running.size > 0 && tries < 100; tries++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** What errorDetail says beside the message: the exit code of a failed RUN. */
export const exitCodeOf = (error: unknown): number | undefined =>
  error instanceof StepFailed ? error.code : undefined;
