import { type Database, type Schema, transaction } from './database.ts';
import type { Digest } from './digest.ts';

/** What build steps have made, by the digest of all that went into them. */
export const buildCacheSchema: Schema = {
  name: 'build_cache',
  migrations: [
    `CREATE TABLE build_cache (
       key TEXT PRIMARY KEY, parent TEXT, description TEXT NOT NULL, kind TEXT NOT NULL,
       chain_id TEXT, diff_id TEXT, created_at INTEGER NOT NULL, used_at INTEGER NOT NULL, uses INTEGER NOT NULL
     ) STRICT;`,
  ],
};

export interface CacheRow {
  /** 64 hex digits. */
  readonly key: string;
  readonly parent: string | undefined;
  readonly description: string;
  readonly kind: 'regular' | 'exec.cachemount';
  /** The chain that the step's layer ends; undefined where it made none. */
  readonly chainId: Digest | undefined;
  readonly diffId: Digest | undefined;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  readonly usedAt: number;
  readonly uses: number;
}

/** Read from memory, written through. */
export class BuildCacheRepository {
  readonly #db: Database;
  readonly #rows = new Map<string, CacheRow>();

  constructor(db: Database) {
    this.#db = db;
    for (const row of db.prepare('SELECT * FROM build_cache').all()) {
      const entry: CacheRow = {
        key: String(row.key),
        parent: row.parent === null ? undefined : String(row.parent),
        description: String(row.description),
        kind: row.kind as CacheRow['kind'],
        chainId: (row.chain_id as Digest | null) ?? undefined,
        diffId: (row.diff_id as Digest | null) ?? undefined,
        createdAt: Number(row.created_at),
        usedAt: Number(row.used_at),
        uses: Number(row.uses),
      };
      this.#rows.set(entry.key, entry);
    }
  }

  get(key: string): CacheRow | undefined {
    return this.#rows.get(key);
  }

  all(): CacheRow[] {
    return [...this.#rows.values()];
  }

  put(rows: readonly CacheRow[]): void {
    const statement = this.#db.prepare(
      `INSERT OR REPLACE INTO build_cache (key, parent, description, kind, chain_id, diff_id, created_at, used_at, uses)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    );
    transaction(this.#db, () => {
      for (const row of rows) {
        const { key, parent = null, description, kind, chainId = null, diffId = null } = row;
        statement.run(key, parent, description, kind, chainId, diffId, row.createdAt, row.usedAt, row.uses);
      }
    });
    for (const row of rows) this.#rows.set(row.key, row);
  }

  remove(keys: readonly string[]): void {
    const statement = this.#db.prepare('DELETE FROM build_cache WHERE key = ?');
    transaction(this.#db, () => {
      for (const key of keys) statement.run(key);
    });
    for (const key of keys) this.#rows.delete(key);
  }
}
