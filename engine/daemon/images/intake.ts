import type { StagedBlob } from '../../content/blobs.ts';
import { cancelled } from '../../errors.ts';
import type { StagedLayer } from '../../snapshots/snapshots.ts';
import type { LayerBlob } from '../../store/blobs.ts';
import type { Digest } from '../../store/digest.ts';
import type { ImageName, ManifestRow } from '../../store/images.ts';

import { chainOf, type ImageStore } from './image-store.ts';
import type { Shared } from './shared-work.ts';

/** An image about to be known. */
export interface NewImage {
  readonly id: Digest;
  readonly config: string;
  readonly diffIds: readonly Digest[];
  readonly parent?: Digest;
  readonly manifest?: { readonly digest: Digest; readonly mediaType: string };
  readonly layerBlobs: readonly LayerBlob[];
}

/**
 * What one operation brings in: blobs and layers under temporary names, and leases on what is there already. `commit`
 * makes all of it durable and known in one step; without it, `dispose` leaves nothing behind.
 */
export class Intake implements AsyncDisposable {
  readonly #store: ImageStore;
  readonly #blobs = new Map<Digest, Shared<StagedBlob> | StagedBlob>();
  readonly #layers = new Map<Digest, Shared<StagedLayer>>();
  readonly #leases: Digest[] = [];
  #disposed = false;

  constructor(store: ImageStore) {
    this.#store = store;
  }

  /** Keeps a blob or diff from being collected until this operation is over, once it exists. */
  hold(digest: Digest): void {
    this.#store.leases.hold(digest);
    this.#leases.push(digest);
  }

  /** True, and held, when the content store has the blob or this operation has staged it. */
  hasBlob(digest: Digest): boolean {
    if (this.#blobs.has(digest)) return true;
    if (!this.#store.blobs.has(digest)) return false;
    this.hold(digest);
    return true;
  }

  hasLayer(diffId: Digest): boolean {
    if (this.#layers.has(diffId)) return true;
    if (!this.#store.snapshots.diff(diffId)) return false;
    this.hold(diffId);
    return true;
  }

  takeBlob(blob: StagedBlob | Shared<StagedBlob>): StagedBlob {
    const value = 'value' in blob ? blob.value : blob;
    if (this.#disposed) {
      this.#release(blob);
      throw cancelled();
    }
    this.hold(value.digest);
    if (this.#blobs.has(value.digest)) this.#release(blob);
    else this.#blobs.set(value.digest, blob);
    return value;
  }

  takeLayer(layer: Shared<StagedLayer>): void {
    if (this.#disposed) {
      layer.release();
      throw cancelled();
    }
    this.hold(layer.value.diffId);
    if (this.#layers.has(layer.value.diffId)) layer.release();
    else this.#layers.set(layer.value.diffId, layer);
  }

  /** Where a blob lies now: staged by this operation, or in the content store. */
  blobPath(digest: Digest): string {
    const staged = this.#blobs.get(digest);
    if (!staged || this.#store.blobs.has(digest)) return this.#store.blobs.path(digest);
    return 'value' in staged ? staged.value.path : staged.path;
  }

  /**
   * Unpacks a verified blob into a layer of this operation, together with whoever else unpacks the same.
   * @param diffId what it must unpack to, when known
   */
  async unpack(
    blob: { readonly path: string; readonly digest: Digest; readonly size?: number },
    diffId: Digest | undefined,
    signal: AbortSignal,
    onProgress: (bytesRead: number) => void = () => undefined,
  ): Promise<Digest> {
    const { unpacking, snapshots } = this.#store;
    const layer = await unpacking.run(`${blob.digest} ${diffId ?? ''}`, signal, onProgress, (stop, report) =>
      snapshots.stageLayer(
        { path: blob.path, size: blob.size },
        { diffId, signal: stop, onProgress: report, sourceDigest: async () => blob.digest },
      ),
    );
    this.takeLayer(layer);
    return layer.value.diffId;
  }

  /**
   * Syncs the data root once, then renames and enters everything in one transaction. After it, all is durable.
   * @param names given to the images in the same transaction
   */
  async commit(
    images: readonly NewImage[],
    names: (now: number, dropped: ReadonlyMap<Digest, number>) => void = () => undefined,
  ): Promise<void> {
    const store = this.#store;
    const dropped = this.#dropOutlined();
    if (this.#blobs.size > 0 || this.#layers.size > 0) await store.snapshots.sync();
    store.atomically(() => {
      for (const [digest, blob] of this.#blobs) {
        if (!dropped.has(digest)) store.blobs.commit('value' in blob ? blob.value : blob);
      }
      for (const image of images) this.#commitImage(image, dropped);
      names(Date.now(), dropped);
    });
  }

  /** Makes layers durable that no image has. @param keep enters who has them, in the same transaction: else they go again */
  async commitLayers(layerBlobs: readonly LayerBlob[], keep: () => void): Promise<void> {
    const diffIds = layerBlobs.map(({ diffId }) => diffId);
    await this.commit([], (_now, dropped) => {
      this.#commitLayers(diffIds, layerBlobs, dropped);
      keep();
    });
  }

  /** Makes blobs durable that hold layers already known in another form. */
  async commitContent(layers: readonly LayerBlob[], diffIds: readonly Digest[]): Promise<void> {
    await this.commit([], () => {
      for (const layer of layers) {
        if (diffIds.includes(layer.diffId)) this.#store.blobs.rows.addLayerBlob(layer);
      }
    });
  }

  /** Makes a manifest durable, as one of an image that is here (or was until a moment ago). */
  async commitManifest(row: ManifestRow): Promise<void> {
    await this.commit([], () => {
      if (this.#store.rows.get(row.imageId)) this.#store.rows.addManifest(row);
    });
  }

  /** Tars that their layers will give back don't stay, and needn't reach the disk: they go before the sync. */
  #dropOutlined(): ReadonlyMap<Digest, number> {
    const dropped = new Map<Digest, number>();
    for (const [diffId, { value: layer }] of this.#layers) {
      const blob = this.#blobs.get(diffId);
      const mine = blob !== undefined && !('value' in blob) && layer.outlined;
      if (!mine || this.#store.snapshots.diff(diffId) || this.#store.blobs.has(diffId)) continue;
      this.#store.blobs.discard(blob);
      dropped.set(diffId, blob.size);
    }
    return dropped;
  }

  #commitImage(image: NewImage, dropped: ReadonlyMap<Digest, number>): void {
    const { rows, snapshots } = this.#store;
    this.#commitLayers(image.diffIds, image.layerBlobs, dropped);
    const chainId = chainOf(image.diffIds);
    rows.add({
      id: image.id,
      config: image.config,
      chainId,
      size: chainId === undefined ? 0 : snapshots.chainSize(chainId),
      parent: image.parent,
      lastTagged: undefined,
    });
    if (image.manifest) rows.addManifest({ ...image.manifest, imageId: image.id });
  }

  #commitLayers(
    diffIds: readonly Digest[],
    layerBlobs: readonly LayerBlob[],
    dropped: ReadonlyMap<Digest, number>,
  ): void {
    const { blobs, snapshots } = this.#store;
    const staged = new Set(diffIds.flatMap((diffId) => this.#layers.get(diffId)?.value ?? []));
    snapshots.commitLayers([...staged], diffIds);
    for (const layerBlob of layerBlobs) {
      const size = dropped.get(layerBlob.blob);
      // Where another operation was faster, its blob of the layer stays the one.
      if (size === undefined) blobs.rows.addLayerBlob(layerBlob);
      else this.#store.addOutlined(layerBlob.diffId, size);
    }
  }

  /** Lets go of everything; what was not committed is removed. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const digest of this.#leases) this.#store.leases.release(digest);
    for (const blob of this.#blobs.values()) this.#release(blob);
    for (const layer of this.#layers.values()) layer.release();
    // What this operation held may have lost its last user meanwhile.
    if (this.#leases.length > 0) this.#store.collect();
  }

  #release(blob: StagedBlob | Shared<StagedBlob>): void {
    if ('value' in blob) blob.release();
    else this.#store.blobs.discard(blob);
  }
}

/** Moves a tag; the caller's transaction. Returns the image that had it before. */
export function setTag(store: ImageStore, name: ImageName, id: Digest, at?: number): Digest | undefined {
  const before = store.rows.byName(name);
  store.rows.setName(name, id, at);
  return before;
}
