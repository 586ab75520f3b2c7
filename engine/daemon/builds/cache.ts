import type { BuildCacheRepository, CacheRow } from '../../store/build-cache.ts';
import type { Digest } from '../../store/digest.ts';
import type { BuiltLayer } from '../images/built.ts';
import type { Images } from '../images/images.ts';
import { hashOf } from './copy-plan.ts';

/** Bump when what steps make changes for the same inputs. */
const FORMAT = 1;

/** What a step made: a layer or nothing, and when. */
export interface StepResult {
  readonly layer: { readonly diffId: Digest; readonly chainId: Digest } | undefined;
  readonly createdAt: number;
}

export interface StepKey {
  readonly key: string;
  readonly parent: string | undefined;
  readonly description: string;
}

/** The key of a step: a digest of everything its result depends on. */
export const stepKey = (facts: unknown): string => hashOf([FORMAT, facts]);

/**
 * The build cache. Layers of running builds are kept in memory at once, so that no garbage collection takes them; records
 * are written when a build ends, after one sync, so that a record never speaks of a layer that a power cut could undo.
 */
export class Cache {
  readonly #rows: BuildCacheRepository;
  readonly #live = new Map<Digest, number>();

  constructor(rows: BuildCacheRepository) {
    this.#rows = rows;
  }

  /** Chains that must not be collected. */
  *retained(): Iterable<Digest> {
    for (const { chainId } of this.#rows.all()) if (chainId) yield chainId;
    yield* this.#live.keys();
  }

  inUse(chainId: Digest | undefined): boolean {
    return chainId !== undefined && this.#live.has(chainId);
  }

  find(key: string): CacheRow | undefined {
    return this.#rows.get(key);
  }

  hold(chainId: Digest): void {
    this.#live.set(chainId, (this.#live.get(chainId) ?? 0) + 1);
  }

  release(chainId: Digest): void {
    const count = (this.#live.get(chainId) ?? 0) - 1;
    if (count > 0) this.#live.set(chainId, count);
    else this.#live.delete(chainId);
  }

  write(rows: readonly CacheRow[]): void {
    if (rows.length > 0) this.#rows.put(rows);
  }
}

/** One build's view of the cache: what it found, what it made, what it holds. */
export class CacheSession {
  readonly #cache: Cache;
  readonly #images: Images;
  readonly #held: Digest[] = [];
  readonly #made = new Map<string, CacheRow>();
  readonly #used = new Map<string, CacheRow>();
  readonly #noCache: boolean;

  constructor(cache: Cache, images: Images, noCache: boolean) {
    this.#cache = cache;
    this.#images = images;
    this.#noCache = noCache;
  }

  hold(chainId: Digest): void {
    this.#cache.hold(chainId);
    this.#held.push(chainId);
  }

  /** What this step made before; undefined when it has to run. */
  find(key: string, hasLayer: (chainId: Digest) => boolean): StepResult | undefined {
    const own = this.#made.get(key);
    const row = own ?? (this.#noCache ? undefined : this.#cache.find(key));
    if (!row) return undefined;
    if (row.chainId !== undefined) {
      if (!hasLayer(row.chainId)) return undefined;
      this.hold(row.chainId);
    }
    if (!own) this.#used.set(key, { ...row, usedAt: Date.now(), uses: row.uses + 1 });
    const layer = row.chainId && row.diffId ? { chainId: row.chainId, diffId: row.diffId } : undefined;
    return { layer, createdAt: row.createdAt };
  }

  /** Notes what a step made. */
  made(step: StepKey, result: StepResult): void {
    this.#made.set(step.key, {
      key: step.key,
      parent: step.parent,
      description: step.description,
      kind: 'regular',
      chainId: result.layer?.chainId,
      diffId: result.layer?.diffId,
      createdAt: result.createdAt,
      usedAt: Date.now(),
      uses: 1,
    });
  }

  holdLayer = (layer: BuiltLayer): void => this.hold(layer.chainId);

  /** Writes what was learnt; everything must be durable already. */
  write(): void {
    this.#cache.write([...this.#used.values(), ...this.#made.values()]);
    this.#used.clear();
    this.#made.clear();
  }

  /** At the end of a build, whatever came of it: finished steps stay, everything else is let go. */
  async close(): Promise<void> {
    if (this.#made.size > 0) await this.#images.sync();
    this.write();
    for (const chainId of this.#held) this.#cache.release(chainId);
    this.#images.collect();
  }
}
