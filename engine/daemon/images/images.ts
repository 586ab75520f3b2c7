import type { OciImageConfig, Platform } from '../../content/oci.ts';
import type { Snapshots } from '../../snapshots/snapshots.ts';
import type { Database } from '../../store/database.ts';
import type { Digest } from '../../store/digest.ts';

import { ImageStore } from './image-store.ts';
import { type LoadOptions, loadArchive } from './load.ts';
import { loadPreloaded } from './preload.ts';
import type { Progress } from './progress.ts';

export type { OciImageConfig, Platform } from '../../content/oci.ts';
export type { Digest } from '../../store/digest.ts';

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

  constructor(options: ImagesOptions) {
    this.#store = new ImageStore(options);
  }

  /** By name[:tag][@digest], id or unique id prefix. Throws notFound `No such image: x:latest`. */
  get(reference: string): Image {
    return this.#store.get(reference);
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

  commit(_request: CommitRequest, _signal: AbortSignal): Promise<Digest> {
    throw new Error('not written yet');
  }
}
