import koffi from 'koffi';

import { check, hasCode, libc, SyscallError } from './libc.ts';

/** Extended attributes, always of the path itself, never of what a symlink points to. */
const lsetxattr = libc('int lsetxattr(const void *path, const char *name, const void *value, size_t size, int flags)');
const lgetxattr = libc('long lgetxattr(const void *path, const char *name, _Out_ void *value, size_t size)');
const llistxattr = libc('long llistxattr(const void *path, _Out_ void *list, size_t size)');

/** A path for the kernel: a string, or raw bytes where a name is not UTF-8. */
export type Path = string | Buffer;

export const cString = (path: Path): Buffer =>
  typeof path === 'string' ? Buffer.from(`${path}\0`) : Buffer.concat([path, Buffer.of(0)]);

/** As large as the kernel lets a value or a list be (XATTR_SIZE_MAX, XATTR_LIST_MAX); calls are synchronous. */
const scratch = Buffer.allocUnsafeSlow(65536);

/** lsetxattr(2). Throws SyscallError (ENOTSUP where the filesystem or the kind of file has none). */
export function setXattr(path: Path, name: string, value: Buffer): void {
  check(lsetxattr(cString(path), name, value, value.length, 0), 'lsetxattr', name);
}

/** The value, or undefined when the path has no such attribute or the filesystem has none at all. */
export function getXattr(path: Path, name: string): Buffer | undefined {
  const length = Number(lgetxattr(cString(path), name, scratch, scratch.length));
  if (length >= 0) return Buffer.from(scratch.subarray(0, length));
  const error = new SyscallError('lgetxattr', koffi.errno(), name);
  if (hasCode(error, 'ENODATA', 'EOPNOTSUPP', 'ENOTSUP')) return undefined;
  throw error;
}

/** Names of the attributes of a path; none where the filesystem has no attributes. */
export function listXattrs(path: Path): string[] {
  const length = Number(llistxattr(cString(path), scratch, scratch.length));
  if (length > 0) return scratch.toString('utf8', 0, length - 1).split('\0');
  if (length === 0) return [];
  const error = new SyscallError('llistxattr', koffi.errno());
  if (hasCode(error, 'EOPNOTSUPP', 'ENOTSUP')) return [];
  throw error;
}
