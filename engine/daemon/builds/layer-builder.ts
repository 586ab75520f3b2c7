import { readlinkSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';

import type { ModeChange } from '../../build/chmod.ts';
import { invalidParameter } from '../../errors.ts';
import { LayerWriter } from '../../snapshots/extract.ts';
import { lookup, type MergedEntry } from '../../snapshots/merged.ts';
import { pathOf, type TarEntry } from '../../snapshots/tar/header.ts';
import { TarReader } from '../../snapshots/tar/read.ts';
import { decompressed } from '../images/archive.ts';
import type { CopySource } from './copy-plan.ts';
import { joinPath, type SourceNode, type SourceTree } from './source-tree.ts';

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

export interface CopyOptions {
  /** Whom everything belongs to; undefined keeps the owners (COPY --from without --chown). */
  readonly owner: Owner | undefined;
  /** What becomes of permission bits; undefined keeps them. */
  readonly mode: ModeChange | undefined;
  /** Seconds since the epoch, for directories that are made on the way. */
  readonly now: number;
  readonly signal: AbortSignal;
}

const MAX_SYMLINKS = 255;
const ROOT_OWNER: Owner = { uid: 0, gid: 0 };
const SLICE_MS = 8;

/**
 * Writes files into the upper folder of a snapshot that isn't mounted, as if into the mounted root: destinations are
 * resolved through the symlinks of the layers below and of what was written, and directories that exist keep their looks.
 */
export class LayerBuilder {
  readonly #writer: LayerWriter;
  /** The upper folder first. */
  readonly #folders: readonly string[];
  readonly #options: CopyOptions;
  /** Directories that have their place in this layer. */
  readonly #present = new Set<string>(['']);
  #pause = performance.now() + SLICE_MS;

  constructor(upper: string, lowers: readonly string[], options: CopyOptions) {
    this.#writer = new LayerWriter(upper);
    this.#folders = [upper, ...lowers];
    this.#options = options;
  }

  finish(): void {
    this.#writer.finish();
  }

  abort(): void {
    this.#writer.abort();
  }

  /** Whether a path is a directory now, symlinks followed. */
  isDirectory(path: string): boolean {
    return this.#entry(this.#resolve(path))?.stat.isDirectory() ?? false;
  }

  /** Makes a directory with all its parents; one that exists stays as it is. */
  makeDirectory(path: string): void {
    this.#makeParents(this.#resolve(path));
  }

  /** Copies one source: a file to `target` or into it, a directory's content into it. */
  async copy(source: CopySource, destination: string, isDirectory: boolean): Promise<void> {
    const target = joinPath(strip(destination), source.parents);
    if (source.archive) {
      // As in dockerd, an archive keeps the owners it says, whatever --chown; a directory made for it is root's.
      this.#makeParents(this.#resolve(strip(destination)), ROOT_OWNER);
      await this.unpack(source.tree.read(source.path), strip(destination));
    } else if (source.node.type === 'directory') await this.#copyDirectory(source, target);
    else
      await this.#copyEntry(
        source.tree,
        source.path,
        source.node,
        isDirectory || source.parents ? joinPath(target, source.name) : target,
      );
  }

  async #copyDirectory({ tree, path, excluded }: CopySource, target: string): Promise<void> {
    const into = this.#resolve(target);
    const existing = this.#entry(into);
    if (existing && !existing.stat.isDirectory()) throw invalidParameter(`cannot copy to non-directory: /${target}`);
    this.#makeParents(into);
    await this.#copyContent(tree, path, into, excluded);
  }

  async #copyContent(tree: SourceTree, path: string, into: string, excluded: (path: string) => boolean): Promise<void> {
    for (const name of tree.names(path)) {
      const from = joinPath(path, name);
      const node = tree.lookup(from);
      if (!node) continue;
      const to = joinPath(into, name);
      if (node.type === 'directory') {
        if (!excluded(from)) await this.#copyEntry(tree, from, node, to);
        // What an exception lets through of an excluded directory still comes.
        await this.#copyContent(tree, from, this.#resolve(to), excluded);
      } else if (!excluded(from)) await this.#copyEntry(tree, from, node, to);
    }
  }

  async #copyEntry(tree: SourceTree, path: string, node: SourceNode, target: string): Promise<void> {
    const { owner, mode } = this.#options;
    const place =
      node.type === 'directory' || node.type === 'file' ? this.#resolve(target) : this.#resolveParent(target);
    const existing = this.#entry(place);
    if (existing && existing.stat.isDirectory() !== (node.type === 'directory')) {
      throw invalidParameter(
        node.type === 'directory'
          ? `cannot copy to non-directory: /${place}`
          : `cannot overwrite directory /${place} with non-directory`,
      );
    }
    this.#makeParents(parentOf(place));
    this.#begin({
      ...node,
      ...(owner ?? {}),
      mode: mode && node.type !== 'symlink' ? mode(node.mode, node.type === 'directory') : node.mode,
      name: place,
      xattrs: new Map(node.xattrs),
    });
    if (node.type === 'file') for await (const chunk of tree.read(path)) this.#writer.data(chunk);
    this.#writer.end();
    await this.#breathe();
  }

  #begin(entry: TarEntry): void {
    if (entry.type === 'directory') this.#present.add(entry.name);
    this.#writer.begin(entry);
  }

  /** Unpacks an archive into a directory, entries through the symlinks that are there. */
  async unpack(source: AsyncIterable<Buffer>, into: string): Promise<void> {
    const { signal } = this.#options;
    const reader = new TarReader();
    let skipping = false;
    for await (const chunk of decompressed(source, signal)) {
      for (const event of reader.push(chunk)) {
        if (event.kind === 'entry') skipping = !this.#beginUnpacked(event.entry, into);
        else if (skipping) continue;
        else if (event.kind === 'data') this.#writer.data(event.data);
        else this.#writer.end();
      }
      await this.#breathe();
    }
    reader.finish();
  }

  #beginUnpacked(entry: TarEntry, into: string): boolean {
    const inside = (name: string): string => joinPath(into, strip(name));
    if (entry.name.split('/').includes('..')) {
      throw invalidParameter(`${JSON.stringify(entry.name)} is outside of ${JSON.stringify(`/${into}`)}`);
    }
    const target = inside(entry.name);
    if (strip(entry.name) === '' || target === '') return false;
    const place = entry.type === 'directory' ? this.#resolve(target) : this.#resolveParent(target);
    this.#makeParents(parentOf(place), ROOT_OWNER);
    const linkName = entry.type === 'link' ? this.#resolveParent(inside(entry.linkName)) : entry.linkName;
    this.#begin({ ...entry, name: place, linkName });
    return true;
  }

  async #breathe(): Promise<void> {
    if (this.#options.signal.aborted) throw invalidParameter('context canceled');
    if (performance.now() < this.#pause) return;
    await nextTurn();
    this.#pause = performance.now() + SLICE_MS;
  }

  /** Gives a directory (resolved) its place in this layer: as it looks below, or new. */
  #makeParents(path: string, maker = this.#options.owner): void {
    if (this.#present.has(path)) return;
    const below = this.#entry(path);
    if (below && !below.stat.isDirectory()) throw invalidParameter(`cannot create directory /${path}: not a directory`);
    this.#makeParents(parentOf(path), maker);
    const { now } = this.#options;
    const stat = below?.stat;
    this.#begin({
      type: 'directory',
      name: path,
      mode: stat ? stat.mode & 0o7777 : 0o755,
      uid: stat?.uid ?? maker?.uid ?? 0,
      gid: stat?.gid ?? maker?.gid ?? 0,
      size: 0,
      mtime: stat ? Math.floor(stat.mtimeMs / 1000) : now,
      mtimeNs: 0,
      linkName: '',
      major: 0,
      minor: 0,
      xattrs: new Map(),
    });
    this.#writer.end();
  }

  #entry(path: string): MergedEntry | undefined {
    let folders = this.#folders;
    let found: MergedEntry | undefined;
    if (path === '') return rootOf(folders);
    for (const part of path.split('/')) {
      found = folders.length > 0 ? lookup(folders, part) : undefined;
      if (!found) return undefined;
      folders = found.folders;
    }
    return found;
  }

  #resolveParent(path: string): string {
    const slash = path.lastIndexOf('/');
    const parent = slash < 0 ? '' : this.#resolve(path.slice(0, slash));
    return joinPath(parent, path.slice(slash + 1));
  }

  /** Where a path leads, symlinks followed inside the root; parts that don't exist stay as they are. */
  #resolve(path: string): string {
    const todo = path.split('/').reverse();
    let at = '';
    let links = 0;
    for (let part = todo.pop(); part !== undefined; part = todo.pop()) {
      if (part === '' || part === '.') continue;
      if (part === '..') {
        at = parentOf(at);
        continue;
      }
      const next = joinPath(at, part);
      const entry = this.#present.has(next) ? undefined : this.#entry(next);
      if (entry?.stat.isSymbolicLink()) {
        if (++links > MAX_SYMLINKS) throw invalidParameter(`too many levels of symbolic links: /${next}`);
        const target = readLink(entry);
        if (target.startsWith('/')) at = '';
        todo.push(...target.split('/').reverse());
        continue;
      }
      at = next;
    }
    return at;
  }
}

function rootOf(folders: readonly string[]): MergedEntry | undefined {
  const top = folders[0] as string;
  const slash = top.lastIndexOf('/');
  const entry = lookup([top.slice(0, slash)], top.slice(slash + 1));
  return entry && { ...entry, folders };
}

const readLink = (entry: MergedEntry): string => readlinkSync(pathOf(entry.path), { encoding: 'latin1' });

const parentOf = (path: string): string => (path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : '');

/** A relative path without `.` and empty parts. */
const strip = (path: string): string =>
  path
    .split('/')
    .filter((part) => part !== '' && part !== '.')
    .join('/');
