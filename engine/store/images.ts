import { type Database, type Schema, transaction } from './database.ts';
import type { Digest } from './digest.ts';

/**
 * Images and their names. The configuration is kept in the row, byte for byte (its digest is the id), so that looking an
 * image up touches no file; it is a blob as well, for push and save.
 */
export const imageSchema: Schema = {
  name: 'images',
  migrations: [
    `CREATE TABLE images (
       id TEXT PRIMARY KEY, config TEXT NOT NULL, chain_id TEXT, size INTEGER NOT NULL,
       parent TEXT, last_tagged INTEGER
     ) STRICT;
     CREATE TABLE image_tags (
       repository TEXT NOT NULL, tag TEXT NOT NULL, image_id TEXT NOT NULL REFERENCES images(id),
       PRIMARY KEY (repository, tag)
     ) STRICT;
     CREATE TABLE image_digests (
       repository TEXT NOT NULL, digest TEXT NOT NULL, image_id TEXT NOT NULL REFERENCES images(id),
       PRIMARY KEY (repository, digest)
     ) STRICT;
     CREATE TABLE image_manifests (
       digest TEXT NOT NULL, image_id TEXT NOT NULL REFERENCES images(id) ON DELETE CASCADE, media_type TEXT NOT NULL,
       PRIMARY KEY (image_id, digest)
     ) STRICT;
     CREATE TABLE preloaded (file_digest TEXT PRIMARY KEY) STRICT;`,
  ],
};

export interface ImageRow {
  readonly id: Digest;
  /** JSON, exactly the bytes whose digest is the id. */
  readonly config: string;
  readonly chainId: Digest | undefined;
  readonly size: number;
  /** The image that a commit or a build step started from. */
  readonly parent: Digest | undefined;
  /** Milliseconds since the epoch. */
  readonly lastTagged: number | undefined;
}

export type ImageName =
  | { readonly repository: string; readonly tag: string }
  | { readonly repository: string; readonly digest: Digest };

export interface ManifestRow {
  readonly digest: Digest;
  readonly imageId: Digest;
  readonly mediaType: string;
}

const nameKey = (name: ImageName): string =>
  'tag' in name ? `${name.repository}:${name.tag}` : `${name.repository}@${name.digest}`;

/** Read from memory, written through: the tables are small and asked on every `docker run`. */
export class ImageRepository {
  readonly #db: Database;
  readonly #images = new Map<Digest, ImageRow>();
  readonly #names = new Map<string, { name: ImageName; id: Digest }>();
  readonly #byImage = new Map<Digest, Set<string>>();
  readonly #manifests = new Map<Digest, ManifestRow[]>();

  constructor(db: Database) {
    this.#db = db;
    this.reload();
  }

  /** Reads the tables again: after a transaction that failed, memory must not know more than the disk. */
  reload(): void {
    for (const map of [this.#images, this.#names, this.#byImage, this.#manifests]) map.clear();
    for (const row of this.#db.prepare('SELECT * FROM images').all()) {
      const image: ImageRow = {
        id: row.id as Digest,
        config: String(row.config),
        chainId: (row.chain_id as Digest | null) ?? undefined,
        size: Number(row.size),
        parent: (row.parent as Digest | null) ?? undefined,
        lastTagged: row.last_tagged === null ? undefined : Number(row.last_tagged),
      };
      this.#images.set(image.id, image);
    }
    for (const row of this.#db.prepare('SELECT * FROM image_tags').all()) {
      this.#remember({ repository: String(row.repository), tag: String(row.tag) }, row.image_id as Digest);
    }
    for (const row of this.#db.prepare('SELECT * FROM image_digests').all()) {
      this.#remember({ repository: String(row.repository), digest: row.digest as Digest }, row.image_id as Digest);
    }
    for (const row of this.#db.prepare('SELECT * FROM image_manifests').all()) {
      this.#rememberManifest({
        digest: row.digest as Digest,
        imageId: row.image_id as Digest,
        mediaType: String(row.media_type),
      });
    }
  }

  get(id: Digest): ImageRow | undefined {
    return this.#images.get(id);
  }

  all(): ImageRow[] {
    return [...this.#images.values()];
  }

  /** Ids that begin with these hex digits. */
  idsWithPrefix(hex: string): Digest[] {
    return [...this.#images.keys()].filter((id) => id.startsWith(`sha256:${hex}`));
  }

  children(id: Digest): Digest[] {
    return this.all().flatMap((image) => (image.parent === id ? image.id : []));
  }

  byName(name: ImageName): Digest | undefined {
    return this.#names.get(nameKey(name))?.id;
  }

  /** Names of an image: tags first, each group sorted. */
  names(id: Digest): ImageName[] {
    const names = [...(this.#byImage.get(id) ?? [])]
      .sort()
      .map((key) => (this.#names.get(key) as { name: ImageName }).name);
    return [...names.filter((name) => 'tag' in name), ...names.filter((name) => 'digest' in name)];
  }

  manifests(id: Digest): readonly ManifestRow[] {
    return this.#manifests.get(id) ?? [];
  }

  /** An image that is there already keeps its row. */
  add(image: ImageRow): void {
    if (this.#images.has(image.id)) return;
    this.#db
      .prepare('INSERT INTO images (id, config, chain_id, size, parent, last_tagged) VALUES (?, ?, ?, ?, ?, ?)')
      .run(image.id, image.config, image.chainId ?? null, image.size, image.parent ?? null, image.lastTagged ?? null);
    this.#images.set(image.id, image);
  }

  /** Points a name at an image; one that pointed elsewhere is moved. `taggedAt` marks a user's own tagging. */
  setName(name: ImageName, id: Digest, taggedAt?: number): void {
    const [table, column, value] =
      'tag' in name ? ['image_tags', 'tag', name.tag] : ['image_digests', 'digest', name.digest];
    transaction(this.#db, () => {
      this.#db
        .prepare(`INSERT OR REPLACE INTO ${table} (repository, ${column}, image_id) VALUES (?, ?, ?)`)
        .run(name.repository, value, id);
      if (taggedAt !== undefined) this.#db.prepare('UPDATE images SET last_tagged = ? WHERE id = ?').run(taggedAt, id);
    });
    this.#forget(nameKey(name));
    this.#remember(name, id);
    const image = this.#images.get(id);
    if (image && taggedAt !== undefined) this.#images.set(id, { ...image, lastTagged: taggedAt });
  }

  removeName(name: ImageName): void {
    if ('tag' in name) {
      this.#db.prepare('DELETE FROM image_tags WHERE repository = ? AND tag = ?').run(name.repository, name.tag);
    } else {
      this.#db
        .prepare('DELETE FROM image_digests WHERE repository = ? AND digest = ?')
        .run(name.repository, name.digest);
    }
    this.#forget(nameKey(name));
  }

  addManifest(row: ManifestRow): void {
    if (this.manifests(row.imageId).some(({ digest }) => digest === row.digest)) return;
    this.#db
      .prepare('INSERT INTO image_manifests (digest, image_id, media_type) VALUES (?, ?, ?)')
      .run(row.digest, row.imageId, row.mediaType);
    this.#rememberManifest(row);
  }

  /** Removes an image and its manifests; its names must be gone. */
  remove(id: Digest): void {
    this.#db.prepare('DELETE FROM images WHERE id = ?').run(id);
    this.#images.delete(id);
    this.#manifests.delete(id);
  }

  wasPreloaded(fileDigest: string): boolean {
    return this.#db.prepare('SELECT 1 FROM preloaded WHERE file_digest = ?').get(fileDigest) !== undefined;
  }

  setPreloaded(fileDigest: string): void {
    this.#db.prepare('INSERT OR IGNORE INTO preloaded (file_digest) VALUES (?)').run(fileDigest);
  }

  #remember(name: ImageName, id: Digest): void {
    const key = nameKey(name);
    this.#names.set(key, { name, id });
    const keys = this.#byImage.get(id) ?? new Set();
    this.#byImage.set(id, keys.add(key));
  }

  #forget(key: string): void {
    const entry = this.#names.get(key);
    if (!entry) return;
    this.#names.delete(key);
    this.#byImage.get(entry.id)?.delete(key);
  }

  #rememberManifest(row: ManifestRow): void {
    this.#manifests.set(row.imageId, [...this.manifests(row.imageId), row]);
  }
}
