import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';

import { conflict, invalidParameter, notFound } from '../errors.ts';
import { MS, mount, unmount } from '../linux/mount.ts';
import { syncFilesystem } from '../linux/nodes.ts';
import { log } from '../log.ts';
import type { Database } from '../store/database.ts';
import { chainIds, type Digest } from '../store/digest.ts';
import { type DiffRow, LayerRepository, type SnapshotRow } from '../store/layers.ts';

import { type Change, clampTimes, findChanges, measure } from './changes.ts';
import { tarLayer, tarMerged } from './export.ts';
import type { ExtractLimits } from './extract.ts';
import { copyAttributes, fillInitLayer } from './init-layer.ts';
import { lookup } from './merged.ts';
import { OutlineWriter, tarOfOutline } from './outline.ts';
import { Trash } from './trash.ts';
import { UnpackPool, type UnpackSource } from './unpack.ts';

export type { Change } from './changes.ts';

/** A layer that is unpacked and verified but not yet durable nor known by its diff id. */
export interface StagedLayer extends DiffRow {
  readonly path: string;
}

/** A snapshot's changes as a tar that isn't kept. */
export interface OutlinedDiff {
  readonly diffId: Digest;
  /** Bytes of the tar. */
  readonly tarSize: number;
  /** A temporary file. */
  readonly outline: string;
}

export interface SnapshotsOptions {
  /** The data root; everything lies in `<root>/snapshots`. */
  readonly root: string;
  readonly db: Database;
  /** Layers unpacked at once; default the number of processors and two more. */
  readonly parallel?: number;
  readonly limits?: ExtractLimits;
}

/** Threads beside one for each processor: those that unpack what still arrives mostly wait. */
const FOLLOWERS = 2;

/** Nothing else may be redirected or indexed: layers stay readable as plain folders, and diffs by walking the upper. */
const OVERLAY_OPTIONS = 'index=off,redirect_dir=off,metacopy=off';

/**
 * Layers and the writable snapshots of containers, under `<data-root>/snapshots/` (docs/images.md draws it).
 *
 * Synchronous methods take well under a millisecond and may be called on the way of `docker run`. A layer exists for
 * others once its row is committed; before that its folder has a temporary name and goes at the next start.
 */
export class Snapshots {
  readonly #base: string;
  readonly #layers: LayerRepository;
  readonly #pool: UnpackPool;
  readonly #trash: Trash;
  readonly #limits: ExtractLimits | undefined;
  #nextDir: number;

  constructor(options: SnapshotsOptions) {
    this.#base = `${options.root}/snapshots`;
    this.#limits = options.limits;
    for (const name of ['l', 'o', 'i', 'w', 'tmp'])
      mkdirSync(`${this.#base}/${name}`, { recursive: true, mode: 0o710 });
    this.#layers = new LayerRepository(options.db);
    this.#pool = new UnpackPool(options.parallel ?? availableParallelism() + FOLLOWERS);
    this.#trash = new Trash(`${this.#base}/trash`, this.#pool);
    this.#nextDir = 1 + this.#sweep();
  }

  /**
   * Makes the writable layer of a container (`key`), on top of an image's chain; undefined is an empty root. Joins the
   * caller's transaction.
   * @returns removes its files, for when that transaction fails
   */
  prepare(key: string, chainId: Digest | undefined): () => void {
    if (this.#layers.snapshot(key)) throw conflict(`snapshot ${key} already exists`);
    const init = this.#initLayer(chainId);
    const dir = this.#nextDir++;
    const folder = `${this.#base}/w/${dir}`;
    mkdirSync(`${folder}/u`, { recursive: true, mode: 0o755 });
    mkdirSync(`${folder}/w`, { mode: 0o700 });
    // The root of a mount looks as its upper folder does.
    const root = lookup([`${this.#base}/i`], String(init));
    if (root) copyAttributes(root, `${folder}/u`);
    this.#layers.addSnapshot({ key, dir, chainId });
    return () => this.#trash.throwAway(folder, false);
  }

  hasSnapshot(key: string): boolean {
    return this.#layers.snapshot(key) !== undefined;
  }

  /**
   * Mounts the overlay of a prepared snapshot at `target`, an existing folder with an absolute path.
   *
   * Folders are given relative to the snapshots' folder, so that 127 layers and more fit into mount(2)'s one page of
   * options; the working directory changes for the length of this synchronous call.
   */
  mount(key: string, target: string, options: { readonly?: boolean } = {}): void {
    const { dir } = this.#snapshot(key);
    const lowers = this.#lowerNames(key).join(':');
    const data = `lowerdir=${lowers},upperdir=w/${dir}/u,workdir=w/${dir}/w,${OVERLAY_OPTIONS}`;
    const before = process.cwd();
    process.chdir(this.#base);
    try {
      mount('overlay', target, 'overlay', options.readonly ? MS.rdonly : 0, data);
    } finally {
      process.chdir(before);
    }
  }

  /** Mounts a chain read-only, without a snapshot: the caller sees to it that the chain stays. */
  mountChain(chainId: Digest, target: string): void {
    const names = this.#chainNames(chainId);
    const before = process.cwd();
    process.chdir(this.#base);
    try {
      // Of a single folder overlay makes nothing.
      if (names.length === 1) {
        mount(names[0]!, target, null, MS.bind);
        mount('none', target, null, MS.bind | MS.remount | MS.rdonly);
      } else mount('overlay', target, 'overlay', MS.rdonly, `lowerdir=${names.join(':')},${OVERLAY_OPTIONS}`);
    } finally {
      process.chdir(before);
    }
  }

  /** Not being mounted is not an error. */
  unmount(target: string): void {
    unmount(target);
  }

  /** Forgets the snapshot at once; its files go in the background. Unknown keys are not an error. */
  remove(key: string): void {
    this.forget(key)();
  }

  /** As remove, in two steps: the row goes with the caller's transaction, the files when it has been committed. */
  forget(key: string): () => void {
    const row = this.#layers.snapshot(key);
    if (!row) return () => {};
    this.#layers.removeSnapshot(key);
    return () => this.#trash.throwAway(`${this.#base}/w/${row.dir}`, false);
  }

  /**
   * Makes the writable layer of a snapshot that isn't mounted a layer like any other, on top of the snapshot's chain, and
   * forgets the snapshot. Synchronous; joins the caller's transaction. Not durable before a sync.
   */
  adopt(key: string, { diffId, outline }: OutlinedDiff, size: number): Digest {
    const { dir, chainId: parent } = this.#snapshot(key);
    const below = parent === undefined ? [] : this.#stack(parent).map(({ diffId }) => diffId);
    const chainId = chainIds([...below, diffId]).at(-1) as Digest;
    const fresh = this.#layers.diff(diffId) === undefined;
    if (fresh) {
      renameSync(outline, `${this.#base}/o/${dir}`);
      renameSync(`${this.#base}/w/${dir}/u`, `${this.#base}/l/${dir}`);
    } else rmSync(outline);
    this.#layers.removeSnapshot(key);
    this.#trash.throwAway(`${this.#base}/w/${dir}`, false);
    const rows = fresh ? [{ diffId, dir, size, entries: 0, outlined: true }] : [];
    this.#layers.add(rows, [{ chainId, parent, diffId }]);
    return chainId;
  }

  /** No file of a snapshot that isn't mounted is newer than this afterwards (seconds since the epoch). */
  clampTimes(key: string, latest: number): Promise<void> {
    return clampTimes(this.upperDir(key), latest);
  }

  /** Forgets the snapshots that belong to nothing any more: what a crash left. */
  removeOrphans(isKnown: (key: string) => boolean): void {
    for (const { key } of this.#layers.snapshots()) if (!isKnown(key)) this.remove(key);
  }

  upperDir(key: string): string {
    return `${this.#base}/w/${this.#snapshot(key).dir}/u`;
  }

  /** Top first, as overlay wants them; the first is the container's init layer. */
  lowerDirs(key: string): string[] {
    return this.#lowerNames(key).map((name) => `${this.#base}/${name}`);
  }

  /** The folders of a chain, top first. */
  chainDirs(chainId: Digest): string[] {
    return this.#chainNames(chainId).map((name) => `${this.#base}/${name}`);
  }

  changes(key: string): Promise<Change[]> {
    return findChanges(this.upperDir(key), this.lowerDirs(key));
  }

  /** Bytes in the writable layer. */
  async usage(key: string): Promise<{ size: number }> {
    return { size: await measure(this.upperDir(key)) };
  }

  /** Bytes of all layers of a chain, as counted when they were unpacked. */
  chainSize(chainId: Digest): number {
    return this.#stack(chainId).reduce((sum, diff) => sum + diff.size, 0);
  }

  /** The chain id of a stack of diffs, base first; there needn't be such a chain. */
  chainOf(diffIds: readonly Digest[]): Digest {
    return chainIds(diffIds).at(-1) as Digest;
  }

  hasLayer(chainId: Digest): boolean {
    return this.#layers.stack(chainId) !== undefined;
  }

  diff(diffId: Digest): DiffRow | undefined {
    return this.#layers.diff(diffId);
  }

  diffs(): DiffRow[] {
    return [...this.#layers.diffs()];
  }

  /** Chains that containers' snapshots stand on. */
  chainsInUse(): Digest[] {
    return this.#layers.snapshots().flatMap(({ chainId }) => chainId ?? []);
  }

  /**
   * Unpacks one layer under a temporary name; `commitLayers` makes it known, `discardLayer` removes it.
   * An uncompressed source that is hashed elsewhere gets an outline.
   * @param options.sourceDigest of an uncompressed source that is hashed elsewhere: asked for once it is unpacked
   */
  async stageLayer(
    source: UnpackSource,
    options: {
      diffId?: Digest;
      signal?: AbortSignal;
      onProgress?: (bytesRead: number) => void;
      sourceDigest?: () => Promise<Digest>;
    } = {},
  ): Promise<StagedLayer> {
    const dir = this.#nextDir++;
    const path = `${this.#base}/tmp/${dir}`;
    mkdirSync(path, { mode: 0o755 });
    try {
      const { sourceDigest, ...rest } = options;
      const hashed =
        sourceDigest === undefined ? source : { ...source, hashedElsewhere: true, outline: outlineOf(path) };
      const unpacked = await this.#pool.unpack(hashed, path, { ...rest, limits: this.#limits });
      const diffId = unpacked.diffId || (await sourceDigest?.());
      if (!diffId || (options.diffId !== undefined && options.diffId !== diffId)) {
        throw invalidParameter(`layer diffID mismatch: expected ${options.diffId}, got ${diffId}`);
      }
      const { size, entries, outlined } = unpacked;
      return { diffId: diffId as Digest, dir, size, entries, outlined, path };
    } catch (error) {
      rmSync(outlineOf(path), { force: true });
      this.#trash.throwAway(path, true);
      throw error;
    }
  }

  discardLayer(layer: StagedLayer): void {
    rmSync(outlineOf(layer.path), { force: true });
    this.#trash.throwAway(layer.path, true);
  }

  /** Makes everything unpacked so far durable. Call before commitLayers. */
  sync(): Promise<void> {
    return syncFilesystem(this.#base);
  }

  /** After a transaction that failed. */
  reload(): void {
    this.#layers.reload();
  }

  /** Gives staged layers their place and records the chain of `diffIds`. Synchronous; joins the caller's transaction. */
  commitLayers(staged: readonly StagedLayer[], diffIds: readonly Digest[]): void {
    const fresh: StagedLayer[] = [];
    for (const layer of staged) {
      if (this.#layers.diff(layer.diffId) || fresh.some((other) => other.diffId === layer.diffId)) {
        this.discardLayer(layer);
        continue;
      }
      if (layer.outlined) renameSync(outlineOf(layer.path), `${this.#base}/o/${layer.dir}`);
      renameSync(layer.path, `${this.#base}/l/${layer.dir}`);
      fresh.push(layer);
    }
    const chains = chainIds(diffIds);
    this.#layers.add(
      fresh.map(({ path: _path, ...row }) => row),
      chains.map((chainId, index) => ({ chainId, parent: chains[index - 1], diffId: diffIds[index] as Digest })),
    );
  }

  /**
   * Removes the chains that neither `chains` nor a container's snapshot needs, and the diffs that then no chain and not
   * `diffs` needs. Returns what went, for answers and for counting.
   */
  removeUnused(chains: Iterable<Digest>, diffs: ReadonlySet<Digest>): { chains: Digest[]; diffs: DiffRow[] } {
    const kept = new Set<Digest>();
    for (const root of [...chains, ...this.chainsInUse()]) {
      for (let at: Digest | undefined = root; at !== undefined && !kept.has(at); ) {
        kept.add(at);
        at = this.#layers.chain(at)?.parent;
      }
    }
    const lost = [...this.#layers.chains()].filter(({ chainId }) => !kept.has(chainId));
    const keptDiffs = new Set(diffs);
    for (const chain of this.#layers.chains()) if (kept.has(chain.chainId)) keptDiffs.add(chain.diffId);
    const lostDiffs = [...this.#layers.diffs()].filter(({ diffId }) => !keptDiffs.has(diffId));
    if (lost.length === 0 && lostDiffs.length === 0) return { chains: [], diffs: [] };
    const ordered = childrenFirst(lost);
    const inits = this.#layers.remove(
      ordered,
      lostDiffs.map(({ diffId }) => diffId),
    );
    for (const dir of inits) this.#trash.throwAway(`${this.#base}/i/${dir}`, false);
    for (const { dir } of lostDiffs) {
      rmSync(`${this.#base}/o/${dir}`, { force: true });
      this.#trash.throwAway(`${this.#base}/l/${dir}`, true);
    }
    return { chains: ordered, diffs: lostDiffs };
  }

  /** What records and folders disagree on (fsck); folders of layers that are being unpacked don't count. */
  check(): string[] {
    const findings: string[] = [];
    for (const { folder, dirs } of this.#known()) {
      const found = new Set(readdirSync(`${this.#base}/${folder}`));
      for (const dir of dirs)
        if (!found.delete(String(dir))) findings.push(`snapshot folder ${folder}/${dir} is missing`);
      for (const name of found) findings.push(`snapshot folder ${folder}/${name} belongs to nothing`);
    }
    for (const { chainId } of this.#layers.chains()) {
      if (!this.#layers.stack(chainId)) findings.push(`chain ${chainId} is incomplete`);
    }
    return findings;
  }

  /** The whole root of a snapshot as a tar (GET /containers/{id}/export). Works on a running container. */
  exportTar(key: string, signal: AbortSignal): AsyncIterable<Buffer> {
    return tarMerged([this.upperDir(key), ...this.lowerDirs(key)], signal);
  }

  /** Bytes of a layer's tar, made again from its folder; undefined when a blob holds them. */
  layerTar(diffId: Digest, signal: AbortSignal): AsyncIterable<Buffer> | undefined {
    const diff = this.#layers.diff(diffId);
    if (!diff?.outlined) return undefined;
    return tarOfOutline(`${this.#base}/o/${diff.dir}`, `${this.#base}/l/${diff.dir}`, signal);
  }

  /** Reads the changes of a snapshot that isn't mounted as diffTar does, and keeps only their digest and outline, for `adopt`. */
  async outlineDiff(key: string, signal: AbortSignal): Promise<OutlinedDiff> {
    const outline = outlineOf(`${this.#base}/tmp/${this.#nextDir++}`);
    const writer = new OutlineWriter(outline);
    try {
      const hash = createHash('sha256');
      let tarSize = 0;
      for await (const chunk of tarLayer(this.upperDir(key), signal, writer)) {
        hash.update(chunk);
        tarSize += chunk.length;
      }
      writer.finish();
      return { diffId: `sha256:${hash.digest('hex')}` as Digest, tarSize, outline };
    } catch (error) {
      writer.abort();
      throw error;
    }
  }

  /** Only the changes, whiteouts in OCI's form: what commit puts into a layer. */
  diffTar(key: string, signal: AbortSignal): AsyncIterable<Buffer> {
    return tarLayer(this.upperDir(key), signal);
  }

  /** Resolves when everything removed so far has left the disk. */
  settled(): Promise<void> {
    return this.#trash.settled();
  }

  async close(): Promise<void> {
    await this.#pool.close();
  }

  #snapshot(key: string): SnapshotRow {
    const row = this.#layers.snapshot(key);
    if (!row) throw notFound(`No such snapshot: ${key}`);
    return row;
  }

  #stack(chainId: Digest): DiffRow[] {
    const stack = this.#layers.stack(chainId);
    if (!stack) throw notFound(`layer does not exist: ${chainId}`);
    return stack;
  }

  /**
   * Top first. A diff that occurs twice in a chain is given once, at its topmost place: overlay refuses duplicates, and
   * what the lower one holds is hidden by the upper one anyway.
   */
  #chainNames(chainId: Digest): string[] {
    const names = this.#stack(chainId).map(({ dir }) => `l/${dir}`);
    return [...new Set(names.reverse())];
  }

  #lowerNames(key: string): string[] {
    const { chainId } = this.#snapshot(key);
    return [`i/${this.#initLayer(chainId)}`, ...(chainId === undefined ? [] : this.#chainNames(chainId))];
  }

  #initLayer(chainId: Digest | undefined): number {
    const known = this.#layers.init(chainId ?? '');
    if (known !== undefined) return known;
    const dir = this.#nextDir++;
    const folder = `${this.#base}/tmp/${dir}`;
    mkdirSync(folder, { mode: 0o755 });
    fillInitLayer(folder, chainId === undefined ? [] : this.chainDirs(chainId));
    renameSync(folder, `${this.#base}/i/${dir}`);
    this.#layers.addInit(chainId ?? '', dir);
    return dir;
  }

  #known(): { folder: string; dirs: ReadonlySet<number> }[] {
    const numbers = (rows: Iterable<{ readonly dir: number }>) => new Set([...rows].map(({ dir }) => dir));
    return [
      { folder: 'l', dirs: numbers(this.#layers.diffs()) },
      { folder: 'o', dirs: numbers([...this.#layers.diffs()].filter(({ outlined }) => outlined)) },
      { folder: 'i', dirs: numbers(this.#layers.inits()) },
      { folder: 'w', dirs: numbers(this.#layers.snapshots()) },
    ];
  }

  /** Throws away the folders that no row names: what a crash left. Returns the highest number in use. */
  #sweep(): number {
    let highest = 0;
    for (const { folder, dirs } of [...this.#known(), { folder: 'tmp', dirs: new Set<number>() }]) {
      const found = readdirSync(`${this.#base}/${folder}`);
      for (const name of found) {
        if (!dirs.has(Number(name))) this.#trash.throwAway(`${this.#base}/${folder}/${name}`, true);
      }
      for (const dir of dirs) {
        highest = Math.max(highest, dir);
        if (!found.includes(String(dir))) log.error('a snapshot folder is missing', { folder: `${folder}/${dir}` });
      }
    }
    return highest;
  }
}

/** Beside a layer's folder as long as that has its temporary name. */
const outlineOf = (path: string): string => `${path}.outline`;

function childrenFirst(chains: readonly { chainId: Digest; parent: Digest | undefined }[]): Digest[] {
  const children = new Map<Digest, Digest[]>();
  const lost = new Set(chains.map(({ chainId }) => chainId));
  const roots: Digest[] = [];
  for (const { chainId, parent } of chains) {
    if (parent === undefined || !lost.has(parent)) roots.push(chainId);
    else children.set(parent, [...(children.get(parent) ?? []), chainId]);
  }
  const ordered: Digest[] = [];
  for (let at = roots.pop(); at !== undefined; at = roots.pop()) {
    ordered.push(at);
    roots.push(...(children.get(at) ?? []));
  }
  return ordered.reverse();
}
