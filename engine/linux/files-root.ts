import { closeSync, constants, mkdirSync, openSync, readlinkSync } from 'node:fs';

import { hasCode } from './libc.ts';
import { openInRoot } from './rootfs.ts';

const O_PATH = 0o10000000;
const { O_DIRECTORY, O_NOFOLLOW } = constants;

/** What one name in an open directory is called for fs calls: the directory is the descriptor's, whatever is renamed meanwhile. */
export const under = (directory: number, name: string): string => `/proc/self/fd/${directory}/${name}`;

/**
 * A root of files that somebody else may be changing: a container's. Every path is resolved as inside a chroot
 * (openat2, RESOLVE_IN_ROOT), and everything below a found directory is reached through its descriptor, one name at a
 * time, without following symlinks. Paths and names are text.
 */
export class FilesRoot implements Disposable {
  readonly #fd: number;
  /** How paths below it look in /proc/self/fd: what has to be taken away to get the path inside. */
  readonly #prefix: string;

  /** @param path the root's directory, or /proc/<pid>/root */
  constructor(path: string, prefix: string) {
    this.#fd = openSync(path, O_PATH | O_DIRECTORY);
    this.#prefix = prefix === '/' ? '' : prefix;
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }

  /** Opens a path; `flags` as open(2). Throws with the errno's name as code. The caller closes it. */
  open(path: string, flags: number): number {
    return openInRoot(`/proc/self/fd/${this.#fd}`, path, flags);
  }

  /** A place without reading rights, links followed to the end. */
  locate(path: string): number {
    return this.open(path, O_PATH);
  }

  /** The path inside the root at which an open place really is. */
  pathOf(fd: number): string {
    const full = readlinkSync(`/proc/self/fd/${fd}`);
    return full.slice(this.#prefix.length) || '/';
  }

  /** Opens a directory, making what is missing of it. */
  makeDirectory(path: string): number {
    try {
      return this.open(path, O_PATH | O_DIRECTORY);
    } catch (error) {
      if (!hasCode(error, 'ENOENT') || path === '/' || path === '') throw error;
    }
    const slash = path.replace(/\/+$/, '').lastIndexOf('/');
    const parent = this.makeDirectory(path.slice(0, Math.max(slash, 0)) || '/');
    try {
      mkdirSync(under(parent, path.slice(slash + 1).replace(/\/+$/, '')), 0o755);
    } catch (error) {
      if (!hasCode(error, 'EEXIST')) throw error;
    } finally {
      closeSync(parent);
    }
    return this.open(path, O_PATH | O_DIRECTORY);
  }
}

/** Opens a directory by its name in an open one; a symlink in its place is refused (ENOTDIR). */
export function openChild(directory: number, name: string): number {
  return openSync(under(directory, name), O_PATH | O_DIRECTORY | O_NOFOLLOW);
}
