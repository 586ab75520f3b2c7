import { createHash } from 'node:crypto';
import { createReadStream, readlinkSync, type Stats } from 'node:fs';
import { readXattrs, splitDevice } from '../../snapshots/export.ts';
import { list, lookup, type MergedEntry } from '../../snapshots/merged.ts';
import { type EntryType, pathOf } from '../../snapshots/tar/header.ts';
import type { SourceNode, SourceTree } from './source-tree.ts';

const CHUNK = 1024 * 1024;

/** Files of a stack of layers, read as overlayfs would show them; nothing is mounted. */
export class LayerTree implements SourceTree {
  readonly #folders: readonly string[];
  readonly #directories = new Map<string, readonly string[]>();

  /** @param folders the layers, top first */
  constructor(folders: readonly string[]) {
    this.#folders = folders;
    this.#directories.set('', folders);
  }

  lookup(path: string): SourceNode | undefined {
    const entry = this.#entry(path);
    return entry && nodeOf(entry);
  }

  #entry(path: string): MergedEntry | undefined {
    if (path === '') return rootEntry(this.#folders);
    const slash = path.lastIndexOf('/');
    const folders = this.#directory(slash < 0 ? '' : path.slice(0, slash));
    return folders && lookup(folders, path.slice(slash + 1));
  }

  /** The folders that together are a directory; undefined when it is none. */
  #directory(path: string): readonly string[] | undefined {
    const known = this.#directories.get(path);
    if (known) return known;
    const entry = this.#entry(path);
    if (!entry?.stat.isDirectory()) return undefined;
    this.#directories.set(path, entry.folders);
    return entry.folders;
  }

  names(path: string): string[] {
    const folders = this.#directory(path);
    return folders && folders.length > 0 ? list(folders).map(({ name }) => name) : [];
  }

  async *read(path: string): AsyncGenerator<Buffer> {
    const entry = this.#entry(path);
    if (entry?.stat.isFile()) yield* createReadStream(pathOf(entry.path), { highWaterMark: CHUNK });
  }

  async digest(path: string): Promise<string> {
    const hash = createHash('sha256');
    for await (const chunk of this.read(path)) hash.update(chunk);
    return hash.digest('hex');
  }
}

function rootEntry(folders: readonly string[]): MergedEntry | undefined {
  const top = folders[0];
  if (top === undefined) return undefined;
  const slash = top.lastIndexOf('/');
  const entry = lookup([top.slice(0, slash)], top.slice(slash + 1));
  return entry && { ...entry, folders };
}

function typeOf(stat: Stats): EntryType {
  if (stat.isDirectory()) return 'directory';
  if (stat.isSymbolicLink()) return 'symlink';
  if (stat.isFIFO() || stat.isSocket()) return 'fifo';
  if (stat.isCharacterDevice()) return 'char';
  return stat.isBlockDevice() ? 'block' : 'file';
}

function nodeOf({ path, stat }: MergedEntry): SourceNode {
  const type = typeOf(stat);
  const mtime = Math.floor(stat.mtimeMs / 1000);
  return {
    type,
    mode: stat.mode & 0o7777,
    uid: stat.uid,
    gid: stat.gid,
    size: type === 'file' ? stat.size : 0,
    mtime,
    mtimeNs: Math.floor((stat.mtimeMs - mtime * 1000) * 1e6),
    linkName: type === 'symlink' ? readlinkSync(pathOf(path), { encoding: 'latin1' }) : '',
    ...(type === 'char' || type === 'block' ? splitDevice(stat.rdev) : { major: 0, minor: 0 }),
    xattrs: readXattrs(path) ?? new Map(),
  };
}
