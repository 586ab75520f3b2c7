import { parseRepository } from '../../content/reference.ts';
import { isKind } from '../../errors.ts';
import { log } from '../../log.ts';
import { digestHex } from '../../store/digest.ts';
import type { ImageName } from '../../store/images.ts';
import { booleanFilter, checkFilters, type Filters, matchesLabels } from '../filters.ts';
import { parseUntil, timeOf } from '../times.ts';
import type { ImageStore } from './image-store.ts';
import type { Image } from './images.ts';
import { type Deleted, removeImage } from './remove.ts';

/** swagger: ImagePruneResponse. */
export interface ImagesPruned {
  readonly ImagesDeleted: readonly Deleted[] | null;
  readonly SpaceReclaimed: number;
}

const KNOWN = ['dangling', 'label', 'label!', 'until'];

/** POST /images/prune: untagged images, or with `dangling=false` all that no container uses. */
export function pruneImages(store: ImageStore, filters: Filters, signal: AbortSignal): ImagesPruned {
  checkFilters(filters, KNOWN);
  const danglingOnly = booleanFilter(filters, 'dangling') ?? true;
  const until = (filters.get('until') ?? []).map((text) => parseUntil(text));
  const records: Deleted[] = [];
  let reclaimed = 0;
  const remove = (reference: string) => {
    try {
      const removed = removeImage(store, reference, {});
      records.push(...removed.records);
      reclaimed += removed.bytes;
    } catch (error) {
      if (!isKind(error, 'conflict') && !isKind(error, 'notFound'))
        log.warn('could not prune an image', { reference, error });
    }
  };
  for (const image of store.images()) {
    if (signal.aborted) break;
    if (!store.rows.get(image.id) || !wanted(store, image, filters, until)) continue;
    const names = store.rows.names(image.id);
    if (names.length === 0) remove(digestHex(image.id));
    else if (!danglingOnly || names.every((name) => 'digest' in name)) for (const name of names) remove(fullName(name));
  }
  store.emitPrune(reclaimed);
  return { ImagesDeleted: records.length > 0 ? records : null, SpaceReclaimed: reclaimed };
}

function wanted(store: ImageStore, image: Image, filters: Filters, until: readonly number[]): boolean {
  if (store.rows.names(image.id).length === 0 && store.rows.children(image.id).length > 0) return false;
  const at = timeOf(image.created);
  if (until.some((limit) => at > limit)) return false;
  const labels = image.config.config?.Labels ?? {};
  if (!matchesLabels(filters, labels)) return false;
  return (filters.get('label!') ?? []).every((entry) => !matchesLabels(new Map([['label', [entry]]]), labels));
}

const fullName = (name: ImageName): string => {
  const { domain, path } = parseRepository(name.repository);
  return 'tag' in name ? `${domain}/${path}:${name.tag}` : `${domain}/${path}@${name.digest}`;
};
