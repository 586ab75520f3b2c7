import { invalidParameter } from '../errors.ts';

/**
 * What an extraction has made so far, in memory: its directories and symlinks by path ('' is the root).
 *
 * The folder starts empty and only the extraction writes to it, so this model is the truth, and a name can be resolved,
 * symlinks included, without asking the filesystem and without any way out of the layer: an absolute target starts
 * again at the layer's root, `..` at the root stays there, exactly as inside a chroot.
 */
export interface Directory {
  readonly kind: 'directory';
  mtime: number;
  mtimeNs: number;
}
type Node = Directory | { readonly kind: 'symlink'; readonly target: string };

const MAX_SYMLINKS = 255;

export class Tree {
  readonly nodes = new Map<string, Node>([['', { kind: 'directory', mtime: -1, mtimeNs: 0 }]]);
  readonly #makeDirectory: (path: string) => void;
  #lastName = '';
  #lastPath = '';

  /** @param makeDirectory makes a directory that entries imply but the archive has not (yet) named */
  constructor(makeDirectory: (path: string) => void) {
    this.#makeDirectory = makeDirectory;
  }

  directory(path: string): Directory | undefined {
    const node = this.nodes.get(path);
    return node?.kind === 'directory' ? node : undefined;
  }

  addDirectory(path: string, mtime = -1, mtimeNs = 0): void {
    this.nodes.set(path, { kind: 'directory', mtime, mtimeNs });
  }

  addSymlink(path: string, target: string): void {
    this.nodes.set(path, { kind: 'symlink', target });
  }

  /** Forgets a path and all below it. */
  forget(path: string): void {
    this.#lastName = '';
    const node = this.nodes.get(path);
    if (!node) return;
    this.nodes.delete(path);
    if (node.kind !== 'directory') return;
    for (const other of this.nodes.keys()) if (other.startsWith(`${path}/`)) this.nodes.delete(other);
  }

  /**
   * Resolves an entry's name to its place: parents through symlinks, the last part itself not followed.
   * Directories on the way that don't exist are made. '' is the root itself.
   */
  locate(name: string): { path: string; parent: string; base: string } {
    const clean = cleanName(name);
    if (clean === '') return { path: '', parent: '', base: '' };
    const slash = clean.lastIndexOf('/');
    const base = clean.slice(slash + 1);
    const parent = slash < 0 ? '' : this.#resolveParent(clean.slice(0, slash));
    return { path: parent === '' ? base : `${parent}/${base}`, parent, base };
  }

  #resolveParent(name: string): string {
    if (name === this.#lastName && this.directory(this.#lastPath)) return this.#lastPath;
    const path = this.#walk(name.split('/'));
    this.#lastName = name;
    this.#lastPath = path;
    return path;
  }

  #walk(parts: string[]): string {
    const todo = parts.reverse();
    let at = '';
    let links = 0;
    for (let part = todo.pop(); part !== undefined; part = todo.pop()) {
      if (part === '' || part === '.') continue;
      if (part === '..') {
        at = at.includes('/') ? at.slice(0, at.lastIndexOf('/')) : '';
        continue;
      }
      const next = at === '' ? part : `${at}/${part}`;
      const node = this.nodes.get(next);
      if (node?.kind === 'symlink') {
        if (++links > MAX_SYMLINKS) throw invalidParameter(`too many levels of symbolic links: ${next}`);
        if (node.target.startsWith('/')) at = '';
        todo.push(...node.target.split('/').reverse());
        continue;
      }
      if (!node) {
        this.#makeDirectory(next);
        this.addDirectory(next);
      }
      at = next;
    }
    return at;
  }
}

/** path.Clean of an entry's name, relative to the root. Refuses names that climb out of it. */
export function cleanName(name: string): string {
  if (name.includes('\0')) throw invalidParameter('archive/tar: invalid tar header');
  if (!/(^|\/)(\.{0,2})(\/|$)/.test(name)) return name;
  const parts: string[] = [];
  for (const part of name.split('/')) {
    if (part === '' || part === '.') continue;
    if (part === '..') {
      if (parts.length === 0) throw invalidParameter(`${JSON.stringify(name)} is outside of the layer`);
      parts.pop();
    } else parts.push(part);
  }
  return parts.join('/');
}
