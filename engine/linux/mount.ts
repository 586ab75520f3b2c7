import { readFileSync } from 'node:fs';

import { check, hasCode, libc } from './libc.ts';

const mount2 = libc(
  'int mount(const char *source, const char *target, const char *type, ulong flags, const char *data)',
);
const umount2 = libc('int umount2(const char *target, int flags)');

/** Mount flags of mount(2). */
export const MS = {
  rdonly: 1,
  nosuid: 2,
  nodev: 4,
  noexec: 8,
  synchronous: 16,
  remount: 32,
  mandlock: 64,
  dirsync: 128,
  noatime: 1024,
  nodiratime: 2048,
  bind: 4096,
  rec: 16384,
  unbindable: 1 << 17,
  private: 1 << 18,
  slave: 1 << 19,
  shared: 1 << 20,
  relatime: 1 << 21,
  strictatime: 1 << 24,
} as const;

const MNT_DETACH = 2;

/** mount(2). Paths are in the caller's mount namespace. Throws SyscallError. */
export function mount(
  source: string,
  target: string,
  type: string | null,
  flags = 0,
  data: string | null = null,
): void {
  check(mount2(source, target, type, flags, data), 'mount', target);
}

/** umount2(2), lazily, so that a busy mount never blocks a removal. Not being mounted is not an error. */
export function unmount(target: string): void {
  try {
    check(umount2(target, MNT_DETACH), 'umount', target);
  } catch (error) {
    if (!hasCode(error, 'EINVAL', 'ENOENT')) throw error;
  }
}

/** Mount points of this mount namespace at or below `prefix`, deepest first (the order to unmount them in). */
export function mountsUnder(prefix: string): string[] {
  const points: string[] = [];
  for (const line of readFileSync('/proc/self/mountinfo', 'utf8').split('\n')) {
    const field = line.split(' ')[4];
    if (!field) continue;
    const point = field.replace(/\\(\d{3})/g, (_all, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
    if (point === prefix || point.startsWith(`${prefix}/`)) points.push(point);
  }
  return points.reverse();
}
