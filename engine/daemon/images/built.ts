import { rmSync } from 'node:fs';

import type { OciImageConfig } from '../../content/oci.ts';
import { familiar, type ImageRef } from '../../content/reference.ts';
import { type Digest, digestOf } from '../../store/digest.ts';
import { type ImageStore, nameOf } from './image-store.ts';

/** A layer that a build step made. */
export interface BuiltLayer {
  readonly diffId: Digest;
  readonly chainId: Digest;
  readonly size: number;
}

export interface BuiltImage {
  readonly config: OciImageConfig;
  readonly names: readonly ImageRef[];
  /** Runs in the transaction that makes the image known: what must be durable together with it. */
  readonly alongside: () => void;
}

/** Two zero blocks: a tar of nothing. */
const EMPTY_TAR = 1024;

/**
 * Makes what was written into a snapshot a layer: the folder stays where the step wrote it, and an outline gives its tar. Known but not durable: whoever keeps the layer syncs before telling anyone.
 * @param onLayer called in the same synchronous step, so that no garbage collection can come between
 */
export async function layerOfSnapshot(
  store: ImageStore,
  snapshot: string,
  onLayer: (layer: BuiltLayer) => void,
  signal: AbortSignal,
): Promise<BuiltLayer | undefined> {
  const diff = await store.snapshots.outlineDiff(snapshot, signal);
  try {
    if (diff.tarSize <= EMPTY_TAR) {
      store.snapshots.remove(snapshot);
      return undefined;
    }
    const { size } = await store.snapshots.usage(snapshot);
    return store.atomically(() => {
      const { diffId } = diff;
      const chainId = store.snapshots.adopt(snapshot, diff, size);
      store.addOutlined(diffId, diff.tarSize);
      const layer = { diffId, chainId, size };
      onLayer(layer);
      return layer;
    });
  } finally {
    rmSync(diff.outline, { force: true });
  }
}

/** An image whose layers are all there. One that is known already only gets its names. */
export async function addBuiltImage(store: ImageStore, image: BuiltImage): Promise<Digest> {
  const text = JSON.stringify(image.config);
  const id = digestOf(text);
  const known = store.rows.get(id) !== undefined;
  const name = (now: number): void => {
    for (const ref of image.names) store.rows.setName(nameOf(ref), id, now);
    image.alongside();
  };
  if (known) store.atomically(() => name(Date.now()));
  else {
    await using intake = store.intake();
    intake.takeBlob(await store.blobs.ingest([Buffer.from(text)], { digest: id }));
    for (const diffId of image.config.rootfs.diff_ids) intake.hold(diffId);
    await intake.commit([{ id, config: text, diffIds: image.config.rootfs.diff_ids, layerBlobs: [] }], name);
    store.emit('create', id, id, image.config.config?.Labels);
  }
  for (const ref of image.names) store.emit('tag', id, familiar(ref), image.config.config?.Labels);
  return id;
}
