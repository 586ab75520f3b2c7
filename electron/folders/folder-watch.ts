import { lstat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import type { FolderChange } from '../ports/types.ts';
import { type ChangeKind, type OnChange, TreeWatch } from './tree-watch.ts';

/** Watches over all folders: a share of what Linux lets a user have, and of our own memory. */
const WATCH_LIMIT = 16_384;
/** How long changes are gathered: a save is several of them, a checkout thousands. */
const GATHER_MS = 50;
/** More at once are told by their folders. */
const BATCH_LIMIT = 2_000;
/** Paths whose last state is remembered. */
const SEEN_LIMIT = 50_000;

/**
 * Tells of changes in folders of this computer that running containers have mounted. What it told once it doesn't tell again while the
 * file stays as it is: the machine's answer to a word of ours is a touch that changes nothing, and this is where that ends.
 */
export class FolderWatch {
  readonly #trees = new Map<string, TreeWatch>();
  readonly #tell: (changes: FolderChange[]) => void;
  readonly #log: (line: string) => void;
  #pending = new Map<string, ChangeKind>();
  readonly #seen = new Map<string, string>();
  #timer: NodeJS.Timeout | undefined;
  #flushing: Promise<void> = Promise.resolve();

  constructor(tell: (changes: FolderChange[]) => void, log: (line: string) => void) {
    this.#tell = tell;
    this.#log = log;
  }

  /** From now on these, and no others. @returns the folders that are watched, when all are */
  async follow(paths: readonly string[]): Promise<string[]> {
    const wanted = outermost(paths);
    for (const [path, tree] of this.#trees) {
      if (wanted.includes(path)) continue;
      tree.close();
      this.#trees.delete(path);
    }
    for (const path of wanted) {
      if (this.#trees.has(path)) continue;
      const used = [...this.#trees.values()].reduce((sum, tree) => sum + tree.size, 0);
      this.#trees.set(path, new TreeWatch(path, this.#onChange, { limit: Math.max(1, WATCH_LIMIT - used) }));
    }
    await Promise.all([...this.#trees.values()].map((tree) => tree.ready));
    for (const [path, tree] of this.#trees) {
      if (tree.partial) this.#log(`${path} has more folders than can be watched: changes deep in it wake nobody`);
    }
    return [...this.#trees.values()].flatMap((tree) => tree.folders());
  }

  close(): void {
    clearTimeout(this.#timer);
    for (const tree of this.#trees.values()) tree.close();
    this.#trees.clear();
    this.#pending.clear();
    this.#seen.clear();
  }

  readonly #onChange: OnChange = (path, kind) => {
    const before = this.#pending.get(path);
    this.#pending.set(path, before === undefined || KINDS.indexOf(kind) > KINDS.indexOf(before) ? kind : before);
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#flushing = this.#flushing.then(() => this.#flush());
    }, GATHER_MS);
  };

  async #flush(): Promise<void> {
    const pending = this.#pending;
    this.#pending = new Map();
    const paths = new Set<string>();
    for (const [path, kind] of pending) {
      if (pending.size <= BATCH_LIMIT || kind === 'replaced') paths.add(path);
      // The folder has changed as well; in it a watcher looks for what has come or gone.
      if (kind !== 'content' || pending.size > BATCH_LIMIT) paths.add(dirname(path));
    }
    const changes: FolderChange[] = [];
    for (const path of paths) {
      const info = await lstat(path, { bigint: true }).catch(() => undefined);
      const state = info ? `${info.ino} ${info.mtimeNs} ${info.size} ${info.mode}` : 'gone';
      if (this.#seen.get(path) === state || (!info && isOwnName(path) && !this.#seen.has(path))) continue;
      this.#remember(path, state);
      if (info && pending.get(path) === 'replaced') changes.push({ path });
      const folder = info?.isDirectory() && [...this.#trees.values()].some((tree) => tree.has(path));
      changes.push(info ? { path, mtime: String(info.mtimeNs), ...(folder ? { folder } : {}) } : { path });
    }
    if (changes.length > 0) this.#tell(changes);
  }

  #remember(path: string, state: string): void {
    this.#seen.delete(path);
    this.#seen.set(path, state);
    if (this.#seen.size <= SEEN_LIMIT) return;
    for (const oldest of this.#seen.keys()) {
      this.#seen.delete(oldest);
      break;
    }
  }
}

/** From the least to the most that it says. */
const KINDS: readonly ChangeKind[] = ['content', 'entry', 'replaced'];

/** On Linux what happens to a watched folder itself comes with its own name, as if it were in itself. */
const isOwnName = (path: string): boolean => basename(path) === basename(dirname(path));

/** Those that are in none of the others. */
function outermost(paths: readonly string[]): string[] {
  const unique = [...new Set(paths)];
  const inside = (path: string, other: string) =>
    path !== other &&
    /^[\\/]/.test(path.slice(other.replace(/[\\/]$/, '').length)) &&
    path.startsWith(other.replace(/[\\/]$/, ''));
  return unique.filter((path) => !unique.some((other) => inside(path, other)));
}
