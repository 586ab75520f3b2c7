import { availableParallelism } from 'node:os';

import { parseDocument } from '../../content/documents.ts';
import { type Descriptor, type Manifest, MEDIA_TYPE } from '../../content/oci.ts';
import { systemError } from '../../errors.ts';
import { gzip } from '../../snapshots/gzip.ts';
import type { LayerBlob } from '../../store/blobs.ts';
import type { Digest } from '../../store/digest.ts';

import type { ImageStore } from './image-store.ts';
import type { Image } from './images.ts';
import type { Intake } from './intake.ts';

/** A manifest of an image whose blobs are all here. Layers are in the order of the image's diff ids. */
export interface CompleteManifest {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly content: Buffer;
  readonly document: Manifest;
}

/**
 * The manifest that an image came with, if all of its blobs are here: pushed or saved again it keeps its digest. Holds
 * what it names for the length of the operation.
 */
export async function storedManifest(
  store: ImageStore,
  intake: Intake,
  image: Image,
): Promise<CompleteManifest | undefined> {
  for (const { digest, mediaType } of store.rows.manifests(image.id)) {
    if (!intake.hasBlob(digest)) continue;
    const content = await store.blobs.read(digest);
    const parsed = parseDocument(content, mediaType);
    if (parsed.kind !== 'manifest') continue;
    const { manifest: document } = parsed;
    if ([document.config, ...document.layers].every((blob) => intake.hasBlob(blob.digest))) {
      return { digest, mediaType, content, document };
    }
  }
  return undefined;
}

/** One blob for each layer, whichever there is; compressed ones first. */
export function layerBlobs(store: ImageStore, intake: Intake, image: Image): LayerBlob[] {
  return image.config.rootfs.diff_ids.map((diffId) => {
    const all = store.blobs.rows.layerBlobs(diffId);
    const chosen = all.find(({ mediaType }) => isCompressed(mediaType)) ?? all[0];
    if (!chosen || !intake.hasBlob(chosen.blob)) throw systemError(`the content of layer ${diffId} is missing`);
    return chosen;
  });
}

export const isCompressed = (mediaType: string): boolean => /gzip$|zstd$/.test(mediaType);

/** A manifest for blobs: Docker's schema 2, as dockerd makes, unless a layer needs OCI's types (zstd, uncompressed). */
export function buildManifest(
  store: ImageStore,
  image: Image,
  layers: readonly LayerBlob[],
): { content: Buffer; mediaType: string } {
  const docker = layers.every(({ mediaType }) => mediaType.endsWith('gzip'));
  const descriptor = (mediaType: string, digest: Digest): Descriptor => ({
    mediaType,
    digest,
    size: store.blobs.size(digest) ?? 0,
  });
  const layerType = (layer: LayerBlob): string => {
    if (docker) return MEDIA_TYPE.dockerLayerGzip;
    if (layer.mediaType.endsWith('gzip')) return MEDIA_TYPE.ociLayerGzip;
    return layer.mediaType.endsWith('zstd') ? MEDIA_TYPE.ociLayerZstd : MEDIA_TYPE.ociLayer;
  };
  const mediaType = docker ? MEDIA_TYPE.dockerManifest : MEDIA_TYPE.ociManifest;
  const manifest: Manifest = {
    schemaVersion: 2,
    mediaType,
    config: descriptor(docker ? MEDIA_TYPE.dockerConfig : MEDIA_TYPE.ociConfig, image.id),
    layers: layers.map((layer) => descriptor(layerType(layer), layer.blob)),
  };
  return { content: Buffer.from(JSON.stringify(manifest, null, 3)), mediaType };
}

/** Compresses a layer that is kept uncompressed, and keeps the result, so that a second push has the same digests. */
export async function compressLayer(
  store: ImageStore,
  intake: Intake,
  layer: LayerBlob,
  signal: AbortSignal,
): Promise<LayerBlob> {
  const source = gzip(store.blobs.stream(layer.blob, signal), availableParallelism());
  const blob = intake.takeBlob(await store.blobs.ingest(source, { signal }));
  return { diffId: layer.diffId, blob: blob.digest, mediaType: MEDIA_TYPE.dockerLayerGzip };
}
