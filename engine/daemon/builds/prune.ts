import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { invalidParameter } from '../../errors.ts';
import type { CacheRow } from '../../store/build-cache.ts';
import type { Digest } from '../../store/digest.ts';
import { apiTime } from '../clock.ts';
import { booleanFilter, checkFilters, type Filters } from '../filters.ts';
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
    const limit = timeLimit(filters);
    const matches = matcher(filters);
    const entries = this.#entries();
    const candidates = lastUsedLast(entries).filter(
      ({ entry, usedAt }) => !entry.InUse && (all || !entry.Shared) && usedAt <= limit && matches(entry),
    );
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

/**
 * The order in which entries go: what was used longest ago first, and a step after all that were made on top of it, since its
 * layer stays with theirs.
 */
function lastUsedLast<T extends { readonly entry: BuildCacheUsage; readonly usedAt: number }>(
  entries: readonly T[],
): T[] {
  const byId = new Map(entries.map((item) => [item.entry.ID, item]));
  const rank = new Map(entries.map((item) => [item, { usedAt: item.usedAt, height: 0 }]));
  for (const item of entries) {
    let below = rank.get(item);
    for (let parent = parentOf(item); parent && below; parent = parentOf(parent)) {
      const own = rank.get(parent);
      if (!own || (own.usedAt >= below.usedAt && own.height > below.height)) break;
      own.usedAt = Math.max(own.usedAt, below.usedAt);
      own.height = Math.max(own.height, below.height + 1);
      below = own;
    }
  }
  function parentOf(item: T): T | undefined {
    return byId.get(item.entry.Parents?.[0] ?? '');
  }
  const of = (item: T) => rank.get(item) ?? { usedAt: item.usedAt, height: 0 };
  return [...entries].sort((a, b) => of(a).usedAt - of(b).usedAt || of(a).height - of(b).height);
}

/** The one time that `until`, or `unused-for` as it was called before, says: what was used later stays. */
function timeLimit(filters: Filters): number {
  const until = single(filters, 'until');
  const unusedFor = single(filters, 'unused-for');
  if (until !== undefined && unusedFor !== undefined) {
    throw invalidParameter('conflicting filters: "until" and "unused-for"');
  }
  const text = until ?? unusedFor;
  return text === undefined ? Number.POSITIVE_INFINITY : parseUntil(text);
}

function single(filters: Filters, name: string): string | undefined {
  const values = filters.get(name) ?? [];
  if (values.length > 1) throw invalidParameter('filters expect only one value');
  return values[0];
}

/** What the filters want of an entry. The last three are said without a value or with a boolean. */
function matcher(filters: Filters): (entry: BuildCacheUsage) => boolean {
  const flag = (name: string): boolean | undefined => {
    single(filters, name);
    return filters.has(name) ? (booleanFilter(filters, name) ?? true) : undefined;
  };
  const [id, parent, type, description] = ['id', 'parent', 'type', 'description'].map((name) => single(filters, name));
  const [inUse, shared, alone] = [flag('inuse'), flag('shared'), flag('private')];
  const pattern = id === undefined ? undefined : idPattern(id);
  return (entry) =>
    (pattern?.test(entry.ID) ?? true) &&
    (parent === undefined || (entry.Parents?.includes(parent) ?? false)) &&
    (type === undefined || entry.Type === type) &&
    (description === undefined || entry.Description === description) &&
    (inUse === undefined || entry.InUse === inUse) &&
    (shared === undefined || entry.Shared === shared) &&
    (alone === undefined || entry.Shared !== alone);
}

/** `id` is a regular expression, as BuildKit has it. */
function idPattern(text: string): RegExp {
  try {
    return new RegExp(text);
  } catch {
    throw invalidParameter(`invalid filter 'id=[${text}]'`);
  }
}
