import { familiarName, parseRepository } from '../../content/reference.ts';
import { invalidParameter } from '../../errors.ts';
import type { ImageName } from '../../store/images.ts';
import { booleanFilter, checkFilters, type Filters, matchesLabels } from '../filters.ts';
import { parseUntil, timeOf } from '../times.ts';
import { familiarOf, type ImageStore } from './image-store.ts';
import type { Image } from './images.ts';

/** swagger: ImageSummary. */
export interface ImageSummary {
  readonly Id: string;
  readonly ParentId: string;
  readonly RepoTags: readonly string[];
  readonly RepoDigests: readonly string[];
  /** Unix seconds. */
  readonly Created: number;
  readonly Size: number;
  /** -1 unless asked for. */
  readonly SharedSize: number;
  readonly Labels: Readonly<Record<string, string>> | null;
  /** -1 unless asked for. */
  readonly Containers: number;
}

export interface ListOptions {
  readonly all?: boolean;
  readonly filters?: Filters;
  readonly sharedSize?: boolean;
  readonly containers?: boolean;
}

const KNOWN = ['dangling', 'label', 'before', 'since', 'reference', 'until'];

/** GET /images/json: newest first. Untagged images that others were made from are shown with `all` only. */
export function listImages(store: ImageStore, options: ListOptions): ImageSummary[] {
  const filters = options.filters ?? new Map<string, readonly string[]>();
  checkFilters(filters, KNOWN);
  const accepts = matcher(store, filters);
  const references = filters.get('reference')?.map(globber);
  const dangling = booleanFilter(filters, 'dangling');
  const shared = options.sharedSize ? sharedSizes(store) : undefined;
  const summaries: ImageSummary[] = [];
  for (const image of store.images()) {
    if (!accepts(image)) continue;
    const names = store.rows.names(image.id);
    const shown = references ? names.filter((name) => references.some((matches) => matches(name))) : names;
    if (shown.length === 0 && (references || (!options.all && store.rows.children(image.id).length > 0))) continue;
    if (dangling !== undefined && dangling !== (image.repoTags.length === 0)) continue;
    summaries.push({
      Id: image.id,
      ParentId: store.rows.get(image.id)?.parent ?? '',
      RepoTags: shown.flatMap((name) => ('tag' in name ? familiarOf(name) : [])),
      RepoDigests: shown.flatMap((name) => ('digest' in name ? familiarOf(name) : [])),
      Created: Math.floor(timeOf(image.created) / 1000),
      Size: image.size,
      SharedSize: shared?.get(image.id) ?? -1,
      Labels: image.config.config?.Labels ?? null,
      Containers: options.containers ? store.users.containersUsing(image.id).length : -1,
    });
  }
  return summaries.sort((a, b) => b.Created - a.Created);
}

function matcher(store: ImageStore, filters: Filters): (image: Image) => boolean {
  const edge = (name: 'before' | 'since', pick: (...times: number[]) => number) => {
    const times = (filters.get(name) ?? []).map((text) => timeOf(store.get(text).created));
    return times.length === 0 ? undefined : pick(...times);
  };
  const before = edge('before', Math.min);
  const since = edge('since', Math.max);
  const until = (filters.get('until') ?? []).map((text) => parseUntil(text));
  return (image) => {
    const at = timeOf(image.created);
    if (before !== undefined && at >= before) return false;
    if (since !== undefined && at <= since) return false;
    if (until.some((limit) => at > limit)) return false;
    return matchesLabels(filters, image.config.config?.Labels ?? {});
  };
}

/** FamiliarMatch: a pattern of path.Match against the whole familiar name, or against it without tag or digest. */
function globber(pattern: string): (name: ImageName) => boolean {
  const expression = globToRegExp(pattern);
  return (name) => expression.test(familiarOf(name)) || expression.test(familiarName(parseRepository(name.repository)));
}

/** Go's path.Match: `*` and `?` stop at slashes. */
export function globToRegExp(pattern: string): RegExp {
  let source = '';
  for (let at = 0; at < pattern.length; at++) {
    const char = pattern[at] as string;
    if (char === '*') source += '[^/]*';
    else if (char === '?') source += '[^/]';
    else if (char === '[') {
      const end = pattern.indexOf(']', at + 2);
      if (end < 0) throw invalidParameter(`syntax error in pattern: ${pattern}`);
      source += `[${pattern.slice(at + 1, end).replace(/\\(?!.)/g, '\\\\')}]`;
      at = end;
    } else if (char === '\\' && at + 1 < pattern.length) source += literal(pattern[++at] as string);
    else source += literal(char);
  }
  try {
    return new RegExp(`^${source}$`);
  } catch {
    throw invalidParameter(`syntax error in pattern: ${pattern}`);
  }
}

const literal = (char: string): string => char.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');

/** Bytes of each image's layers that another image has as well. */
export function sharedSizes(store: ImageStore): Map<string, number> {
  const images = store.images().map((image) => ({ id: image.id, diffs: new Set(image.config.rootfs.diff_ids) }));
  const users = new Map<string, number>();
  for (const { diffs } of images) for (const diff of diffs) users.set(diff, (users.get(diff) ?? 0) + 1);
  return new Map(
    images.map(({ id, diffs }) => {
      const sizes = [...diffs]
        .filter((diff) => (users.get(diff) ?? 0) > 1)
        .map((diff) => store.snapshots.diff(diff)?.size ?? 0);
      return [id, sizes.reduce((sum, size) => sum + size, 0)];
    }),
  );
}
