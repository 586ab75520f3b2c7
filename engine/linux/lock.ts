import { closeSync, openSync } from 'node:fs';

import { check, hasCode, libc } from './libc.ts';

const flock = libc('int flock(int fd, int operation)');

const LOCK_EX_NB = 2 | 4;

/**
 * Takes an exclusive lock on a file for the rest of this process's life; the kernel gives it back however that ends.
 * @returns false when another process has it
 */
export function lockFile(path: string): boolean {
  const fd = openSync(path, 'a', 0o600);
  try {
    check(flock(fd, LOCK_EX_NB), 'flock', path);
    return true;
  } catch (error) {
    closeSync(fd);
    if (hasCode(error, 'EAGAIN')) return false;
    throw error;
  }
}
