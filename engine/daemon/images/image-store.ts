import { Blobs } from '../../content/blobs.ts';
import { parseImageConfig } from '../../content/documents.ts';
import { MEDIA_TYPE, type Platform } from '../../content/oci.ts';
import { hostPlatform } from '../../content/platform.ts';
import {
  familiar,
  familiarName,
  type ImageRef,
  parseAnyReference,
  parseRepository,
  repositoryOf,
  withDefaultTag,
} from '../../content/reference.ts';
import { notFound } from '../../errors.ts';
import type { Snapshots, StagedLayer } from '../../snapshots/snapshots.ts';
import { type Database, transaction } from '../../store/database.ts';
import { chainIds, type Digest } from '../../store/digest.ts';
import { type ImageName, ImageRepository, type ImageRow } from '../../store/images.ts';

import type { Image, ImageEvent, ImageSettings, ImagesOptions, ImageUsers } from './images.ts';
import { Intake } from './intake.ts';
import { Leases } from './leases.ts';
import { Shared, SharedWork } from './shared-work.ts';

/** Unpacking of a layer, shared by operations that need the same one. Progress: bytes read of the blob. */
export type UnpackWork = SharedWork<StagedLayer, number>;

export interface Collected {
  /** Layers that went, top first. */
  readonly chains: readonly Digest[];
  /** Bytes freed: unpacked layers and blobs. */
  readonly bytes: number;
}

/**
 * What all image operations stand on: the records, the content, the layers, and the one way to look an image up. Rows
 * change synchronously on one thread, so what garbage collection decides can't be overtaken by a pull or a run.
 */
export class ImageStore {
  readonly rows: ImageRepository;
  readonly blobs: Blobs;
  readonly snapshots: Snapshots;
  readonly users: ImageUsers;
  readonly settings: ImageSettings;
  readonly platform: Platform;
  readonly leases = new Leases();
  readonly unpacking: UnpackWork;
  readonly #db: Database;
  readonly #emit: (event: ImageEvent) => void;
  readonly #retained: () => Iterable<Digest>;
  readonly #images = new Map<Digest, Image>();

  constructor(options: ImagesOptions) {
    this.#db = options.db;
    this.#emit = options.events;
    this.#retained = options.retained ?? (() => []);
    this.rows = new ImageRepository(options.db);
    this.snapshots = options.snapshots;
    this.blobs = new Blobs({ ...options, assembled: (digest, signal) => this.snapshots.layerTar(digest, signal) });
    this.users = options.users;
    this.settings = options.settings ?? {};
    this.platform = options.platform ?? hostPlatform();
    this.unpacking = new SharedWork((layer) => this.snapshots.discardLayer(layer));
    this.collect();
  }

  /** A staged layer of one operation alone, held. */
  shareLayer(layer: StagedLayer): Shared<StagedLayer> {
    return new Shared(layer, (value) => this.snapshots.discardLayer(value)).hold();
  }

  /**
   * Enters the tar of a layer as a blob that its folder gives back, if the layer is one of those. Joins the caller's
   * transaction.
   */
  addOutlined(diffId: Digest, tarSize: number): void {
    if (!this.snapshots.diff(diffId)?.outlined) return;
    this.blobs.rows.add(diffId, tarSize);
    this.blobs.rows.addLayerBlob({ diffId, blob: diffId, mediaType: MEDIA_TYPE.ociLayer });
  }

  intake(): Intake {
    return new Intake(this);
  }

  emit(action: ImageEvent['action'], id: string, name: string, labels?: Readonly<Record<string, string>> | null): void {
    this.#emit({ type: 'image', action, id, attributes: { ...labels, name } });
  }

  emitPrune(reclaimed: number): void {
    this.#emit({ type: 'image', action: 'prune', id: '', attributes: { reclaimed: String(reclaimed) } });
  }

  /** Runs changes of rows in one transaction; when it fails, memory is brought back to what the disk says. */
  atomically<T>(work: () => T): T {
    this.#images.clear();
    try {
      return transaction(this.#db, work);
    } catch (error) {
      this.rows.reload();
      this.blobs.rows.reload();
      this.snapshots.reload();
      throw error;
    } finally {
      this.#images.clear();
    }
  }

  /** By name[:tag][@digest], id, or unique prefix of an id (moby daemon/images GetImage). */
  get(text: string): Image {
    return this.image(this.find(text));
  }

  find(text: string): Digest {
    const reference = parseAnyReference(text);
    if ('id' in reference) {
      if (this.rows.get(reference.id)) return reference.id;
      throw notFound(`No such image: ${reference.id}`);
    }
    const id = this.findNamed(reference.name) ?? this.#findByPrefix(text);
    if (id === undefined) throw notFound(`No such image: ${familiar(withDefaultTag(reference.name))}`);
    return id;
  }

  /** With a digest, the tag beside it is not looked at. */
  findNamed(ref: ImageRef): Digest | undefined {
    return this.rows.byName(nameOf(ref));
  }

  #findByPrefix(text: string): Digest | undefined {
    const hex = text.replace(/^sha256:/, '');
    if (!/^[0-9a-f]{1,64}$/.test(hex)) return undefined;
    const found = this.rows.idsWithPrefix(hex);
    return found.length === 1 ? found[0] : undefined;
  }

  image(id: Digest): Image {
    const known = this.#images.get(id);
    if (known) return known;
    const row = this.rows.get(id);
    if (!row) throw notFound(`No such image: ${id}`);
    const image = this.#read(row);
    this.#images.set(id, image);
    return image;
  }

  images(): Image[] {
    return this.rows.all().map(({ id }) => this.image(id));
  }

  #read(row: ImageRow): Image {
    const config = parseImageConfig(row.config);
    const names = this.rows.names(row.id);
    return {
      id: row.id,
      config,
      chainId: row.chainId,
      repoTags: names.flatMap((name) => ('tag' in name ? familiarOf(name) : [])),
      repoDigests: names.flatMap((name) => ('digest' in name ? familiarOf(name) : [])),
      size: row.size,
      created: config.created ?? '',
    };
  }

  /**
   * Removes every layer and blob that no image, container or running operation needs. Synchronous, so that it sees one
   * moment; the files themselves are deleted afterwards.
   */
  collect(): Collected {
    const leased = this.leases.held();
    const images = this.rows.all();
    const removed: Digest[] = [];
    const result = this.atomically(() => {
      const { chains, diffs } = this.snapshots.removeUnused(
        [...images.flatMap(({ chainId }) => chainId ?? []), ...this.#retained()],
        leased,
      );
      const kept = new Set<Digest>(leased);
      for (const { id } of images) {
        kept.add(id);
        for (const { digest } of this.rows.manifests(id)) kept.add(digest);
      }
      const layerBlobs = this.blobs.rows.allLayerBlobs();
      for (const { diffId, blob } of layerBlobs) if (this.snapshots.diff(diffId)) kept.add(blob);
      for (const [digest] of this.blobs.rows.all()) if (!kept.has(digest)) removed.push(digest);
      const outlined = new Set(diffs.flatMap((diff) => (diff.outlined ? diff.diffId : [])));
      const bytes = this.blobs.remove(removed, outlined) + diffs.reduce((sum, diff) => sum + diff.size, 0);
      return { chains, bytes };
    });
    this.blobs.unlink(removed);
    return result;
  }
}

export const nameOf = (ref: ImageRef): ImageName => {
  const repository = repositoryOf(ref);
  if (ref.digest !== undefined) return { repository, digest: ref.digest };
  return { repository, tag: ref.tag ?? 'latest' };
};

export const familiarOf = (name: ImageName): string => {
  const base = familiarName(parseRepository(name.repository));
  return 'tag' in name ? `${base}:${name.tag}` : `${base}@${name.digest}`;
};

export const chainOf = (diffIds: readonly Digest[]): Digest | undefined => chainIds(diffIds).at(-1);
