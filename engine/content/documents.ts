import { invalidParameter, messageOf } from '../errors.ts';
import { type Digest, isDigest } from '../store/digest.ts';

import { type Descriptor, type Index, type Manifest, MEDIA_TYPE, type OciImageConfig } from './oci.ts';

/** Manifests, indexes and configurations are at most this large (registries refuse larger ones). */
export const DOCUMENT_LIMIT = 8 * 1024 * 1024;

type Json = Record<string, unknown>;

function parseObject(bytes: Buffer | string, what: string): Json {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString());
  } catch (error) {
    throw invalidParameter(`invalid ${what}: ${messageOf(error)}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalidParameter(`invalid ${what}`);
  return value as Json;
}

export type Document =
  | { readonly kind: 'manifest'; readonly mediaType: string; readonly manifest: Manifest }
  | { readonly kind: 'index'; readonly mediaType: string; readonly index: Index };

/** Reads a manifest or an index of either family; schema 1 and anything else is refused. */
export function parseDocument(bytes: Buffer, contentType?: string): Document {
  const json = parseObject(bytes, 'manifest');
  const declared = typeof json.mediaType === 'string' ? json.mediaType : undefined;
  const type = declared ?? contentType?.split(';')[0]?.trim();
  if (json.schemaVersion === 1 || type === MEDIA_TYPE.dockerSchema1 || type === MEDIA_TYPE.dockerSchema1Signed) {
    throw invalidParameter(
      'Docker Image Format v1 and Docker Image manifest version 2, schema 1 are not supported: ' +
        'ask the author of this image to upgrade it to the OCI Format or Docker Image manifest v2, schema 2',
    );
  }
  if (json.schemaVersion !== 2) throw invalidParameter(`unsupported manifest schema version ${json.schemaVersion}`);
  if (Array.isArray(json.manifests) && !json.config) {
    return { kind: 'index', mediaType: type ?? MEDIA_TYPE.ociIndex, index: checkIndex(json) };
  }
  if (json.config && Array.isArray(json.layers)) {
    return { kind: 'manifest', mediaType: type ?? MEDIA_TYPE.ociManifest, manifest: checkManifest(json) };
  }
  throw invalidParameter(`unsupported manifest media type ${JSON.stringify(type ?? '')}`);
}

function checkIndex(json: Json): Index {
  (json.manifests as unknown[]).forEach(checkDescriptor);
  return json as unknown as Index;
}

function checkManifest(json: Json): Manifest {
  checkDescriptor(json.config);
  (json.layers as unknown[]).forEach(checkDescriptor);
  return json as unknown as Manifest;
}

function checkDescriptor(value: unknown): asserts value is Descriptor {
  const descriptor = value as Partial<Descriptor> | null;
  if (typeof descriptor !== 'object' || descriptor === null) throw invalidParameter('invalid descriptor');
  if (typeof descriptor.digest !== 'string' || !isDigest(descriptor.digest)) {
    throw invalidParameter(`invalid digest ${JSON.stringify(descriptor.digest)} in manifest`);
  }
  if (!Number.isSafeInteger(descriptor.size) || (descriptor.size as number) < 0) {
    throw invalidParameter(`invalid size of ${descriptor.digest} in manifest`);
  }
  if (typeof descriptor.mediaType !== 'string') (descriptor as Json).mediaType = '';
}

/** Reads an image configuration. Null where the specification has a list is an empty list. */
export function parseImageConfig(bytes: Buffer | string): OciImageConfig {
  const json = parseObject(bytes, 'image configuration');
  const rootfs = (json.rootfs ?? {}) as { type?: unknown; diff_ids?: unknown };
  const diffIds = rootfs.diff_ids ?? [];
  if (!Array.isArray(diffIds) || !diffIds.every((id) => typeof id === 'string' && isDigest(id))) {
    throw invalidParameter('invalid image configuration: rootfs.diff_ids');
  }
  return {
    ...(json as unknown as OciImageConfig),
    os: typeof json.os === 'string' && json.os !== '' ? json.os : 'linux',
    architecture: typeof json.architecture === 'string' ? json.architecture : '',
    config: (json.config ?? {}) as NonNullable<OciImageConfig['config']>,
    rootfs: { type: 'layers', diff_ids: diffIds as Digest[] },
  };
}
