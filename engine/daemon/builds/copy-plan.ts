import { createHash } from 'node:crypto';

import { compilePattern, IgnorePatterns } from '../../build/ignore.ts';
import { invalidParameter } from '../../errors.ts';
import { bytesOf, joinPath, resolve, type SourceNode, type SourceTree, textOf, walk } from './source-tree.ts';

/** One source of COPY or ADD as it is found: a file or a directory whose content is meant. */
export interface CopySource {
  readonly tree: SourceTree;
  /** In the tree, symlinks resolved. */
  readonly path: string;
  readonly node: SourceNode;
  /** Name a file gets in a directory. */
  readonly name: string;
  /** With --parents: directories to make below the destination. */
  readonly parents: string;
  /** ADD: a local archive, to be unpacked. */
  readonly archive: boolean;
  /** Nothing of a directory that these match is copied. */
  readonly excluded: (path: string) => boolean;
  /** Stands for the content of what is not here yet. */
  readonly identity?: string;
  /** Brings what is not here yet: only when a step needs it. */
  readonly open?: () => Promise<CopySource>;
}

export interface CopyWish {
  /** `COPY` or `ADD`, for messages. */
  readonly command: string;
  /** Patterns, variables expanded. */
  readonly sources: readonly string[];
  readonly tree: SourceTree;
  /** The build context, not a stage or an image. */
  readonly local: boolean;
  readonly parents: boolean;
  readonly exclude: readonly string[];
}

const hasWildcard = (pattern: string): boolean => /[*?[]/.test(pattern.replace(/\\./g, ''));

/** Finds what the patterns mean. Docker's messages where there is nothing. */
export function findSources(wish: CopyWish): CopySource[] {
  const found = wish.sources.flatMap((source) => (hasWildcard(source) ? globbed(wish, source) : single(wish, source)));
  if (found.length === 0) throw invalidParameter(`${wish.command} failed: no source files were specified`);
  return found;
}

/** Relative to the root, without `.` and `..`; refuses what climbs out of a context. */
function clean(wish: CopyWish, source: string): string {
  const parts: string[] = [];
  for (const part of source.split('/')) {
    if (part === '' || part === '.') continue;
    if (part !== '..') parts.push(part);
    else if (parts.length > 0) parts.pop();
    else if (wish.local) {
      throw invalidParameter(`${wish.command} failed: forbidden path outside the build context: ${source} ()`);
    }
  }
  return parts.join('/');
}

function single(wish: CopyWish, source: string): CopySource[] {
  const path = bytesOf(clean(wish, source));
  const at = resolve(wish.tree, path);
  const node = at === undefined ? undefined : wish.tree.lookup(at);
  if (at === undefined || !node) {
    if (at === '' && wish.local) return [];
    const where = wish.local ? 'file not found in build context or excluded by .dockerignore: ' : '';
    throw invalidParameter(`${wish.command} failed: ${where}stat ${clean(wish, source)}: file does not exist`);
  }
  return toSource(wish, source, path, at, node);
}

function toSource(wish: CopyWish, source: string, asked: string, at: string, node: SourceNode): CopySource[] {
  const ignore = new IgnorePatterns(wish.exclude.join('\n'));
  const inside = (path: string): string => (at === '' ? path : path.slice(at.length + 1));
  const excluded = (path: string): boolean =>
    !ignore.empty && (ignore.ignores(textOf(path)) || ignore.ignores(textOf(inside(path))));
  const name = asked.slice(asked.lastIndexOf('/') + 1);
  if (node.type !== 'directory' && !ignore.empty && (ignore.ignores(textOf(asked)) || ignore.ignores(textOf(name))))
    return [];
  const parents = wish.parents ? parentsOf(source, asked, node) : '';
  return [{ tree: wish.tree, path: at, node, name, parents, archive: false, excluded }];
}

/** What --parents keeps: all directories of the path, or those after `/./`. A directory keeps its own name too. */
function parentsOf(source: string, asked: string, node: SourceNode): string {
  const pivot = source.indexOf('/./');
  let kept = asked;
  if (pivot >= 0) {
    const before = source
      .slice(0, pivot)
      .split('/')
      .filter((part) => part !== '' && part !== '.').length;
    kept = asked.split('/').slice(before).join('/');
  }
  if (node.type === 'directory') return kept;
  return kept.includes('/') ? kept.slice(0, kept.lastIndexOf('/')) : '';
}

function globbed(wish: CopyWish, source: string): CopySource[] {
  const pattern = compilePattern(clean(wish, source));
  const found: CopySource[] = [];
  const deep = source.includes('**');
  const depth = clean(wish, source).split('/').length;
  const visit = (directory: string, level: number): void => {
    for (const name of wish.tree.names(directory)) {
      const path = joinPath(directory, name);
      const node = wish.tree.lookup(path);
      if (!node) continue;
      if (pattern.test(textOf(path))) {
        const at = resolve(wish.tree, path);
        const real = at === undefined ? undefined : wish.tree.lookup(at);
        if (at !== undefined && real) found.push(...toSource(wish, source, path, at, real));
        // With ** a directory and its own content may both match: the directory brings all of it.
        if (node.type === 'directory') continue;
      }
      if (node.type === 'directory' && (deep || level < depth)) visit(path, level + 1);
    }
  };
  visit('', 1);
  return found;
}

/** What the copied files are, whatever their times: for the cache and for history. `type` is Docker's word for it. */
export async function contentDigest(sources: readonly CopySource[]): Promise<{ type: string; digest: string }> {
  const digests: string[] = [];
  for (const source of sources) digests.push(await sourceDigest(source));
  const [first] = sources;
  const type = sources.length > 1 ? 'multi' : first?.node.type === 'directory' ? 'dir' : 'file';
  const digest = digests.length === 1 ? (digests[0] as string) : hashOf(digests);
  return { type, digest };
}

async function sourceDigest(source: CopySource): Promise<string> {
  const { tree, path, node, name, parents, archive, excluded, identity } = source;
  if (identity !== undefined) return identity;
  const facts: unknown[] = [
    [parents, archive, node.type === 'directory' ? '' : name, ...(await entryFacts(tree, path, node))],
  ];
  if (node.type === 'directory') {
    for (const entry of walk(tree, path)) {
      if (excluded(entry.path)) continue;
      facts.push([
        path === '' ? entry.path : entry.path.slice(path.length + 1),
        ...(await entryFacts(tree, entry.path, entry.node)),
      ]);
    }
  }
  return hashOf(facts);
}

async function entryFacts(tree: SourceTree, path: string, node: SourceNode): Promise<unknown[]> {
  const { type, mode, uid, gid, linkName, major, minor, xattrs } = node;
  const content = type === 'file' ? await tree.digest(path) : '';
  const attributes = [...xattrs].map(([key, value]) => [key, value.toString('latin1')]);
  return [type, mode, uid, gid, linkName, major, minor, attributes, content];
}

export const hashOf = (value: unknown): string => createHash('sha256').update(JSON.stringify(value)).digest('hex');
