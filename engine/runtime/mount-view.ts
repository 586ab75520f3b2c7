import { closeSync, statSync, writeFileSync } from 'node:fs';

import { hasCode } from '../errors.ts';
import { type FilesRoot, under } from '../linux/files-root.ts';
import { MS, mount } from '../linux/mount.ts';
import type { OciMount } from './spec.ts';

/** Puts one of a container's bind mounts where it would be if it ran; its place is made as the runtime would make it. */
export function mountInRoot(root: FilesRoot, bind: OciMount): void {
  const target = statSync(bind.source).isDirectory()
    ? root.makeDirectory(bind.destination)
    : openFile(root, bind.destination);
  try {
    const place = `/proc/self/fd/${target}`;
    mount(bind.source, place, null, MS.bind | (bind.options.includes('rbind') ? MS.rec : 0));
  } finally {
    closeSync(target);
  }
  if (!bind.options.includes('ro')) return;
  const mounted = root.locate(bind.destination);
  try {
    mount('none', `/proc/self/fd/${mounted}`, null, MS.bind | MS.remount | MS.rdonly);
  } finally {
    closeSync(mounted);
  }
}

function openFile(root: FilesRoot, path: string): number {
  try {
    return root.locate(path);
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw error;
  }
  const slash = path.lastIndexOf('/');
  const parent = root.makeDirectory(path.slice(0, slash) || '/');
  try {
    writeFileSync(under(parent, path.slice(slash + 1)), '', { flag: 'wx' });
  } finally {
    closeSync(parent);
  }
  return root.locate(path);
}
