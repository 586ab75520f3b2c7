import { type Database, type Schema, transaction } from './database.ts';

/**
 * Nouns kept whole as JSON documents: containers, networks, volumes. What must be unique is a column; the rest is the
 * noun's own shape, which its daemon module owns.
 */
export const documentsSchema: Schema = {
  name: 'documents',
  migrations: [
    `CREATE TABLE documents (
       noun TEXT NOT NULL,
       id TEXT NOT NULL,
       name TEXT NOT NULL,
       body TEXT NOT NULL,
       PRIMARY KEY (noun, id),
       UNIQUE (noun, name)
     ) STRICT, WITHOUT ROWID`,
  ],
};

export interface Named {
  readonly id: string;
  readonly name: string;
}

/** Documents of one noun. Every write is durable when it returns. */
export class DocumentStore<T extends Named> {
  readonly #db: Database;
  readonly #noun: string;
  readonly #put;
  readonly #delete;

  constructor(db: Database, noun: string) {
    this.#db = db;
    this.#noun = noun;
    this.#put = db.prepare(
      `INSERT INTO documents (noun, id, name, body) VALUES (?, ?, ?, ?)
       ON CONFLICT (noun, id) DO UPDATE SET name = excluded.name, body = excluded.body`,
    );
    this.#delete = db.prepare('DELETE FROM documents WHERE noun = ? AND id = ?');
  }

  all(): T[] {
    const rows = this.#db.prepare('SELECT body FROM documents WHERE noun = ?').all(this.#noun);
    return rows.map((row) => JSON.parse(String(row.body)) as T);
  }

  put(document: T): void {
    const body = JSON.stringify(document);
    transaction(this.#db, () => this.#put.run(this.#noun, document.id, document.name, body));
  }

  delete(id: string): void {
    transaction(this.#db, () => this.#delete.run(this.#noun, id));
  }

  /** Several writes, all or none. */
  together<R>(work: () => R): R {
    return transaction(this.#db, work);
  }
}
