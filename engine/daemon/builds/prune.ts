import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';

import type { CacheRow } from '../../store/build-cache.ts';
import type { Digest } from '../../store/digest.ts';
import { apiTime } from '../clock.ts';
import { checkFilters, type Filters } from '../filters.ts';
import { parseUntil } from '../times.ts';
import type { BuildParts } from './parts.ts';
import { cacheMountInUse } from './step-mounts.ts';

/** swagger: BuildCache. */
export interface BuildCacheUsage {
  readonly ID: string;
  readonly Parents?: readonly string[];
  readonly Type: string;
  readonly Description: string;
  readonly InUse: boolean;
  /** An image has the layer as well: removing the record frees nothing. */
  readonly Shared: boolean;
  readonly Size: number;
  readonly CreatedAt: string;
  readonly LastUsedAt: string | null;
  readonly UsageCount: number;
}

/** swagger: BuildPruneResponse. */
export interface BuildPruned {
  readonly CachesDeleted: readonly string[] | null;
  readonly SpaceReclaimed: number;
}

export interface PruneOptions {
  /** Also records whose layers images share. */
  readonly all: boolean;
  /** Bytes that may stay; what was used most recently stays. */
  readonly keepBytes: number;
  readonly filters: Filters;
}

const FILTERS = ['id', 'parent', 'type', 'description', 'inuse', 'shared', 'private', 'until', 'unused-for'];

/** Looks after the cache: what it holds, and what of it goes. */
export class CacheKeeper {
  readonly #parts: BuildParts;

  constructor(parts: BuildParts) {
    this.#parts = parts;
  }

  async usage(): Promise<BuildCacheUsage[]> {
    return this.#entries().map(({ entry }) => entry);
  }

  prune({ all, keepBytes, filters }: PruneOptions): BuildPruned {
    checkFilters(filters, FILTERS);
    const limits = [...(filters.get('until') ?? []), ...(filters.get('unused-for') ?? [])].map((text) =>
      parseUntil(text),
    );
    const entries = this.#entries();
    const candidates = entries
      .filter(
        ({ entry, usedAt }) =>
          !entry.InUse && (all || !entry.Shared) && limits.every((limit) => usedAt <= limit) && matches(entry, filters),
      )
      .sort((a, b) => a.usedAt - b.usedAt);
    let total = entries.reduce((sum, { entry }) => sum + (entry.Shared ? 0 : entry.Size), 0);
    const doomed: typeof candidates = [];
    for (const candidate of candidates) {
      if (keepBytes > 0 && total <= keepBytes) break;
      doomed.push(candidate);
      if (!candidate.entry.Shared) total -= candidate.entry.Size;
    }
    let reclaimed = 0;
    this.#parts.rows.remove(doomed.flatMap(({ folder, entry }) => (folder === undefined ? entry.ID : [])));
    for (const { folder, entry } of doomed) {
      if (folder === undefined) continue;
      rmSync(folder, { recursive: true, force: true });
      reclaimed += entry.Size;
    }
    reclaimed += this.#parts.images.collect();
    return { CachesDeleted: doomed.length > 0 ? doomed.map(({ entry }) => entry.ID) : null, SpaceReclaimed: reclaimed };
  }

  #entries(): { entry: BuildCacheUsage; usedAt: number; folder?: string }[] {
    const { rows, images } = this.#parts;
    const shared = images.diffsInUse();
    const known = new Set(rows.all().map(({ key }) => key));
    const records = rows.all().map((row) => ({ entry: this.#entry(row, shared, known), usedAt: row.usedAt }));
    return [...records, ...this.#mounts()];
  }

  #entry(row: CacheRow, shared: ReadonlySet<Digest>, known: ReadonlySet<string>): BuildCacheUsage {
    const { snapshots, cache } = this.#parts;
    return {
      ID: row.key,
      ...(row.parent && known.has(row.parent) ? { Parents: [row.parent] } : {}),
      Type: row.kind,
      Description: row.description,
      InUse: cache.inUse(row.chainId),
      Shared: row.diffId !== undefined && shared.has(row.diffId),
      Size: row.diffId === undefined ? 0 : (snapshots.diff(row.diffId)?.size ?? 0),
      CreatedAt: apiTime(row.createdAt),
      LastUsedAt: apiTime(row.usedAt),
      UsageCount: row.uses,
    };
  }

  /** Folders of `RUN --mount=type=cache`. */
  #mounts(): { entry: BuildCacheUsage; usedAt: number; folder: string }[] {
    const base = join(this.#parts.root, 'cache-mounts');
    if (!existsSync(base)) return [];
    return readdirSync(base).map((name) => {
      const folder = join(base, name);
      const stat = statSync(folder);
      return {
        folder,
        usedAt: stat.mtimeMs,
        entry: {
          ID: name,
          Type: 'exec.cachemount',
          Description: 'cached mount from exec',
          InUse: cacheMountInUse(folder),
          Shared: false,
          Size: sizeOf(folder),
          CreatedAt: apiTime(stat.birthtimeMs),
          LastUsedAt: apiTime(stat.mtimeMs),
          UsageCount: 1,
        },
      };
    });
  }
}

function sizeOf(folder: string): number {
  let size = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    if (entry.isFile()) size += statSync(join(entry.parentPath, entry.name)).size;
  }
  return size;
}

function matches(entry: BuildCacheUsage, filters: Filters): boolean {
  const any = (name: string, test: (value: string) => boolean): boolean => {
    const values = filters.get(name);
    return !values || values.length === 0 || values.some(test);
  };
  return (
    any('id', (value) => entry.ID.startsWith(value)) &&
    any('parent', (value) => entry.Parents?.includes(value) ?? false) &&
    any('type', (value) => entry.Type === value) &&
    any('description', (value) => entry.Description.includes(value)) &&
    (!filters.has('inuse') || entry.InUse) &&
    (!filters.has('shared') || entry.Shared) &&
    (!filters.has('private') || !entry.Shared)
  );
}
