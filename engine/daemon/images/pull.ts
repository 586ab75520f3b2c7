import type { BlobWriter, StagedBlob } from '../../content/blobs.ts';
import { parseDocument, parseImageConfig } from '../../content/documents.ts';
import { type Descriptor, type Manifest, MEDIA_TYPE, type OciImageConfig, type Platform } from '../../content/oci.ts';
import { choose, formatPlatform, rank } from '../../content/platform.ts';
import { familiar, familiarName, type ImageRef, repositoryOf, withTag } from '../../content/reference.ts';
import type { Credentials } from '../../content/registry/auth.ts';
import type { Registries, Repository } from '../../content/registry/client.ts';
import { type FetchedManifest, fetchBlob, fetchManifest, listTags } from '../../content/registry/fetch.ts';
import { invalidParameter, isKind, notFound } from '../../errors.ts';
import type { StagedLayer } from '../../snapshots/snapshots.ts';
import type { LayerBlob } from '../../store/blobs.ts';
import { type Digest, digestOf, shortId } from '../../store/digest.ts';

import { PLUGIN_CONFIG_TYPE } from '../plugins/config.ts';
import { allOrNone } from './all-or-none.ts';
import { type ImageStore, nameOf } from './image-store.ts';
import type { Intake } from './intake.ts';
import { LayerProgress, type Progress } from './progress.ts';
import { translateRegistryError, withRepository } from './remote.ts';
import { Shared, SharedWork } from './shared-work.ts';
import { Slots } from './slots.ts';

export interface PullRequest {
  readonly ref: ImageRef;
  readonly platform?: Platform;
  readonly credentials: Credentials;
}

type Step =
  | { readonly kind: 'waiting' }
  | { readonly kind: 'downloading'; readonly current: number }
  | { readonly kind: 'downloaded' }
  | { readonly kind: 'extracting'; readonly current: number }
  | { readonly kind: 'retrying'; readonly attempt: number };

const DEFAULT_DOWNLOADS = 3;
const LAYERS_LIMIT = 512;

/** Pulls images (POST /images/create?fromImage=). One per engine: pulls of the same layers share the work. */
export class Puller {
  readonly #store: ImageStore;
  readonly #registries: Registries;
  readonly #slots: Slots;
  readonly #downloads: SharedWork<StagedBlob, Step>;
  readonly #layers: SharedWork<FetchedLayer, Step>;

  constructor(store: ImageStore, registries: Registries) {
    this.#store = store;
    this.#registries = registries;
    this.#slots = new Slots(() => store.settings.maxConcurrentDownloads ?? DEFAULT_DOWNLOADS);
    this.#downloads = new SharedWork((blob) => store.blobs.discard(blob));
    this.#layers = new SharedWork(({ blob, layer }) => {
      blob.release();
      layer.release();
    });
  }

  /** A name without tag and digest means all tags of the repository. */
  async pull(request: PullRequest, progress: Progress, signal: AbortSignal): Promise<void> {
    const { ref, credentials } = request;
    try {
      await withRepository(this.#registries, ref, credentials, false, async (repository) => {
        if (ref.tag !== undefined || ref.digest !== undefined) {
          await this.#pullOne(repository, request, progress, signal);
          return;
        }
        const tags = await listTags(repository, signal);
        for (const tag of tags)
          await this.#pullOne(repository, { ...request, ref: withTag(ref, tag) }, progress, signal);
      });
    } catch (error) {
      throw translateRegistryError(error, ref);
    }
  }

  async #pullOne(repository: Repository, request: PullRequest, progress: Progress, signal: AbortSignal): Promise<void> {
    const { ref } = request;
    const wanted = request.platform ?? this.#store.platform;
    const top = await fetchManifest(repository, ref.digest ?? (ref.tag as string), signal);
    progress({ status: `Pulling from ${ref.path}`, id: ref.digest ?? ref.tag });
    await using intake = this.#store.intake();
    const found = await this.#findManifest(repository, ref, top, wanted, signal);
    const { id, text, config } = await this.#fetchConfig(repository, intake, found.manifest, signal);
    checkPlatform(ref, request.platform, config);
    const layerBlobs = await this.#fetchLayers(repository, intake, found.manifest, config, progress, signal);
    const manifest = await stageManifest(this.#store, intake, found.fetched);
    const before = this.#store.findNamed(ref);
    await intake.commit([{ id, config: text, diffIds: config.rootfs.diff_ids, layerBlobs, manifest }], () => {
      const { rows, blobs } = this.#store;
      if (ref.tag !== undefined && ref.digest === undefined) rows.setName(nameOf(ref), id);
      rows.setName({ repository: repositoryOf(ref), digest: top.digest }, id);
      for (const { blob } of layerBlobs) blobs.rows.addSource(blob, repository.key);
    });
    progress({ status: `Digest: ${top.digest}` });
    const news = before === id ? 'Image is up to date for' : 'Downloaded newer image for';
    progress({ status: `Status: ${news} ${familiar(ref)}` });
    this.#store.emit('pull', familiar(ref), familiarName(ref), config.config?.Labels);
  }

  async #findManifest(
    repository: Repository,
    ref: ImageRef,
    top: FetchedManifest,
    wanted: Platform,
    signal: AbortSignal,
  ): Promise<{ fetched: FetchedManifest & { mediaType: string }; manifest: Manifest }> {
    const document = parseDocument(top.content, top.mediaType);
    if (document.kind === 'manifest') {
      return { fetched: { ...top, mediaType: document.mediaType }, manifest: document.manifest };
    }
    const chosen = choose(document.index.manifests, wanted);
    if (!chosen) {
      const has = document.index.manifests
        .flatMap(({ platform }) => (platform && platform.os !== 'unknown' ? formatPlatform(platform) : []))
        .join(', ');
      throw notFound(
        `no matching manifest for ${formatPlatform(wanted)} in the manifest list entries: ` +
          `${familiar(ref)} is available for ${has || 'no platform'}`,
      );
    }
    const fetched = await fetchManifest(repository, chosen.digest, signal);
    const inner = parseDocument(fetched.content, fetched.mediaType);
    if (inner.kind !== 'manifest') throw invalidParameter(`unexpected index inside the index of ${familiar(ref)}`);
    return { fetched: { ...fetched, mediaType: inner.mediaType }, manifest: inner.manifest };
  }

  async #fetchConfig(
    repository: Repository,
    intake: Intake,
    manifest: Manifest,
    signal: AbortSignal,
  ): Promise<{ id: Digest; text: string; config: OciImageConfig }> {
    const { config: descriptor } = manifest;
    const { digest: id } = descriptor;
    if (descriptor.mediaType === PLUGIN_CONFIG_TYPE) {
      throw invalidParameter(`Encountered remote ${JSON.stringify(PLUGIN_CONFIG_TYPE)}(plugin) when fetching`);
    }
    if (!isImageConfig(descriptor.mediaType)) {
      throw invalidParameter(`unsupported media type ${descriptor.mediaType}: this is no image that can run`);
    }
    if (manifest.layers.length > LAYERS_LIMIT) throw invalidParameter('too many layers');
    if (descriptor.size > 8 * 1024 * 1024) throw invalidParameter('image configuration is too large');
    let content: Buffer;
    if (intake.hasBlob(id)) content = await this.#store.blobs.read(id);
    else {
      const blob = await this.#download(repository, intake, descriptor, () => undefined, signal);
      content = await this.#store.blobs.readStaged(blob);
    }
    const config = parseImageConfig(content);
    if (config.rootfs.diff_ids.length !== manifest.layers.length) {
      throw invalidParameter('invalid rootfs in image configuration: layers and diff_ids differ in number');
    }
    return { id, text: content.toString('utf8'), config };
  }

  #fetchLayers(
    repository: Repository,
    intake: Intake,
    manifest: Manifest,
    config: OciImageConfig,
    progress: Progress,
    signal: AbortSignal,
  ): Promise<LayerBlob[]> {
    const stop = new AbortController();
    const both = AbortSignal.any([signal, stop.signal]);
    const started = new Map<Digest, Promise<LayerBlob>>();
    const layers = manifest.layers.map((descriptor, index) => {
      const diffId = config.rootfs.diff_ids[index] as Digest;
      const known = started.get(descriptor.digest);
      if (known) return known;
      const layer = this.#fetchLayer(repository, intake, descriptor, diffId, progress, both);
      started.set(descriptor.digest, layer);
      return layer;
    });
    return allOrNone(layers, () => stop.abort());
  }

  async #fetchLayer(
    repository: Repository,
    intake: Intake,
    descriptor: Descriptor,
    diffId: Digest,
    progress: Progress,
    signal: AbortSignal,
  ): Promise<LayerBlob> {
    const { digest, size } = descriptor;
    const line = new LayerProgress(shortId(digest), progress);
    const here = this.#store.blobs.rows.layerBlobs(diffId);
    const kept = here.find(({ blob }) => blob === digest) ?? here[0];
    if (kept && intake.hasLayer(diffId) && intake.hasBlob(kept.blob)) {
      line.say('Already exists');
      return kept;
    }
    line.say('Pulling fs layer');
    if (intake.hasBlob(digest)) {
      const blob = { path: intake.blobPath(digest), digest, size };
      if (!intake.hasLayer(diffId)) {
        await intake.unpack(blob, diffId, signal, (read) => line.bytes('Extracting', Math.min(read, size), size));
      }
    } else {
      const onStep = (step: Step) => tell(line, step, size);
      const fetched = await this.#layers.run(`${digest} ${diffId}`, signal, onStep, (stop, report) =>
        this.#downloadLayer(repository, descriptor, diffId, stop, report),
      );
      intake.takeBlob(fetched.value.blob.hold());
      intake.takeLayer(fetched.value.layer.hold());
      fetched.release();
    }
    line.bytes('Extracting', size, size);
    line.say('Pull complete');
    return { diffId, blob: digest, mediaType: descriptor.mediaType };
  }

  /** Downloads a layer and unpacks it meanwhile. Nothing counts before the whole blob and the whole tar are verified. */
  async #downloadLayer(
    repository: Repository,
    descriptor: Descriptor,
    diffId: Digest,
    signal: AbortSignal,
    report: (step: Step) => void,
  ): Promise<FetchedLayer> {
    const { blobs, snapshots } = this.#store;
    const stop = new AbortController();
    const both = AbortSignal.any([signal, stop.signal]);
    let downloaded = false;
    let unpacking: Promise<StagedLayer> | undefined;
    const onStart = ({ path, follow }: BlobWriter) => {
      unpacking = snapshots.stageLayer(
        { path, follow, size: descriptor.size },
        {
          diffId,
          signal: both,
          sourceDigest: async () => descriptor.digest,
          onProgress: (current) => downloaded && report({ kind: 'extracting', current }),
        },
      );
      // A layer that can't be unpacked need not be downloaded to its end.
      unpacking.catch(() => stop.abort());
    };
    if (this.#slots.busy) report({ kind: 'waiting' });
    let blob: StagedBlob | undefined;
    try {
      blob = await this.#slots.use(both, () =>
        fetchBlob(repository, blobs, descriptor, {
          signal: both,
          onStart,
          onBytes: (current) => report({ kind: 'downloading', current }),
          onRetry: (attempt) => report({ kind: 'retrying', attempt }),
        }),
      );
      downloaded = true;
      report({ kind: 'downloaded' });
      const layer = await (unpacking as unknown as Promise<StagedLayer>);
      return { blob: new Shared(blob, (value) => blobs.discard(value)).hold(), layer: this.#store.shareLayer(layer) };
    } catch (error) {
      stop.abort();
      if (blob) blobs.discard(blob);
      throw await firstCause(unpacking, error, (layer) => snapshots.discardLayer(layer));
    }
  }

  async #download(
    repository: Repository,
    intake: Intake,
    descriptor: Descriptor,
    onStep: (step: Step) => void,
    signal: AbortSignal,
  ): Promise<StagedBlob> {
    const shared = await this.#downloads.run(descriptor.digest, signal, onStep, (stop, report) => {
      if (this.#slots.busy) report({ kind: 'waiting' });
      return this.#slots.use(stop, () =>
        fetchBlob(repository, this.#store.blobs, descriptor, {
          signal: stop,
          onBytes: (current) => report({ kind: 'downloading', current }),
          onRetry: (attempt) => report({ kind: 'retrying', attempt }),
        }),
      );
    });
    return intake.takeBlob(shared);
  }
}

interface FetchedLayer {
  readonly blob: Shared<StagedBlob>;
  readonly layer: Shared<StagedLayer>;
}

/** Of a download and an unpacking that stop each other, the error of the one that failed first. */
async function firstCause(
  unpacking: Promise<StagedLayer> | undefined,
  error: unknown,
  discard: (layer: StagedLayer) => void,
): Promise<unknown> {
  try {
    const layer = await unpacking;
    if (layer) discard(layer);
    return error;
  } catch (other) {
    return isKind(error, 'cancelled') ? other : error;
  }
}

function tell(line: LayerProgress, step: Step, total: number): void {
  if (step.kind === 'downloading') line.bytes('Downloading', step.current, total);
  else if (step.kind === 'extracting') line.bytes('Extracting', Math.min(step.current, total), total);
  else if (step.kind === 'downloaded') {
    line.say('Verifying Checksum');
    line.say('Download complete');
  } else line.say(step.kind === 'waiting' ? 'Waiting' : `Retrying in ${2 ** (step.attempt - 1)} seconds`);
}

const isImageConfig = (mediaType: string): boolean =>
  mediaType === MEDIA_TYPE.ociConfig ||
  mediaType === MEDIA_TYPE.dockerConfig ||
  mediaType === 'application/octet-stream' ||
  mediaType === '';

function checkPlatform(ref: ImageRef, wanted: Platform | undefined, config: OciImageConfig): void {
  if (!wanted || rank(wanted, config) >= 0) return;
  throw notFound(
    `image with reference ${familiar(ref)} was found but its platform (${formatPlatform(config)}) ` +
      `does not match the specified platform (${formatPlatform(wanted)})`,
  );
}

async function stageManifest(
  store: ImageStore,
  intake: Intake,
  { content, digest, mediaType }: FetchedManifest,
): Promise<{ digest: Digest; mediaType: string }> {
  if (!intake.hasBlob(digest)) intake.takeBlob(await store.blobs.ingest([content], { digest: digestOf(content) }));
  return { digest, mediaType };
}
