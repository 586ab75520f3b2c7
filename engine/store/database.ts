import { DatabaseSync } from 'node:sqlite';

import { Reserve } from './reserve.ts';

/**
 * The state database: SQLite in WAL mode, one file, one connection, synchronous calls (each takes microseconds).
 *
 * Durable when: a committed transaction is on disk before the call returns (synchronous=FULL), so an object that the API
 * has acknowledged is there after a power cut. A kill at any instant leaves the old or the new state.
 *
 * Each repository (one file per noun) owns its tables and hands its migrations to `openDatabase`.
 */
export type Database = DatabaseSync;

const reserves = new WeakMap<Database, Reserve>();

/** Migrations of one repository, in order; applied once each, never edited after release. */
export interface Schema {
  readonly name: string;
  readonly migrations: readonly string[];
}

/**
 * Opens (or creates) the database and brings every schema up to date in one transaction.
 * @param path file path, or ':memory:' in unit tests
 */
export function openDatabase(path: string, schemas: readonly Schema[]): Database {
  const db = new DatabaseSync(path);
  db.exec('PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA busy_timeout=5000;');
  db.exec('CREATE TABLE IF NOT EXISTS schema_versions (name TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT');
  if (path !== ':memory:') reserves.set(db, new Reserve(path));
  transaction(db, () => {
    for (const schema of schemas) migrate(db, schema);
  });
  return db;
}

function migrate(db: Database, schema: Schema): void {
  const row = db.prepare('SELECT version FROM schema_versions WHERE name = ?').get(schema.name);
  const version = row ? Number(row.version) : 0;
  if (version > schema.migrations.length) {
    throw new Error(`the data was written by a newer engine (${schema.name} ${version} > ${schema.migrations.length})`);
  }
  for (const sql of schema.migrations.slice(version)) db.exec(sql);
  db.prepare('INSERT OR REPLACE INTO schema_versions VALUES (?, ?)').run(schema.name, schema.migrations.length);
}

/** Runs `work` in one transaction: all of it or nothing. Joins the transaction it is called in. */
export function transaction<T>(db: Database, work: () => T): T {
  if (db.isTransaction) return work();
  reserves.get(db)?.makeRoom();
  db.exec('BEGIN IMMEDIATE');
  try {
    const result = work();
    db.exec('COMMIT');
    return result;
  } catch (error) {
    if (db.isTransaction) db.exec('ROLLBACK');
    throw error;
  }
}
