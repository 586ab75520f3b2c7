import { lstatSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';

import { DOCUMENT_LIMIT, parseDocument } from '../../content/documents.ts';
import { type Descriptor, type Manifest, MEDIA_TYPE } from '../../content/oci.ts';
import { choose } from '../../content/platform.ts';
import { familiar, familiarName, type ImageRef, repositoryOf } from '../../content/reference.ts';
import type { Credentials } from '../../content/registry/auth.ts';
import type { Registries, Repository } from '../../content/registry/client.ts';
import { RegistryError } from '../../content/registry/errors.ts';
import { fetchBlob, fetchManifest } from '../../content/registry/fetch.ts';
import { readBody } from '../../content/registry/transport.ts';
import { putManifest, uploadBlob } from '../../content/registry/upload.ts';
import { EngineError, invalidParameter, notFound, systemError } from '../../errors.ts';
import { tarLayer } from '../../snapshots/export.ts';
import { gzip } from '../../snapshots/gzip.ts';
import type { LayerBlob } from '../../store/blobs.ts';
import { type Digest, digestOf, shortId } from '../../store/digest.ts';
import { chainOf, type ImageStore } from '../images/image-store.ts';
import type { Intake } from '../images/intake.ts';
import { LayerProgress, type Progress } from '../images/progress.ts';
import { withRepository } from '../images/remote.ts';
import { PLUGIN_CONFIG_TYPE, type PluginConfig, parsePluginConfig } from './config.ts';
import type { PluginImage } from './record.ts';

/** Enters a plugin with its image; called in the transaction that makes its layers durable. */
export type Keep = (image: PluginImage, chainId: Digest | undefined) => void;

export interface PluginSource {
  readonly ref: ImageRef;
  readonly credentials: Credentials;
}

/** Plugins as images in registries: a manifest with a configuration of its own kind, and layers as any image's. */
export class PluginImages {
  readonly #store: ImageStore;
  readonly #registries: Registries;

  constructor(content: { readonly store: ImageStore; readonly registries: Registries }) {
    this.#store = content.store;
    this.#registries = content.registries;
  }

  /** The configuration alone, to know what the plugin asks for. */
  config(source: PluginSource, signal: AbortSignal): Promise<PluginConfig> {
    return this.#withRepository(source, async (repository) => {
      const { manifest } = await this.#findManifest(repository, source.ref, signal);
      return parsePluginConfig(await readConfig(repository, manifest.config, signal));
    });
  }

  /** @param accept may refuse the plugin by what it asks for, before it is downloaded */
  pull(
    source: PluginSource,
    progress: Progress,
    signal: AbortSignal,
    accept: (config: PluginConfig) => void,
    keep: Keep,
  ): Promise<void> {
    const { ref } = source;
    return this.#withRepository(source, async (repository) => {
      const found = await this.#findManifest(repository, ref, signal);
      progress({ status: `Pulling from ${familiarName(ref)}`, id: ref.tag ?? ref.digest });
      progress({ status: `Digest: ${digestOf(Buffer.from(found.content))}` });
      const configText = await readConfig(repository, found.manifest.config, signal);
      const config = parsePluginConfig(configText);
      accept(config);
      await using intake = this.#store.intake();
      const layers: LayerBlob[] = [];
      for (const descriptor of found.manifest.layers) {
        layers.push(await this.#fetchLayer(repository, intake, descriptor, progress, signal));
      }
      const manifest = { content: found.content, mediaType: found.mediaType };
      await this.#commit(intake, { configText, config, manifest, layers }, keep);
    });
  }

  /** @param context a tar of a folder with config.json and rootfs/, possibly compressed */
  async create(context: AsyncIterable<Buffer>, signal: AbortSignal, keep: Keep): Promise<void> {
    const { blobs, snapshots } = this.#store;
    await using intake = this.#store.intake();
    const tar = await blobs.ingest(context, { signal });
    let given: { config: PluginConfig; layer: LayerBlob };
    try {
      const folder = await snapshots.stageLayer({ path: tar.path, size: tar.size }, { signal });
      try {
        given = await this.#readFolder(intake, folder.path, signal);
      } finally {
        snapshots.discardLayer(folder);
      }
    } finally {
      blobs.discard(tar);
    }
    const config = { ...given.config, rootfs: { type: 'layers', diff_ids: [given.layer.diffId] } };
    const configText = JSON.stringify(config);
    const layers = [given.layer];
    await this.#commit(
      intake,
      { configText, config, manifest: this.#manifestOf(intake, configText, layers), layers },
      keep,
    );
  }

  async #readFolder(
    intake: Intake,
    folder: string,
    signal: AbortSignal,
  ): Promise<{ config: PluginConfig; layer: LayerBlob }> {
    const { blobs } = this.#store;
    const isThere = (name: string, kind: 'isFile' | 'isDirectory'): boolean =>
      lstatSync(join(folder, name), { throwIfNoEntry: false })?.[kind]() ?? false;
    if (!isThere('rootfs', 'isDirectory')) throw systemError('no rootfs found: EOF');
    if (!isThere('config.json', 'isFile')) throw systemError('config not found');
    const config = parsePluginConfig(readFileSync(join(folder, 'config.json'), 'utf8'));
    const compressed = gzip(tarLayer(join(folder, 'rootfs'), signal), availableParallelism());
    const blob = intake.takeBlob(await blobs.ingest(compressed, { signal }));
    const source = { path: intake.blobPath(blob.digest), digest: blob.digest, size: blob.size };
    const diffId = await intake.unpack(source, undefined, signal);
    return { config, layer: { diffId, blob: blob.digest, mediaType: MEDIA_TYPE.dockerLayerGzip } };
  }

  #manifestOf(intake: Intake, configText: string, layers: readonly LayerBlob[]): PluginImage['manifest'] {
    const config = Buffer.from(configText);
    const manifest: Manifest = {
      schemaVersion: 2,
      mediaType: MEDIA_TYPE.dockerManifest,
      config: { mediaType: PLUGIN_CONFIG_TYPE, digest: digestOf(config), size: config.length },
      layers: layers.map(({ blob, mediaType }) => ({
        mediaType,
        digest: blob,
        size: lstatSync(intake.blobPath(blob)).size,
      })),
    };
    return { content: JSON.stringify(manifest), mediaType: MEDIA_TYPE.dockerManifest };
  }

  /** Pushes a plugin as it is kept. */
  push(source: PluginSource, image: PluginImage, progress: Progress, signal: AbortSignal): Promise<void> {
    const { blobs } = this.#store;
    const tag = source.ref.tag as string;
    return withRepository(
      this.#registries,
      source.ref,
      source.credentials,
      true,
      async (repository) => {
        progress({ status: `The push refers to repository [${repositoryOf(source.ref)}]` });
        await using intake = this.#store.intake();
        for (const { blob } of image.layers) {
          const line = new LayerProgress(shortId(blob), progress);
          line.say('Preparing');
          if (!intake.hasBlob(blob)) throw systemError(`the content of layer ${blob} is missing`);
          const size = blobs.size(blob) ?? 0;
          const open = (from: number) => blobs.open(blob, from, signal);
          const onBytes = (sent: number) => line.bytes('Pushing', sent, size);
          const result = await uploadBlob(repository, { digest: blob, size, open, mountFrom: [] }, { signal, onBytes });
          line.say(result.kind === 'existed' ? 'Layer already exists' : 'Pushed');
        }
        const config = Buffer.from(image.configText);
        const open = (from: number) => Readable.from([config.subarray(from)], { objectMode: false });
        const blob = { digest: digestOf(config), size: config.length, open, mountFrom: [] };
        await uploadBlob(repository, blob, { signal, onBytes: () => undefined });
        const content = Buffer.from(image.manifest.content);
        await putManifest(repository, tag, { content, mediaType: image.manifest.mediaType }, signal);
        const Digest = digestOf(content);
        progress({ status: `${tag}: digest: ${Digest} size: ${content.length}` });
        progress({ progressDetail: {}, aux: { Tag: tag, Digest, Size: content.length } });
      },
      'repository(plugin)',
    ).catch((error: unknown) => {
      if (!(error instanceof RegistryError)) throw error;
      throw systemError(`error pushing plugin: ${error.message}`, error);
    });
  }

  async #commit(intake: Intake, image: PluginImage, keep: Keep): Promise<void> {
    await intake.commitLayers(image.layers, () => keep(image, chainOf(image.layers.map(({ diffId }) => diffId))));
  }

  async #withRepository<T>(source: PluginSource, work: (repository: Repository) => Promise<T>): Promise<T> {
    const { ref, credentials } = source;
    try {
      return await withRepository(this.#registries, ref, credentials, false, work, 'repository(plugin)');
    } catch (error) {
      if (!(error instanceof RegistryError)) throw error;
      const missing = error.status === 404 || error.code === 'DENIED' || error.code === 'MANIFEST_UNKNOWN';
      const message = `error resolving plugin reference: ${missing ? `${named(ref)}: not found` : error.message}`;
      throw missing ? notFound(message, error) : new EngineError('system', message, error);
    }
  }

  async #findManifest(
    repository: Repository,
    ref: ImageRef,
    signal: AbortSignal,
  ): Promise<{ content: string; mediaType: string; manifest: Manifest }> {
    let fetched = await fetchManifest(repository, ref.digest ?? (ref.tag as string), signal);
    let document = parseDocument(fetched.content, fetched.mediaType);
    if (document.kind === 'index') {
      const chosen = choose(document.index.manifests, this.#store.platform);
      if (!chosen) throw notFound(`no matching manifest in the manifest list entries of ${familiar(ref)}`);
      fetched = await fetchManifest(repository, chosen.digest, signal);
      document = parseDocument(fetched.content, fetched.mediaType);
    }
    if (document.kind !== 'manifest' || document.manifest.config.mediaType !== PLUGIN_CONFIG_TYPE) {
      throw systemError(`did not find plugin config for specified reference ${named(ref)}`);
    }
    return { content: fetched.content.toString('utf8'), mediaType: document.mediaType, manifest: document.manifest };
  }

  async #fetchLayer(
    repository: Repository,
    intake: Intake,
    descriptor: Descriptor,
    progress: Progress,
    signal: AbortSignal,
  ): Promise<LayerBlob> {
    const { digest, size, mediaType } = descriptor;
    const { blobs } = this.#store;
    const line = new LayerProgress(shortId(digest), progress);
    const known = intake.hasBlob(digest) ? blobs.rows.diffOf(digest) : undefined;
    if (known && intake.hasLayer(known)) {
      line.say('Already exists');
      return { diffId: known, blob: digest, mediaType };
    }
    if (!intake.hasBlob(digest)) {
      line.say('Pulling fs layer');
      const onBytes = (current: number) => line.bytes('Downloading', current, size);
      intake.takeBlob(await fetchBlob(repository, blobs, descriptor, { signal, onBytes }));
      line.say('Download complete');
    }
    const source = { path: intake.blobPath(digest), digest, size };
    const diffId = await intake.unpack(source, undefined, signal, (read) => line.bytes('Extracting', read, size));
    line.say('Pull complete');
    return { diffId, blob: digest, mediaType };
  }
}

/** With the registry, as dockerd names plugins in errors. */
const named = (ref: ImageRef): string => `${repositoryOf(ref)}${ref.digest ? `@${ref.digest}` : `:${ref.tag}`}`;

async function readConfig(repository: Repository, descriptor: Descriptor, signal: AbortSignal): Promise<string> {
  const content = await repository.registries.retrying(signal, async () => {
    const options = { scopes: repository.scopes('pull'), accepted: [200], signal };
    const answer = await repository.request(repository.url(`blobs/${descriptor.digest}`), options);
    return readBody(answer, DOCUMENT_LIMIT);
  });
  if (digestOf(content) !== descriptor.digest) {
    throw invalidParameter(`filesystem layer verification failed for digest ${descriptor.digest}`);
  }
  return content.toString('utf8');
}
