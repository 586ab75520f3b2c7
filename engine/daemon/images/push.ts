import {
  familiar,
  familiarName,
  type ImageRef,
  parseReference,
  repositoryOf,
  withTag,
} from '../../content/reference.ts';
import type { Credentials } from '../../content/registry/auth.ts';
import type { Registries, Repository } from '../../content/registry/client.ts';
import { RegistryError } from '../../content/registry/errors.ts';
import { putManifest, uploadBlob } from '../../content/registry/upload.ts';
import { EngineError, invalidParameter, notFound, systemError } from '../../errors.ts';
import type { LayerBlob } from '../../store/blobs.ts';
import { type Digest, digestOf, shortId } from '../../store/digest.ts';

import { allOrNone } from './all-or-none.ts';
import type { ImageStore } from './image-store.ts';
import type { Image } from './images.ts';
import type { Intake } from './intake.ts';
import {
  buildManifest,
  type CompleteManifest,
  compressLayer,
  isCompressed,
  layerBlobs,
  storedManifest,
} from './manifests.ts';
import { LayerProgress, type Progress } from './progress.ts';
import { withRepository } from './remote.ts';
import { Slots } from './slots.ts';

export interface PushRequest {
  readonly ref: ImageRef;
  readonly credentials: Credentials;
}

const DEFAULT_UPLOADS = 5;

/** Pushes images (POST /images/{name}/push). */
export class Pusher {
  readonly #store: ImageStore;
  readonly #registries: Registries;
  readonly #slots: Slots;

  constructor(store: ImageStore, registries: Registries) {
    this.#store = store;
    this.#registries = registries;
    this.#slots = new Slots(() => store.settings.maxConcurrentUploads ?? DEFAULT_UPLOADS);
  }

  /** Without a tag, all tags of the repository. */
  async push(request: PushRequest, progress: Progress, signal: AbortSignal): Promise<void> {
    const { ref, credentials } = request;
    const targets = this.#targets(ref);
    progress({ status: `The push refers to repository [${repositoryOf(ref)}]` });
    try {
      await withRepository(this.#registries, ref, credentials, true, async (repository) => {
        for (const target of targets) await this.#pushOne(repository, target, progress, signal);
      });
    } catch (error) {
      throw translate(error);
    }
    this.#store.emit('push', familiar(ref), familiarName(ref));
  }

  #targets(ref: ImageRef): ImageRef[] {
    if (ref.digest !== undefined) throw invalidParameter('cannot push a digest reference');
    const repository = repositoryOf(ref);
    if (ref.tag !== undefined) {
      if (this.#store.findNamed(ref) === undefined) throw notFound(`tag does not exist: ${familiar(ref)}`);
      return [ref];
    }
    const tags = this.#store.rows
      .all()
      .flatMap(({ id }) =>
        this.#store.rows.names(id).flatMap((name) => ('tag' in name && name.repository === repository ? name.tag : [])),
      );
    if (tags.length === 0) throw notFound(`An image does not exist locally with the tag: ${familiarName(ref)}`);
    return tags.sort().map((tag) => withTag(ref, tag));
  }

  async #pushOne(repository: Repository, ref: ImageRef, progress: Progress, signal: AbortSignal): Promise<void> {
    await using intake = this.#store.intake();
    const id = this.#store.findNamed(ref);
    if (id === undefined) throw notFound(`tag does not exist: ${familiar(ref)}`);
    const image = this.#store.image(id);
    const manifest =
      (await storedManifest(this.#store, intake, image)) ?? (await this.#makeManifest(intake, image, progress, signal));
    await this.#upload(repository, image, manifest, progress, signal);
    const tag = ref.tag as string;
    await putManifest(repository, tag, manifest, signal);
    this.#store.atomically(() => {
      // It may have been removed meanwhile; what is pushed is pushed.
      if (!this.#store.rows.get(id)) return;
      this.#store.rows.setName({ repository: repositoryOf(ref), digest: manifest.digest }, id);
      for (const { digest } of manifest.document.layers) this.#store.blobs.rows.addSource(digest, repository.key);
    });
    const size = manifest.content.length;
    progress({ status: `${tag}: digest: ${manifest.digest} size: ${size}` });
    progress({ progressDetail: {}, aux: { Tag: tag, Digest: manifest.digest, Size: size } });
  }

  /** For an image that came without a manifest, or whose manifest's own blobs are not here. Kept for the next push. */
  async #makeManifest(
    intake: Intake,
    image: Image,
    progress: Progress,
    signal: AbortSignal,
  ): Promise<CompleteManifest> {
    const layers: LayerBlob[] = [];
    for (const layer of layerBlobs(this.#store, intake, image)) {
      const again = layers.find(({ diffId }) => diffId === layer.diffId);
      if (again) layers.push(again);
      else if (isCompressed(layer.mediaType)) layers.push(layer);
      else {
        const line = new LayerProgress(shortId(layer.diffId), progress);
        line.say('Preparing');
        layers.push(await compressLayer(this.#store, intake, layer, signal));
      }
    }
    const { id } = image;
    const { diff_ids: diffIds } = image.config.rootfs;
    await intake.commitContent(layers, diffIds);
    const { content, mediaType } = buildManifest(this.#store, image, layers);
    const digest = digestOf(content);
    intake.takeBlob(await this.#store.blobs.ingest([content], { digest }));
    await intake.commitManifest({ digest, mediaType, imageId: id });
    const manifest = await storedManifest(this.#store, intake, image);
    if (!manifest) throw systemError(`the image ${id} is incomplete`);
    return manifest;
  }

  async #upload(
    repository: Repository,
    image: Image,
    manifest: CompleteManifest,
    progress: Progress,
    signal: AbortSignal,
  ): Promise<void> {
    const stop = new AbortController();
    const both = AbortSignal.any([signal, stop.signal]);
    const lines = new Map<Digest, LayerProgress>();
    const uploads = manifest.document.layers.flatMap(({ digest, size }, index) => {
      if (lines.has(digest)) return [];
      const line = new LayerProgress(shortId(image.config.rootfs.diff_ids[index] ?? digest), progress);
      lines.set(digest, line);
      line.say('Preparing');
      return this.#uploadLayer(repository, digest, size, line, both);
    });
    await allOrNone(uploads, () => stop.abort());
    const { digest, size } = manifest.document.config;
    const open = (from: number) => this.#store.blobs.open(digest, from, signal);
    await uploadBlob(repository, { digest, size, open, mountFrom: [] }, { signal, onBytes: () => undefined });
  }

  async #uploadLayer(
    repository: Repository,
    digest: Digest,
    size: number,
    line: LayerProgress,
    signal: AbortSignal,
  ): Promise<void> {
    if (this.#slots.busy) line.say('Waiting');
    await this.#slots.use(signal, async () => {
      const source = {
        digest,
        size,
        open: (from: number) => this.#store.blobs.open(digest, from, signal),
        mountFrom: this.#mountCandidates(repository, digest),
      };
      const onBytes = (sent: number) => line.bytes('Pushing', sent, size);
      const result = await uploadBlob(repository, source, { signal, onBytes });
      if (result.kind === 'existed') line.say('Layer already exists');
      else if (result.kind === 'mounted') line.say(`Mounted from ${result.from}`);
      else line.say('Pushed');
      this.#store.blobs.rows.addSource(digest, repository.key);
    });
  }

  /** Other repositories of the same registry where the blob was seen. */
  #mountCandidates(repository: Repository, digest: Digest): string[] {
    const domain = repository.key.slice(0, repository.key.indexOf('/') + 1);
    return this.#store.blobs.rows
      .sources(digest)
      .flatMap((key) => (key.startsWith(domain) && key !== repository.key ? key.slice(domain.length) : []));
  }
}

/** Pushing, what a registry says is told as it is (`denied: …`, `unauthorized: …`). */
function translate(error: unknown): unknown {
  if (!(error instanceof RegistryError)) return error;
  const kind = error.code === 'DENIED' ? 'forbidden' : error.code === 'UNAUTHORIZED' ? 'unauthorized' : 'system';
  return new EngineError(kind, error.message, error);
}

export const parsePushReference = (image: string, tag: string | undefined): ImageRef => {
  const ref = parseReference(image);
  return tag
    ? withTag(ref, tag)
    : { domain: ref.domain, path: ref.path, ...(ref.digest ? { digest: ref.digest } : {}) };
};
