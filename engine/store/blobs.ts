import type { Database, Schema } from './database.ts';
import type { Digest } from './digest.ts';

/** Blobs of the content store that are durable, and what is known of them. */
export const blobSchema: Schema = {
  name: 'blobs',
  migrations: [
    `CREATE TABLE blobs (digest TEXT PRIMARY KEY, size INTEGER NOT NULL) STRICT;
     -- A blob that unpacks to a diff; media_type says how it is compressed.
     CREATE TABLE layer_blobs (
       diff_id TEXT NOT NULL, blob TEXT NOT NULL REFERENCES blobs(digest) ON DELETE CASCADE,
       media_type TEXT NOT NULL, PRIMARY KEY (diff_id, blob)
     ) STRICT;
     CREATE INDEX layer_blobs_blob ON layer_blobs(blob);
     -- Repositories (host/path) known to hold a blob: candidates for a cross-repository mount.
     CREATE TABLE blob_sources (
       blob TEXT NOT NULL REFERENCES blobs(digest) ON DELETE CASCADE, repository TEXT NOT NULL,
       PRIMARY KEY (blob, repository)
     ) STRICT;`,
  ],
};

export interface LayerBlob {
  readonly diffId: Digest;
  readonly blob: Digest;
  readonly mediaType: string;
}

export class BlobRepository {
  readonly #db: Database;
  readonly #sizes = new Map<Digest, number>();

  constructor(db: Database) {
    this.#db = db;
    this.reload();
  }

  /** Reads the tables again: after a transaction that failed, memory must not know more than the disk. */
  reload(): void {
    this.#sizes.clear();
    for (const row of this.#db.prepare('SELECT * FROM blobs').all()) {
      this.#sizes.set(row.digest as Digest, Number(row.size));
    }
  }

  /** Bytes, or undefined when there is no such blob. */
  size(digest: Digest): number | undefined {
    return this.#sizes.get(digest);
  }

  all(): IterableIterator<[Digest, number]> {
    return this.#sizes.entries();
  }

  add(digest: Digest, size: number): void {
    this.#db.prepare('INSERT OR IGNORE INTO blobs (digest, size) VALUES (?, ?)').run(digest, size);
    this.#sizes.set(digest, size);
  }

  remove(digest: Digest): void {
    this.#db.prepare('DELETE FROM blobs WHERE digest = ?').run(digest);
    this.#sizes.delete(digest);
  }

  addLayerBlob(row: LayerBlob): void {
    this.#db
      .prepare('INSERT OR IGNORE INTO layer_blobs (diff_id, blob, media_type) VALUES (?, ?, ?)')
      .run(row.diffId, row.blob, row.mediaType);
  }

  layerBlobs(diffId: Digest): LayerBlob[] {
    return this.#db.prepare('SELECT * FROM layer_blobs WHERE diff_id = ?').all(diffId).map(toLayerBlob);
  }

  allLayerBlobs(): LayerBlob[] {
    return this.#db.prepare('SELECT * FROM layer_blobs').all().map(toLayerBlob);
  }

  /** The diff a blob unpacks to, when it was unpacked here before. */
  diffOf(blob: Digest): Digest | undefined {
    const row = this.#db.prepare('SELECT diff_id FROM layer_blobs WHERE blob = ?').get(blob);
    return row?.diff_id as Digest | undefined;
  }

  addSource(blob: Digest, repository: string): void {
    if (!this.#sizes.has(blob)) return;
    this.#db.prepare('INSERT OR IGNORE INTO blob_sources (blob, repository) VALUES (?, ?)').run(blob, repository);
  }

  sources(blob: Digest): string[] {
    const rows = this.#db.prepare('SELECT repository FROM blob_sources WHERE blob = ?').all(blob);
    return rows.map((row) => String(row.repository));
  }
}

const toLayerBlob = (row: Record<string, unknown>): LayerBlob => ({
  diffId: row.diff_id as Digest,
  blob: row.blob as Digest,
  mediaType: String(row.media_type),
});
