import { type FSWatcher, type Stats, watch } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { basename, dirname, join, sep } from 'node:path';

/** `entry`: it may have come or gone; `replaced`: a folder that is another one now. */
export type ChangeKind = 'content' | 'entry' | 'replaced';
export type OnChange = (path: string, kind: ChangeKind) => void;

/** Inodes are used again at once: a new folder may have its predecessor's. */
const identityOf = (info: Stats): string => `${info.ino} ${info.birthtimeMs}`;

/**
 * Watches a folder with all below it, or one file. macOS and Windows do that by themselves; on Linux each folder needs a watch of
 * its own, so their number is bounded: the nearest to the top come first, and symlinks are not followed.
 */
export class TreeWatch {
  /** On Linux one for each folder, else one for all. */
  readonly #watchers = new Map<string, FSWatcher>();
  /** Folder → which one it is. */
  readonly #folders = new Map<string, string>();
  readonly #root: string;
  readonly #onChange: OnChange;
  readonly #limit: number;
  readonly #native: boolean;
  #closed = false;
  /** Some of the tree is not watched: the limit was reached, ours or the system's. */
  partial = false;
  /** Resolves when all that is there is watched. Never rejects: what can't be watched isn't. */
  readonly ready: Promise<void>;

  constructor(root: string, onChange: OnChange, options: { limit: number; platform?: NodeJS.Platform }) {
    this.#root = root;
    this.#onChange = onChange;
    this.#limit = options.limit;
    this.#native = (options.platform ?? process.platform) !== 'linux';
    this.ready = this.#start().catch(() => {});
  }

  get size(): number {
    return this.#folders.size;
  }

  folders(): string[] {
    return [...this.#folders.keys()];
  }

  has(folder: string): boolean {
    return this.#folders.has(folder);
  }

  close(): void {
    this.#closed = true;
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
    this.#folders.clear();
  }

  async #start(): Promise<void> {
    const info = await lstat(this.#root);
    if (this.#closed) return;
    if (!info.isDirectory()) return void this.#watch(dirname(this.#root), false, basename(this.#root));
    if (this.#native) this.#watch(this.#root, true);
    await this.#walk(this.#root, false);
  }

  /** @returns whether it is new and has its place */
  #add(folder: string, identity: string): boolean {
    if (this.#closed || this.#folders.has(folder)) return false;
    if (this.#folders.size >= this.#limit || !(this.#native || this.#watch(folder, false))) {
      this.partial = true;
      return false;
    }
    this.#folders.set(folder, identity);
    return true;
  }

  /** @param only the one name in the folder that matters */
  #watch(folder: string, recursive: boolean, only?: string): boolean {
    try {
      const watcher = watch(folder, { persistent: false, recursive }, (type, name) => {
        if (this.#closed || (only !== undefined && name !== only)) return;
        // Without a name something was lost: the folder stands for what is in it.
        if (name === null) this.#onChange(folder, 'content');
        else this.#changed(join(folder, name), type === 'rename' ? 'entry' : 'content');
      });
      watcher.on('error', () => this.#drop(folder));
      this.#watchers.set(folder, watcher);
      return true;
    } catch {
      return false;
    }
  }

  /** Breadth first. @param tell of what is found: it came before its folder was watched */
  async #walk(top: string, tell: boolean): Promise<void> {
    const queue = [top];
    for (let folder = queue.shift(); folder !== undefined; folder = queue.shift()) {
      const info = await lstat(folder).catch(() => undefined);
      if (!info?.isDirectory() || !this.#add(folder, identityOf(info))) continue;
      const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
      if (this.#closed) return;
      for (const entry of entries) {
        const path = join(folder, entry.name);
        if (tell) this.#onChange(path, 'entry');
        if (entry.isDirectory()) queue.push(path);
      }
    }
  }

  #changed(path: string, kind: ChangeKind): void {
    this.#onChange(path, kind);
    if (kind === 'entry') void this.#follow(path);
  }

  /** A folder may have come, gone, or be another one now, which has no watch. */
  async #follow(path: string): Promise<void> {
    const info = await lstat(path).catch(() => undefined);
    const known = this.#folders.get(path);
    const identity = info?.isDirectory() ? identityOf(info) : undefined;
    if (this.#closed || known === identity) return;
    this.#drop(path);
    if (identity === undefined) return;
    if (known !== undefined) this.#onChange(path, 'replaced');
    await this.#walk(path, true);
  }

  #drop(folder: string): void {
    if (!this.#folders.has(folder)) return;
    for (const path of this.#folders.keys()) {
      if (path !== folder && !path.startsWith(join(folder, sep))) continue;
      this.#folders.delete(path);
      if (this.#native) continue;
      this.#watchers.get(path)?.close();
      this.#watchers.delete(path);
    }
  }
}
