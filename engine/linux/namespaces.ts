import { closeSync, openSync, writeFileSync } from 'node:fs';

import { check, libc } from './libc.ts';
import { MS, mount, unmount } from './mount.ts';

/**
 * Network namespaces. Namespaces belong to a thread, and these calls switch the main thread's for the length of one
 * synchronous function: nothing else can run on it meanwhile, and libuv's pool threads never leave the engine's own.
 */
const unshare = libc('int unshare(int flags)');
const setns = libc('int setns(int fd, int nstype)');

const CLONE_NEWNET = 0x40000000;
const SELF = '/proc/thread-self/ns/net';

let home: number | undefined;

/** The engine's own network namespace, opened once. */
function homeNamespace(): number {
  home ??= openSync(SELF, 'r');
  return home;
}

/** Makes a network namespace and pins it as a bind mount at `path`, so that it lives without a process in it. */
export function createNetworkNamespace(path: string): void {
  const back = homeNamespace();
  writeFileSync(path, '');
  check(unshare(CLONE_NEWNET), 'unshare', 'network namespace');
  try {
    mount(SELF, path, null, MS.bind);
  } finally {
    check(setns(back, CLONE_NEWNET), 'setns');
  }
}

/** Lets the namespace go; the kernel frees it when the last process in it has gone. */
export function releaseNetworkNamespace(path: string): void {
  unmount(path);
}

/** Runs a synchronous function inside the network namespace at `path` (a pinned file or /proc/<pid>/ns/net). */
export function inNetworkNamespace<T>(path: string, work: () => T): T {
  const back = homeNamespace();
  const fd = openSync(path, 'r');
  try {
    check(setns(fd, CLONE_NEWNET), 'setns', path);
    try {
      return work();
    } finally {
      check(setns(back, CLONE_NEWNET), 'setns');
    }
  } finally {
    closeSync(fd);
  }
}
