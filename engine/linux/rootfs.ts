import { closeSync, fstatSync, readFileSync, realpathSync } from 'node:fs';

import { check, hasCode, libc } from './libc.ts';

/**
 * Opening paths inside a container's root: openat2(2) with RESOLVE_IN_ROOT, so that no symlink of the container's can lead
 * the engine to a file of the machine's, whatever it changes meanwhile.
 */
const openat2 = libc('long syscall(long number, int dirfd, const char *path, const void *how, size_t size)');
const openC = libc('int open(const char *path, int flags)');

const SYS_OPENAT2 = 437;
const RESOLVE_IN_ROOT = 0x10;
const O_PATH_DIRECTORY_CLOEXEC = 0o10000000 | 0o200000 | 0o2000000;

/** Largest file the engine reads whole out of a container (passwd, group). */
const READ_LIMIT = 4 * 1024 * 1024;

/**
 * Opens `path` as the container sees it.
 * @param flags open(2) flags; close-on-exec is added
 * @returns a descriptor the caller closes; throws SyscallError (ENOENT, ELOOP, …)
 */
export function openInRoot(root: string, path: string, flags: number, mode = 0): number {
  const directory = check(openC(root, O_PATH_DIRECTORY_CLOEXEC), 'open', root);
  try {
    const how = Buffer.alloc(24);
    how.writeBigUInt64LE(BigInt(flags | 0o2000000), 0);
    how.writeBigUInt64LE(BigInt(mode), 8);
    how.writeBigUInt64LE(BigInt(RESOLVE_IN_ROOT), 16);
    return check(Number(openat2(SYS_OPENAT2, directory, path, how, how.length)), 'open', path);
  } finally {
    closeSync(directory);
  }
}

/** A regular file's text as the container sees it, undefined when there is none. */
export function readInRoot(root: string, path: string): string | undefined {
  let fd: number;
  try {
    // O_NONBLOCK: a fifo in the file's place must not stop the engine.
    fd = openInRoot(root, path, 0o4000);
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'EACCES')) return undefined;
    throw error;
  }
  try {
    const info = fstatSync(fd);
    if (!info.isFile() || info.size > READ_LIMIT) return undefined;
    return readFileSync(fd, 'utf8');
  } finally {
    closeSync(fd);
  }
}

/** Where a path inside the root really is, as a path of the machine; undefined when it doesn't exist. */
export function resolveInRoot(root: string, path: string): string | undefined {
  const O_PATH = 0o10000000;
  let fd: number;
  try {
    fd = openInRoot(root, path, O_PATH);
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) return undefined;
    throw error;
  }
  try {
    return realpathSync(`/proc/self/fd/${fd}`);
  } finally {
    closeSync(fd);
  }
}
