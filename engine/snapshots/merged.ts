import { lstatSync, readdirSync, type Stats } from 'node:fs';

import { getXattr } from '../linux/xattr.ts';

import { pathOf } from './tar/header.ts';

/**
 * Reads a stack of layer folders as overlayfs would show it, without mounting anything. Names and paths are byte strings
 * (see tar/header.ts).
 */
export interface MergedEntry {
  readonly name: string;
  /** Where the entry really lies. */
  readonly path: string;
  readonly stat: Stats;
  /** For a directory, the folders that together are it, top first; else empty. */
  readonly folders: readonly string[];
}

const stat = (path: string) => lstatSync(pathOf(path), { throwIfNoEntry: false });

export const isWhiteoutStat = (entry: Stats): boolean => entry.isCharacterDevice() && entry.rdev === 0;

export const isOpaque = (path: string): boolean =>
  getXattr(pathOf(path), 'trusted.overlay.opaque')?.toString('latin1') === 'y';

/** Names in one folder, as byte strings. */
export const namesIn = (path: string): string[] => readdirSync(pathOf(path), { encoding: 'latin1' });

/** Looks a name up in a merged directory; undefined when absent or whited out. */
export function lookup(folders: readonly string[], name: string): MergedEntry | undefined {
  let found: MergedEntry | undefined;
  const parts: string[] = [];
  for (const folder of folders) {
    const path = `${folder}/${name}`;
    const entry = stat(path);
    if (!entry) continue;
    if (isWhiteoutStat(entry) || (found && !entry.isDirectory())) break;
    if (!found) {
      found = { name, path, stat: entry, folders: parts };
      if (!entry.isDirectory()) return found;
    }
    parts.push(path);
    if (isOpaque(path)) break;
  }
  return found;
}

/** A merged directory's entries, sorted by name. */
export function list(folders: readonly string[]): MergedEntry[] {
  if (folders.length === 1) return listOne(folders[0] as string);
  const names = new Set<string>();
  for (const folder of folders) for (const name of namesIn(folder)) names.add(name);
  const entries: MergedEntry[] = [];
  for (const name of [...names].sort()) {
    const entry = lookup(folders, name);
    if (entry) entries.push(entry);
  }
  return entries;
}

function listOne(folder: string): MergedEntry[] {
  const entries: MergedEntry[] = [];
  for (const name of namesIn(folder).sort()) {
    const path = `${folder}/${name}`;
    const entry = stat(path);
    if (!entry || isWhiteoutStat(entry)) continue;
    entries.push({ name, path, stat: entry, folders: entry.isDirectory() ? [path] : [] });
  }
  return entries;
}
