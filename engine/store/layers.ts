import { type Database, type Schema, transaction } from './database.ts';
import type { Digest } from './digest.ts';

/**
 * Layers and writable snapshots.
 *
 * A *diff* is one unpacked layer, stored once whatever stands below it: its directory depends on the diff id alone. A
 * *chain* is a stack of diffs, named by its chain id. A *snapshot* is the writable layer of one container. `dir` numbers
 * name directories (docs/images.md).
 */
export const layerSchema: Schema = {
  name: 'layers',
  migrations: [
    `CREATE TABLE layer_diffs (
       diff_id TEXT PRIMARY KEY, dir INTEGER NOT NULL UNIQUE, size INTEGER NOT NULL, entries INTEGER NOT NULL
     ) STRICT;
     CREATE TABLE layer_chains (
       chain_id TEXT PRIMARY KEY,
       parent TEXT REFERENCES layer_chains(chain_id),
       diff_id TEXT NOT NULL REFERENCES layer_diffs(diff_id)
     ) STRICT;
     CREATE INDEX layer_chains_parent ON layer_chains(parent);
     CREATE INDEX layer_chains_diff ON layer_chains(diff_id);
     CREATE TABLE layer_inits (chain_id TEXT PRIMARY KEY, dir INTEGER NOT NULL UNIQUE) STRICT;
     CREATE TABLE snapshots (
       key TEXT PRIMARY KEY, dir INTEGER NOT NULL UNIQUE, chain_id TEXT REFERENCES layer_chains(chain_id)
     ) STRICT;
     CREATE INDEX snapshots_chain ON snapshots(chain_id);`,
    // Whether there is an outline, with which the folder gives the layer's tar back.
    'ALTER TABLE layer_diffs ADD COLUMN outlined INTEGER NOT NULL DEFAULT 0',
  ],
  // Version 1 doesn't find the tar of an outlined layer.
  oldest: 2,
};

export interface DiffRow {
  readonly diffId: Digest;
  readonly dir: number;
  /** Bytes of regular files, counted while unpacking. */
  readonly size: number;
  readonly entries: number;
  /** Its tar can be made again from its folder, so no blob holds it. */
  readonly outlined: boolean;
}

export interface ChainRow {
  readonly chainId: Digest;
  readonly parent: Digest | undefined;
  readonly diffId: Digest;
}

export interface SnapshotRow {
  readonly key: string;
  readonly dir: number;
  readonly chainId: Digest | undefined;
}

type Row = Record<string, unknown>;
const toDiff = (row: Row): DiffRow => ({
  diffId: row.diff_id as Digest,
  dir: Number(row.dir),
  size: Number(row.size),
  entries: Number(row.entries),
  outlined: row.outlined === 1,
});
const toChain = (row: Row): ChainRow => ({
  chainId: row.chain_id as Digest,
  parent: (row.parent as Digest | null) ?? undefined,
  diffId: row.diff_id as Digest,
});
const toSnapshot = (row: Row): SnapshotRow => ({
  key: String(row.key),
  dir: Number(row.dir),
  chainId: (row.chain_id as Digest | null) ?? undefined,
});

export class LayerRepository {
  readonly #db: Database;
  readonly #diffs = new Map<Digest, DiffRow>();
  readonly #chains = new Map<Digest, ChainRow>();

  constructor(db: Database) {
    this.#db = db;
    this.reload();
  }

  /** Reads the tables again: after a transaction that failed, memory must not know more than the disk. */
  reload(): void {
    this.#diffs.clear();
    this.#chains.clear();
    for (const row of this.#db.prepare('SELECT * FROM layer_diffs').all()) {
      const diff = toDiff(row);
      this.#diffs.set(diff.diffId, diff);
    }
    for (const row of this.#db.prepare('SELECT * FROM layer_chains').all()) {
      const chain = toChain(row);
      this.#chains.set(chain.chainId, chain);
    }
  }

  diff(diffId: Digest): DiffRow | undefined {
    return this.#diffs.get(diffId);
  }

  chain(chainId: Digest): ChainRow | undefined {
    return this.#chains.get(chainId);
  }

  diffs(): IterableIterator<DiffRow> {
    return this.#diffs.values();
  }

  chains(): IterableIterator<ChainRow> {
    return this.#chains.values();
  }

  /** The diffs of a chain, base first; undefined when the chain is unknown. */
  stack(chainId: Digest): DiffRow[] | undefined {
    const stack: DiffRow[] = [];
    for (let at: Digest | undefined = chainId; at !== undefined; ) {
      const chain = this.#chains.get(at);
      const diff = chain && this.#diffs.get(chain.diffId);
      if (!chain || !diff) return undefined;
      stack.push(diff);
      at = chain.parent;
    }
    return stack.reverse();
  }

  /** Records new diffs and chains; what is there already stays as it is. Must run inside a transaction to be atomic. */
  add(diffs: readonly DiffRow[], chains: readonly ChainRow[]): void {
    const insertDiff = this.#db.prepare(
      'INSERT INTO layer_diffs (diff_id, dir, size, entries, outlined) VALUES (?, ?, ?, ?, ?)',
    );
    const insertChain = this.#db.prepare('INSERT INTO layer_chains (chain_id, parent, diff_id) VALUES (?, ?, ?)');
    transaction(this.#db, () => {
      for (const diff of diffs) {
        insertDiff.run(diff.diffId, diff.dir, diff.size, diff.entries, diff.outlined ? 1 : 0);
      }
      for (const chain of chains) {
        if (!this.#chains.has(chain.chainId)) insertChain.run(chain.chainId, chain.parent ?? null, chain.diffId);
      }
    });
    for (const diff of diffs) this.#diffs.set(diff.diffId, diff);
    for (const chain of chains) this.#chains.set(chain.chainId, chain);
  }

  /** Forgets chains (children before parents) and diffs, with their init layers. Returns the dirs of those init layers. */
  remove(chains: readonly Digest[], diffs: readonly Digest[]): number[] {
    const inits: number[] = [];
    transaction(this.#db, () => {
      for (const chainId of chains) {
        const init = this.init(chainId);
        if (init !== undefined) inits.push(init);
        this.#db.prepare('DELETE FROM layer_inits WHERE chain_id = ?').run(chainId);
        this.#db.prepare('DELETE FROM layer_chains WHERE chain_id = ?').run(chainId);
      }
      for (const diffId of diffs) this.#db.prepare('DELETE FROM layer_diffs WHERE diff_id = ?').run(diffId);
    });
    for (const chainId of chains) this.#chains.delete(chainId);
    for (const diffId of diffs) this.#diffs.delete(diffId);
    return inits;
  }

  /** Directory of the init layer made for containers of this chain ('' for a container without an image). */
  init(chainId: Digest | ''): number | undefined {
    const row = this.#db.prepare('SELECT dir FROM layer_inits WHERE chain_id = ?').get(chainId);
    return row ? Number(row.dir) : undefined;
  }

  inits(): { chainId: string; dir: number }[] {
    const rows = this.#db.prepare('SELECT chain_id, dir FROM layer_inits').all();
    return rows.map((row) => ({ chainId: String(row.chain_id), dir: Number(row.dir) }));
  }

  addInit(chainId: Digest | '', dir: number): void {
    this.#db.prepare('INSERT INTO layer_inits (chain_id, dir) VALUES (?, ?)').run(chainId, dir);
  }

  snapshot(key: string): SnapshotRow | undefined {
    const row = this.#db.prepare('SELECT * FROM snapshots WHERE key = ?').get(key);
    return row ? toSnapshot(row) : undefined;
  }

  snapshots(): SnapshotRow[] {
    return this.#db.prepare('SELECT * FROM snapshots').all().map(toSnapshot);
  }

  addSnapshot(row: SnapshotRow): void {
    this.#db
      .prepare('INSERT INTO snapshots (key, dir, chain_id) VALUES (?, ?, ?)')
      .run(row.key, row.dir, row.chainId ?? null);
  }

  removeSnapshot(key: string): void {
    transaction(this.#db, () => this.#db.prepare('DELETE FROM snapshots WHERE key = ?').run(key));
  }
}
