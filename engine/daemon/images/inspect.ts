import type { ContainerDefaults } from '../../content/oci.ts';
import { timeOf } from '../times.ts';
import type { ImageStore } from './image-store.ts';

/** swagger: ImageInspect. */
export interface ImageInspect {
  readonly Id: string;
  readonly RepoTags: readonly string[];
  readonly RepoDigests: readonly string[];
  readonly Parent: string;
  readonly Comment: string;
  readonly Created?: string;
  readonly DockerVersion: string;
  readonly Author: string;
  readonly Config: ContainerDefaults;
  readonly Architecture: string;
  readonly Variant?: string;
  readonly Os: string;
  readonly OsVersion?: string;
  readonly Size: number;
  readonly GraphDriver: { readonly Name: string; readonly Data: Readonly<Record<string, string>> | null };
  readonly RootFS: { readonly Type: string; readonly Layers?: readonly string[] };
  readonly Metadata: { readonly LastTagTime: string };
}

const NEVER = '0001-01-01T00:00:00Z';

/** GET /images/{name}/json. */
export function inspectImage(store: ImageStore, name: string): ImageInspect {
  const image = store.get(name);
  const { config } = image;
  const row = store.rows.get(image.id);
  const dirs = image.chainId === undefined ? [] : store.snapshots.chainDirs(image.chainId);
  const { diff_ids: layers } = config.rootfs;
  return {
    Id: image.id,
    RepoTags: image.repoTags,
    RepoDigests: image.repoDigests,
    Parent: row?.parent ?? '',
    Comment: config.comment || config.history?.at(-1)?.comment || '',
    ...(config.created === undefined ? {} : { Created: config.created }),
    DockerVersion: config.docker_version ?? '',
    Author: config.author ?? '',
    Config: config.config ?? {},
    Architecture: config.architecture,
    ...(config.variant ? { Variant: config.variant } : {}),
    Os: config.os,
    ...(config['os.version'] ? { OsVersion: config['os.version'] } : {}),
    Size: image.size,
    GraphDriver: {
      Name: 'overlay2',
      Data:
        dirs.length === 0
          ? null
          : { UpperDir: dirs[0] as string, ...(dirs.length > 1 ? { LowerDir: dirs.slice(1).join(':') } : {}) },
    },
    RootFS: { Type: 'layers', ...(layers.length > 0 ? { Layers: layers } : {}) },
    Metadata: { LastTagTime: row?.lastTagged === undefined ? NEVER : new Date(row.lastTagged).toISOString() },
  };
}

/** swagger: ImageHistoryResponseItem. */
export interface HistoryItem {
  readonly Id: string;
  readonly Created: number;
  readonly CreatedBy: string;
  readonly Tags: readonly string[] | null;
  readonly Size: number;
  readonly Comment: string;
}

/** GET /images/{name}/history: newest step first; sizes of the layers that steps made. */
export function imageHistory(store: ImageStore, name: string): HistoryItem[] {
  const image = store.get(name);
  const diffIds = image.config.rootfs.diff_ids;
  let layer = 0;
  const items = (image.config.history ?? []).map((step): HistoryItem => {
    const diffId = step.empty_layer ? undefined : diffIds[layer++];
    return {
      Id: '<missing>',
      Created: step.created ? Math.floor(timeOf(step.created) / 1000) : 0,
      CreatedBy: step.created_by ?? '',
      Tags: null,
      Size: diffId === undefined ? 0 : (store.snapshots.diff(diffId)?.size ?? 0),
      Comment: step.comment ?? '',
    };
  });
  items.reverse();
  // Steps that made images of their own (commits, classic builds) carry their ids and names.
  let depth = 0;
  for (let id: typeof image.id | undefined = image.id; id !== undefined && depth < items.length; depth++) {
    const known = store.rows.get(id);
    if (!known) break;
    const at = depth === 0 ? 0 : items.length - (store.image(id).config.history?.length ?? 0);
    const item = items[at];
    if (item) items[at] = { ...item, Id: id, Tags: tagsOf(store, id) };
    id = known.parent;
  }
  return items;
}

const tagsOf = (store: ImageStore, id: Parameters<ImageStore['image']>[0]): readonly string[] | null => {
  const { repoTags } = store.image(id);
  return repoTags.length > 0 ? repoTags : null;
};
