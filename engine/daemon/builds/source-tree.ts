import type { EntryType, SparsePiece } from '../../snapshots/tar/header.ts';

/** What COPY and ADD read from: a build context, a stage's or an image's files, one downloaded file. */
export interface SourceNode {
  readonly type: EntryType;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes of a regular file. */
  readonly size: number;
  readonly mtime: number;
  readonly mtimeNs: number;
  readonly linkName: string;
  readonly major: number;
  readonly minor: number;
  readonly xattrs: ReadonlyMap<string, Buffer>;
  readonly sparse?: { readonly realSize: number; readonly pieces: readonly SparsePiece[] };
}

/** A tree of files. Paths are byte strings (see tar/header.ts), relative to the root, which is ''. */
export interface SourceTree {
  /** The entry itself, no symlink followed. */
  lookup(path: string): SourceNode | undefined;
  /** Names in a directory, sorted. */
  names(path: string): string[];
  /** A regular file's bytes (packed ones when sparse). A chunk is valid until the next one is asked for. */
  read(path: string): AsyncIterable<Buffer>;
  /** SHA-256 of a regular file's bytes, hex. */
  digest(path: string): Promise<string>;
}

const MAX_SYMLINKS = 255;

export const bytesOf = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');
export const textOf = (bytes: string): string => Buffer.from(bytes, 'latin1').toString('utf8');

export const joinPath = (parent: string, name: string): string => (parent === '' ? name : `${parent}/${name}`);

/**
 * Where a path leads inside the tree, symlinks followed as in a chroot: `..` and absolute targets end at the root.
 * @returns undefined when there is nothing
 */
export function resolve(tree: SourceTree, path: string, followLast = true): string | undefined {
  const todo = path.split('/').reverse();
  let at = '';
  let links = 0;
  for (let part = todo.pop(); part !== undefined; part = todo.pop()) {
    if (part === '' || part === '.') continue;
    if (part === '..') {
      at = at.includes('/') ? at.slice(0, at.lastIndexOf('/')) : '';
      continue;
    }
    const next = joinPath(at, part);
    const node = tree.lookup(next);
    if (!node) return undefined;
    if (node.type === 'symlink' && (followLast || todo.length > 0)) {
      if (++links > MAX_SYMLINKS) return undefined;
      if (node.linkName.startsWith('/')) at = '';
      todo.push(...node.linkName.split('/').reverse());
      continue;
    }
    if (todo.some((rest) => rest !== '' && rest !== '.') && node.type !== 'directory') return undefined;
    at = next;
  }
  return at;
}

/** Every entry below a path, parents first, each directory's names in order; the path itself is not among them. */
export function* walk(tree: SourceTree, path: string): Generator<{ path: string; node: SourceNode }> {
  for (const name of tree.names(path)) {
    const next = joinPath(path, name);
    const node = tree.lookup(next);
    if (!node) continue;
    yield { path: next, node };
    if (node.type === 'directory') yield* walk(tree, next);
  }
}
