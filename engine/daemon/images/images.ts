import type { OciImageConfig, Platform } from '../../content/oci.ts';
import { formatPlatform, parsePlatform, rank } from '../../content/platform.ts';
import { type ImageRef, parseReference, withDigest, withTag } from '../../content/reference.ts';
import { decodeCredentials } from '../../content/registry/auth.ts';
import { Registries } from '../../content/registry/client.ts';
import { notFound } from '../../errors.ts';
import type { Snapshots } from '../../snapshots/snapshots.ts';
import type { Database } from '../../store/database.ts';
import { type Digest, parseDigest } from '../../store/digest.ts';

import type { Filters } from '../filters.ts';

import { addBuiltImage, type BuiltImage, type BuiltLayer, layerOfSnapshot } from './built.ts';
import { commitImage, type ImportRequest, importImage } from './create.ts';
import { checkStore } from './fsck.ts';
import { ImageStore } from './image-store.ts';
import { type HistoryItem, type ImageInspect, imageHistory, inspectImage } from './inspect.ts';
import { type ImageSummary, type ListOptions, listImages } from './list.ts';
import { type LoadOptions, loadArchive } from './load.ts';
import { tagImage } from './names.ts';
import { loadPreloaded } from './preload.ts';
import type { Progress } from './progress.ts';
import { type ImagesPruned, pruneImages } from './prune.ts';
import { Puller } from './pull.ts';
import { Pusher, parsePushReference } from './push.ts';
import {
  type AuthRequest,
  type AuthResult,
  authenticate,
  type DistributionInspect,
  inspectDistribution,
  type SearchResult,
  searchImages,
} from './registry-queries.ts';
import { type Deleted, type RemoveOptions, removeImage } from './remove.ts';
import { saveImages } from './save.ts';

export type { OciImageConfig, Platform } from '../../content/oci.ts';
export { parsePlatformJson } from '../../content/platform.ts';
export type { Digest } from '../../store/digest.ts';
export type { BuiltLayer } from './built.ts';
export type { ImportRequest } from './create.ts';
export type { HistoryItem, ImageInspect } from './inspect.ts';
export type { ImageSummary, ListOptions } from './list.ts';
export type { LoadOptions } from './load.ts';
export type { Progress } from './progress.ts';
export type { ImagesPruned } from './prune.ts';
export type { AuthRequest, AuthResult, DistributionInspect, SearchResult } from './registry-queries.ts';
export type { Deleted, RemoveOptions } from './remove.ts';

/** An image of this engine: one configuration with its layers, whatever number of names it has. */
export interface Image {
  readonly id: Digest;
  readonly config: OciImageConfig;
  /** Undefined for an image without layers. */
  readonly chainId: Digest | undefined;
  /** Familiar names: `busybox:latest`. */
  readonly repoTags: readonly string[];
  /** `busybox@sha256:…` */
  readonly repoDigests: readonly string[];
  /** Bytes of the unpacked layers. */
  readonly size: number;
  /** RFC 3339, '' when the image doesn't say. */
  readonly created: string;
}

export interface ImageEvent {
  readonly type: 'image';
  readonly action: 'create' | 'delete' | 'import' | 'load' | 'pull' | 'push' | 'save' | 'tag' | 'untag' | 'prune';
  readonly id: string;
  readonly attributes: Readonly<Record<string, string>>;
}

/** Who uses images; answered by the containers. Must be cheap: asked for each image on list and remove. */
export interface ImageUsers {
  containersUsing(imageId: Digest): readonly { readonly id: string; readonly running: boolean }[];
}

export interface ImageSettings {
  /** Mirrors of Docker Hub, tried in order before it: `https://mirror.example`. */
  readonly mirrors?: readonly string[];
  /** host, host:port or CIDR: TLS unverified, then plain HTTP. */
  readonly insecureRegistries?: readonly string[];
  readonly maxConcurrentDownloads?: number;
  readonly maxConcurrentUploads?: number;
  readonly maxDownloadAttempts?: number;
  /** The first pause before trying again, doubled each time; default a second. */
  readonly retryDelayMs?: number;
  /** Folder with `<host>[:<port>]/{*.crt,*.cert,*.key}`; default /etc/docker/certs.d. */
  readonly certsDir?: string;
  /** Address of the machine that runs the VM, dialled when nothing listens on the VM's own loopback. */
  readonly hostLoopback?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
}

export interface ImagesOptions {
  /** The data root; content lies in `<root>/content`. */
  readonly root: string;
  readonly db: Database;
  readonly snapshots: Snapshots;
  readonly users: ImageUsers;
  readonly events: (event: ImageEvent) => void;
  /** Chains that something else than images and containers needs: the build cache. Asked on every collection. */
  readonly retained?: () => Iterable<Digest>;
  readonly settings?: ImageSettings;
  readonly platform?: Platform;
}

/** What a commit makes of a container (POST /commit). */
export interface CommitRequest {
  readonly parent: Digest | undefined;
  /** The layer's tar, as Snapshots.diffTar gives it. */
  readonly diff: AsyncIterable<Buffer>;
  /** Defaults of the new image, before `changes`. */
  readonly config: NonNullable<OciImageConfig['config']>;
  /** Dockerfile instructions: `ENV A=b`. */
  readonly changes?: readonly string[];
  /** `repo[:tag]`, parsed as for tag. */
  readonly reference?: string;
  readonly author?: string;
  readonly comment?: string;
  readonly createdBy?: string;
}

/**
 * The engine's images (swagger: Image). Looking up is synchronous; whatever streams takes an AbortSignal, stops when it
 * aborts, and leaves nothing half-done.
 */
export class Images {
  readonly #store: ImageStore;
  readonly #registries: Registries;
  readonly #puller: Puller;
  readonly #pusher: Pusher;

  constructor(options: ImagesOptions) {
    this.#store = new ImageStore(options);
    this.#registries = new Registries(options.settings);
    this.#puller = new Puller(this.#store, this.#registries);
    this.#pusher = new Pusher(this.#store, this.#registries);
  }

  /** Where the images of plugins are kept, which are pulled and pushed as these are. */
  get content(): { readonly store: ImageStore; readonly registries: Registries } {
    return { store: this.#store, registries: this.#registries };
  }

  /**
   * By name[:tag][@digest], id or unique id prefix. Throws notFound `No such image: x:latest`.
   * @param platform `os[/arch[/variant]]` that the image must be able to serve
   */
  get(reference: string, platform?: string): Image {
    if (platform) this.#checkPlatform(reference, parsePlatform(platform, this.#store.platform));
    return this.#store.get(reference);
  }

  list(options: ListOptions): ImageSummary[] {
    return listImages(this.#store, options);
  }

  inspect(name: string, platform?: Platform): ImageInspect {
    this.#checkPlatform(name, platform);
    return inspectImage(this.#store, name);
  }

  history(name: string, platform?: Platform): HistoryItem[] {
    this.#checkPlatform(name, platform);
    return imageHistory(this.#store, name);
  }

  tag(source: string, repo: string, tag: string | undefined): void {
    tagImage(this.#store, source, repo, tag);
  }

  remove(reference: string, options: RemoveOptions): Deleted[] {
    return removeImage(this.#store, reference, options).records;
  }

  prune(filters: Filters, signal: AbortSignal): ImagesPruned {
    return pruneImages(this.#store, filters, signal);
  }

  /** POST /images/create?fromImage=. @param request.auth X-Registry-Auth as it came */
  async pull(request: PullParameters, progress: Progress, signal: AbortSignal): Promise<void> {
    const ref = parsePullReference(request.image, request.tag);
    const platform = request.platform ? parsePlatform(request.platform, this.#store.platform) : undefined;
    await this.#puller.pull({ ref, platform, credentials: decodeCredentials(request.auth) }, progress, signal);
  }

  /** POST /images/load. */
  async load(
    source: AsyncIterable<Buffer>,
    options: LoadOptions,
    progress: Progress,
    signal: AbortSignal,
  ): Promise<void> {
    await loadArchive(this.#store, source, options, progress, signal);
  }

  /** Loads each *.tar of a folder once in the life of this data root: an image that was removed stays away. */
  async loadPreloaded(dir: string): Promise<void> {
    await loadPreloaded(this.#store, dir);
  }

  /** POST /images/{name}/push. */
  async push(request: PushParameters, progress: Progress, signal: AbortSignal): Promise<void> {
    const ref = parsePushReference(request.image, request.tag);
    await this.#pusher.push({ ref, credentials: decodeCredentials(request.auth) }, progress, signal);
  }

  /**
   * GET /images/get: one tar. Fails before the first byte when an image doesn't exist. A chunk is valid until the next one
   * is asked for.
   */
  save(names: readonly string[], platform: Platform | undefined, signal: AbortSignal): AsyncIterable<Buffer> {
    return saveImages(this.#store, names, platform, signal);
  }

  /** POST /images/create?fromSrc=. */
  async import(request: ImportRequest, progress: Progress, signal: AbortSignal): Promise<void> {
    await importImage(this.#store, this.#registries, request, progress, signal);
  }

  /** Makes an image of a container's changes; names it when asked to. The container's own event is the caller's. */
  commit(request: CommitRequest, signal: AbortSignal): Promise<Digest> {
    return commitImage(this.#store, request, signal);
  }

  /** Makes a layer of what a build step wrote into a snapshot; undefined when it wrote nothing. See built.ts. */
  layerOf(
    snapshot: string,
    onLayer: (layer: BuiltLayer) => void,
    signal: AbortSignal,
  ): Promise<BuiltLayer | undefined> {
    return layerOfSnapshot(this.#store, snapshot, onLayer, signal);
  }

  /** Makes a built image durable and known, with its names. */
  addBuilt(image: BuiltImage): Promise<Digest> {
    return addBuiltImage(this.#store, image);
  }

  /** Removes what nothing needs any more. Returns the bytes freed. */
  collect(): number {
    return this.#store.collect().bytes;
  }

  /** Resolves when all layers made so far are durable. */
  sync(): Promise<void> {
    return this.#store.snapshots.sync();
  }

  /** Diffs that images are made of. */
  diffsInUse(): ReadonlySet<Digest> {
    return new Set(this.#store.images().flatMap(({ config }) => config.rootfs.diff_ids));
  }

  get platform(): Platform {
    return this.#store.platform;
  }

  distribution(name: string, auth: string | undefined, signal: AbortSignal): Promise<DistributionInspect> {
    return inspectDistribution(this.#registries, name, auth, signal);
  }

  authenticate(request: AuthRequest, signal: AbortSignal): Promise<AuthResult> {
    return authenticate(this.#registries, request, signal);
  }

  search(request: Parameters<typeof searchImages>[1]): Promise<SearchResult[]> {
    return searchImages(this.#registries, request);
  }

  /** What `system df` tells of images; cheap, from what was counted while unpacking. */
  diskUsage(): { LayersSize: number; Images: ImageSummary[] } {
    const Images = listImages(this.#store, { all: true, sharedSize: true, containers: true });
    return { LayersSize: this.#store.snapshots.diffs().reduce((sum, { size }) => sum + size, 0), Images };
  }

  /** Findings of a consistency check; see checkStore. */
  check(deep = false, signal?: AbortSignal): Promise<string[]> {
    return checkStore(this.#store, deep, signal);
  }

  /** Temporary files of running operations: none when nothing runs. */
  unfinished(): string[] {
    return this.#store.blobs.unfinished();
  }

  #checkPlatform(name: string, platform: Platform | undefined): void {
    const { config } = this.#store.get(name);
    if (!platform || rank(platform, config) >= 0) return;
    throw notFound(
      `image with reference ${name} was found but its platform (${formatPlatform(config)}) ` +
        `does not match the specified platform (${formatPlatform(platform)})`,
    );
  }

  /** Ends connections that are kept to registries. */
  close(): void {
    this.#registries.close();
  }
}

export interface PushParameters {
  readonly image: string;
  readonly tag?: string;
  readonly auth?: string;
  readonly platform?: Platform;
}

export interface PullParameters {
  readonly image: string;
  readonly tag?: string;
  readonly platform?: string;
  readonly auth?: string;
}

/** `tag` may be a digest; it takes precedence over the name's own (moby postImagesCreate). */
function parsePullReference(image: string, tag: string | undefined): ImageRef {
  const ref = parseReference(image);
  if (!tag) return ref;
  return /^[a-z0-9]+:[0-9a-f]+$/i.test(tag) ? withDigest(ref, parseDigest(tag)) : withTag(ref, tag);
}
