import { chmodSync, chownSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';

import { lookup, type MergedEntry } from './merged.ts';

/**
 * Mount points and files that every container has and no image needs to bring (moby daemon/initlayer). They lie in a
 * layer of their own, between image and container, so that a fresh container has no changes and a commit takes none.
 */
const POINTS: readonly { readonly path: string; readonly kind: 'directory' | 'file' | 'link' }[] = [
  { path: '.dockerenv', kind: 'file' },
  { path: 'dev', kind: 'directory' },
  { path: 'dev/pts', kind: 'directory' },
  { path: 'dev/shm', kind: 'directory' },
  { path: 'dev/console', kind: 'file' },
  { path: 'proc', kind: 'directory' },
  { path: 'sys', kind: 'directory' },
  { path: 'etc', kind: 'directory' },
  { path: 'etc/hosts', kind: 'file' },
  { path: 'etc/hostname', kind: 'file' },
  { path: 'etc/resolv.conf', kind: 'file' },
  { path: 'etc/mtab', kind: 'link' },
];

/** Fills `target` (an existing, empty folder) with what the image below lacks. */
export function fillInitLayer(target: string, imageFolders: readonly string[]): void {
  const root = rootEntry(imageFolders);
  if (root) copyAttributes(root, target);
  const known = new Map<string, readonly string[]>([['', imageFolders]]);
  const made = new Set<string>(['']);
  for (const { path, kind } of POINTS) {
    const slash = path.lastIndexOf('/');
    const parent = slash < 0 ? '' : path.slice(0, slash);
    const folders = known.get(parent);
    if (!folders) continue;
    const existing = lookup(folders, path.slice(slash + 1));
    if (existing) {
      // Where an image has a symlink or a file in a directory's place, what would lie below it is left to the image.
      if (existing.stat.isDirectory()) known.set(path, existing.folders);
      continue;
    }
    makeParent(target, parent, made, known.get(''));
    if (kind === 'directory') {
      mkdirSync(`${target}/${path}`, 0o755);
      made.add(path);
      known.set(path, []);
    } else if (kind === 'file') writeFileSync(`${target}/${path}`, '', { mode: 0o755, flag: 'wx' });
    else symlinkSync('/proc/mounts', `${target}/${path}`);
  }
}

/** A directory of the image that this layer repeats must look as the image's own. */
function makeParent(target: string, parent: string, made: Set<string>, root: readonly string[] | undefined): void {
  if (made.has(parent)) return;
  made.add(parent);
  mkdirSync(`${target}/${parent}`, 0o755);
  const original = root && lookup(root, parent);
  if (original) copyAttributes(original, `${target}/${parent}`);
}

function rootEntry(folders: readonly string[]): Pick<MergedEntry, 'stat'> | undefined {
  const top = folders[0];
  if (top === undefined) return undefined;
  const slash = top.lastIndexOf('/');
  return lookup([top.slice(0, slash)], top.slice(slash + 1));
}

export function copyAttributes(from: Pick<MergedEntry, 'stat'>, to: string): void {
  chownSync(to, from.stat.uid, from.stat.gid);
  chmodSync(to, from.stat.mode & 0o7777);
}
