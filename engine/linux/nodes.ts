import { closeSync, openSync } from 'node:fs';

import koffi from 'koffi';

import { check, libc } from './libc.ts';
import { cString, type Path } from './xattr.ts';

/** Making of files that Node's fs has no call for, and times with nanoseconds. */
const mknodSyscall = libc('int mknod(const void *path, uint mode, uint64_t device)');
const utimensat = libc('int utimensat(int directory, const void *path, const void *times, int flags)');
const syncfsSyscall = koffi.load('libc.so.6').func('int syncfs(int fd)');

const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;

export const S_IFCHR = 0o020000;
export const S_IFBLK = 0o060000;
export const S_IFIFO = 0o010000;

/** dev_t as the kernel packs it (glibc gnu_dev_makedev). */
export function makeDevice(major: number, minor: number): bigint {
  const [high, low] = [BigInt(major), BigInt(minor)];
  return ((high & 0xfffff000n) << 32n) | ((high & 0xfffn) << 8n) | ((low & 0xffffff00n) << 12n) | (low & 0xffn);
}

/** The two numbers of a dev_t, as lstat's rdev has it. */
export function splitDevice(device: number): { major: number; minor: number } {
  const value = BigInt(device);
  return {
    major: Number(((value >> 32n) & 0xfffff000n) | ((value >> 8n) & 0xfffn)),
    minor: Number(((value >> 12n) & 0xffffff00n) | (value & 0xffn)),
  };
}

/** mknod(2): a device node or a FIFO; `mode` has the type and permission bits. Subject to the umask. */
export function makeNode(path: Path, mode: number, device: bigint): void {
  check(mknodSyscall(cString(path), mode, device), 'mknod', path.toString());
}

const times = new BigInt64Array(4);

/** Sets access and modification time of the path itself; seconds since the epoch and nanoseconds 0–999,999,999. */
export function setTimes(path: Path, seconds: number, nanoseconds: number): void {
  times[0] = times[2] = BigInt(Math.floor(seconds));
  times[1] = times[3] = BigInt(nanoseconds);
  check(utimensat(AT_FDCWD, cString(path), times, AT_SYMLINK_NOFOLLOW), 'utimensat', path.toString());
}

/** syncfs(2) on a thread of the pool: resolves when everything written so far to the filesystem of `path` is durable. */
export async function syncFilesystem(path: string): Promise<void> {
  const fd = openSync(path, 'r');
  try {
    await new Promise<void>((resolve, reject) => {
      syncfsSyscall.async(fd, (error: Error | null, result: number) => {
        if (error) reject(error);
        // errno belongs to the pool's thread; a failed writeback is the only likely reason.
        else if (result === -1) reject(new Error(`syncfs ${path}: input/output error`));
        else resolve();
      });
    });
  } finally {
    closeSync(fd);
  }
}
