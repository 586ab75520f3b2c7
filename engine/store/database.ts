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

/**
 * Migrations of one repository, in order; applied once each, never edited after release. The engine of the release before must be
 * able to work on their result, so that a user can go back: tables and columns are only added, columns with a default, and rows are
 * inserted by the names of their columns. What can't be done so raises `oldest`, and then there is no way back.
 */
export interface Schema {
  readonly name: string;
  readonly migrations: readonly string[];
  /** The lowest version (number of migrations) whose engines can work on what the last migration makes; default 1. */
  readonly oldest?: number;
}

/**
 * Opens (or creates) the database and brings every schema up to date in one transaction.
 * @param path file path, or ':memory:' in unit tests
 */
export function openDatabase(path: string, schemas: readonly Schema[]): Database {
  const db = new DatabaseSync(path);
  db.exec('PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA busy_timeout=5000;');
  db.exec('CREATE TABLE IF NOT EXISTS schema_versions (name TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT');
  if (!db.prepare("SELECT 1 FROM pragma_table_info('schema_versions') WHERE name = 'oldest'").get())
    db.exec('ALTER TABLE schema_versions ADD COLUMN oldest INTEGER NOT NULL DEFAULT 1');
  if (path !== ':memory:') reserves.set(db, new Reserve(path));
  transaction(db, () => {
    for (const schema of schemas) migrate(db, schema);
  });
  return db;
}

function migrate(db: Database, schema: Schema): void {
  const known = schema.migrations.length;
  const row = db.prepare('SELECT version, oldest FROM schema_versions WHERE name = ?').get(schema.name);
  const version = row ? Number(row.version) : 0;
  if (row && Number(row.oldest) > known) {
    throw new Error(
      `the data was written by a newer engine, and this one can't work on it (${schema.name} ${version} > ${known})`,
    );
  }
  if (version >= known) return; // what a newer engine has added stays
  for (const sql of schema.migrations.slice(version)) db.exec(sql);
  db.prepare('INSERT OR REPLACE INTO schema_versions (name, version, oldest) VALUES (?, ?, ?)').run(
    schema.name,
    known,
    schema.oldest ?? 1,
  );
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
