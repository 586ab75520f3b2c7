import koffi from 'koffi';
import { libc, SyscallError } from './libc.ts';

const utimensat = libc('int utimensat(int directory, const char *path, const uint8_t *times, int flags)');

const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const UTIME_OMIT = 0x3ffffffe;

/**
 * Sets a file's time of modification and nothing else, on a pool thread. inotify calls that IN_MODIFY; with the time of access beside
 * it would be IN_ATTRIB, to which many watchers don't listen.
 */
export function setModified(path: string, time: bigint): Promise<void> {
  const times = Buffer.alloc(32);
  times.writeBigInt64LE(BigInt(UTIME_OMIT), 8);
  times.writeBigInt64LE(time / 1_000_000_000n, 16);
  times.writeBigInt64LE(time % 1_000_000_000n, 24);
  return new Promise((resolve, reject) => {
    utimensat.async(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW, (error: Error | null, result: number) => {
      if (error) reject(error);
      else if (result === -1) reject(new SyscallError('utimensat', koffi.errno(), path));
      else resolve();
    });
  });
}
