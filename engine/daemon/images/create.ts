import type { ContainerDefaults, HistoryEntry, OciImageConfig, Platform } from '../../content/oci.ts';
import { MEDIA_TYPE } from '../../content/oci.ts';
import { parsePlatform } from '../../content/platform.ts';
import { familiar, type ImageRef, parseReference, withDefaultTag } from '../../content/reference.ts';
import type { Registries } from '../../content/registry/client.ts';
import { invalidParameter, systemError } from '../../errors.ts';
import { detectCompression } from '../../snapshots/compression.ts';
import { type Digest, digestOf } from '../../store/digest.ts';

import { decompressed } from './archive.ts';
import { applyChanges } from './changes.ts';
import { type ImageStore, nameOf } from './image-store.ts';
import type { CommitRequest } from './images.ts';
import { layerType } from './load.ts';
import { parseTarget } from './names.ts';
import { LayerProgress, type Progress } from './progress.ts';

/** POST /images/create?fromSrc=. */
export interface ImportRequest {
  /** `-` for the body, or a URL. */
  readonly source: string;
  readonly body: AsyncIterable<Buffer>;
  readonly repo: string;
  readonly tag?: string;
  readonly message: string;
  readonly changes: readonly string[];
  readonly platform?: string;
}

/** Makes an image of one layer from a tar of a root filesystem, compressed in any way or not. */
export async function importImage(
  store: ImageStore,
  registries: Registries,
  request: ImportRequest,
  progress: Progress,
  signal: AbortSignal,
): Promise<Digest> {
  const target = parseTarget(request.repo, request.tag);
  const platform = request.platform ? parsePlatform(request.platform, store.platform) : store.platform;
  const config = applyChanges({}, request.changes);
  const { body, from } = await open(registries, request, progress, signal);
  const made = await makeImage(store, {
    layer: body,
    base: undefined,
    parent: undefined,
    platform,
    config,
    step: { comment: request.message || `Imported from ${from}` },
    target,
    signal,
  });
  progress({ status: made });
  store.emit('import', made, made);
  return made;
}

async function open(
  registries: Registries,
  { source, body }: ImportRequest,
  progress: Progress,
  signal: AbortSignal,
): Promise<{ body: AsyncIterable<Buffer>; from: string }> {
  if (source === '-') return { body, from: '-' };
  const url = URL.parse(/^https?:\/\//.test(source) ? source : `http://${source}`);
  if (!url) throw invalidParameter(`invalid URL ${JSON.stringify(source)}`);
  const answer = await registries.transport.request(url, { signal });
  if (answer.status !== 200) {
    answer.body.resume();
    throw systemError(`Got HTTP status code >= 400: ${answer.status}`);
  }
  progress({ status: `Downloading from ${url.href}` });
  const total = Number(answer.headers['content-length']) || undefined;
  const line = new LayerProgress('', progress);
  return {
    from: url.href,
    body: (async function* () {
      let current = 0;
      for await (const chunk of answer.body as AsyncIterable<Buffer>) {
        current += chunk.length;
        line.bytes('Importing', current, total);
        yield chunk;
      }
    })(),
  };
}

/** POST /commit: the layer a container wrote, on top of its image. */
export async function commitImage(store: ImageStore, request: CommitRequest, signal: AbortSignal): Promise<Digest> {
  const base = request.parent === undefined ? undefined : store.image(request.parent).config;
  const target = request.reference === undefined ? undefined : withDefaultTag(parseReference(request.reference));
  if (target?.digest !== undefined) throw invalidParameter('cannot import digest reference');
  return makeImage(store, {
    layer: request.diff,
    base,
    parent: request.parent,
    platform: store.platform,
    config: applyChanges(request.config, request.changes ?? []),
    step: {
      created_by: request.createdBy ?? '',
      ...(request.author ? { author: request.author } : {}),
      ...(request.comment ? { comment: request.comment } : {}),
    },
    target,
    signal,
  });
}

interface Making {
  readonly layer: AsyncIterable<Buffer>;
  readonly base: OciImageConfig | undefined;
  readonly parent: Digest | undefined;
  readonly platform: Platform;
  readonly config: ContainerDefaults;
  readonly step: HistoryEntry;
  readonly target: ImageRef | undefined;
  readonly signal: AbortSignal;
}

async function makeImage(store: ImageStore, making: Making): Promise<Digest> {
  const { base, parent, step, target, signal } = making;
  await using intake = store.intake();
  if (parent !== undefined) for (const diffId of base?.rootfs.diff_ids ?? []) intake.hold(diffId);
  const blob = intake.takeBlob(await store.blobs.ingest(keepable(making.layer, signal), { signal }));
  const head = await store.blobs.head(blob.path);
  const compression = detectCompression(head);
  // Known when uncompressed: the tar's digest is the diff id.
  const known = compression === 'none' ? blob.digest : undefined;
  const diffId = known !== undefined && intake.hasLayer(known) ? known : await intake.unpack(blob, known, signal);
  const created = new Date().toISOString();
  const diffIds = [...(base?.rootfs.diff_ids ?? []), diffId];
  const platform = base ?? making.platform;
  const config: OciImageConfig = {
    architecture: platform.architecture,
    ...(platform.variant ? { variant: platform.variant } : {}),
    os: platform.os,
    created,
    ...(step.author ? { author: step.author } : {}),
    ...(step.comment ? { comment: step.comment } : {}),
    config: making.config,
    rootfs: { type: 'layers', diff_ids: diffIds },
    history: [...(base?.history ?? []), { created, ...step }],
  };
  const text = JSON.stringify(config);
  const id = digestOf(text);
  intake.takeBlob(await store.blobs.ingest([Buffer.from(text)], { digest: id }));
  const mediaType = compression === 'none' ? MEDIA_TYPE.ociLayer : layerType(head);
  await intake.commit(
    [{ id, config: text, diffIds, parent, layerBlobs: [{ diffId, blob: blob.digest, mediaType }] }],
    (now) => {
      if (target) store.rows.setName(nameOf(target), id, now);
    },
  );
  if (target) store.emit('tag', id, familiar(target), making.config.Labels);
  return id;
}

/** Layers are kept plain, gzip or zstd; what comes in another compression is unpacked on the way in. */
async function* keepable(source: AsyncIterable<Buffer>, signal: AbortSignal): AsyncGenerator<Buffer> {
  const iterator = source[Symbol.asyncIterator]();
  let head = Buffer.alloc(0);
  while (head.length < 6) {
    const next = await iterator.next();
    if (next.done) break;
    head = Buffer.concat([head, next.value]);
  }
  const all = (async function* () {
    yield head;
    yield* { [Symbol.asyncIterator]: () => iterator };
  })();
  const compression = detectCompression(head);
  if (compression === 'xz' || compression === 'bzip2') yield* decompressed(all, signal);
  else yield* all;
}
