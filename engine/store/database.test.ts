import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openDatabase, type Schema } from './database.ts';

const FIRST: Schema = { name: 'things', migrations: ['CREATE TABLE things (id TEXT PRIMARY KEY) STRICT'] };
const SECOND: Schema = {
  name: 'things',
  migrations: [...FIRST.migrations, "ALTER TABLE things ADD COLUMN colour TEXT NOT NULL DEFAULT 'none'"],
};

describe('the state database', () => {
  let folder: string;
  let path: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'skiff-db-'));
    path = join(folder, 'state.db');
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const use = <T>(schema: Schema, work: (db: DatabaseSync) => T): T => {
    const db = openDatabase(path, [schema]);
    try {
      return work(db);
    } finally {
      db.close();
    }
  };
  const insert = (id: string) => (db: DatabaseSync) => void db.prepare('INSERT INTO things (id) VALUES (?)').run(id);
  const all = (db: DatabaseSync) => db.prepare('SELECT * FROM things ORDER BY id').all();

  it('keeps its rows over an upgrade, a way back and the next upgrade', () => {
    use(FIRST, insert('a'));
    use(SECOND, (db) => db.prepare("INSERT INTO things (id, colour) VALUES ('b', 'red')").run());
    use(FIRST, insert('c'));
    expect(use(SECOND, all)).toEqual([
      { id: 'a', colour: 'none' },
      { id: 'b', colour: 'red' },
      { id: 'c', colour: 'none' },
    ]);
  });

  it('refuses an engine that is too old for it, and stays as it is', () => {
    use({ ...SECOND, oldest: 2 }, insert('a'));
    expect(() => openDatabase(path, [FIRST])).toThrow(/newer engine/);
    expect(use(SECOND, all)).toEqual([{ id: 'a', colour: 'none' }]);
  });

  it('is as it was after an upgrade that failed in the middle', () => {
    use(FIRST, insert('a'));
    const broken: Schema = {
      name: 'things',
      migrations: [...SECOND.migrations, 'ALTER TABLE others ADD COLUMN x TEXT'],
    };
    expect(() => openDatabase(path, [broken])).toThrow(/no such table/);
    expect(use(FIRST, all)).toEqual([{ id: 'a' }]);
    expect(use(SECOND, all)).toEqual([{ id: 'a', colour: 'none' }]);
  });

  it('takes over the file of an engine that knew no way back', () => {
    const old = new DatabaseSync(path);
    old.exec('CREATE TABLE schema_versions (name TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT');
    old.exec(
      `INSERT INTO schema_versions VALUES ('things', 1); ${FIRST.migrations[0]}; INSERT INTO things VALUES ('a')`,
    );
    old.close();
    expect(use(SECOND, all)).toEqual([{ id: 'a', colour: 'none' }]);
  });
});
