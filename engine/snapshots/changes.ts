import { lstatSync, type Stats } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';

import { setTimes } from '../linux/nodes.ts';

import { isWhiteoutStat, lookup, namesIn } from './merged.ts';
import { pathOf } from './tar/header.ts';

/** One line of GET /containers/{id}/changes. kind: 0 modified, 1 added, 2 deleted. */
export interface Change {
  readonly path: string;
  readonly kind: 0 | 1 | 2;
}

const MODIFIED = 0;
const ADDED = 1;
const DELETED = 2;

/** A walk of many files gives way to other work this often. */
const SLICE_MS = 4;

export class Slices {
  #until = performance.now() + SLICE_MS;

  async breathe(): Promise<void> {
    if (performance.now() < this.#until) return;
    await nextTurn();
    this.#until = performance.now() + SLICE_MS;
  }
}

const text = (path: string): string => Buffer.from(path, 'latin1').toString('utf8');

/**
 * What the writable layer changed, sorted by path, by the rules of moby's pkg/archive: a directory counts as modified
 * when something was added or deleted in it, and not at all when it only was copied up.
 */
export async function findChanges(upper: string, lowers: readonly string[]): Promise<Change[]> {
  const changes = new Map<string, Change>();
  const slices = new Slices();
  const add = (path: string, kind: Change['kind']) => changes.set(path, { path: text(path), kind });

  const walk = async (folder: string, below: readonly string[], prefix: string): Promise<void> => {
    for (const name of namesIn(folder)) {
      await slices.breathe();
      const real = `${folder}/${name}`;
      const entry = lstatSync(pathOf(real), { throwIfNoEntry: false });
      if (!entry) continue;
      const path = `${prefix}/${name}`;
      if (isWhiteoutStat(entry)) {
        add(path, DELETED);
      } else {
        const old = lookup(below, name);
        if (entry.isDirectory()) {
          if (!old) add(path, ADDED);
          else if (!sameDirectory(entry, old.stat)) add(path, MODIFIED);
          await walk(real, old?.folders ?? [], path);
          continue;
        }
        add(path, old ? MODIFIED : ADDED);
        if (old) continue;
      }
      if (prefix !== '' && !changes.has(prefix)) add(prefix, MODIFIED);
    }
  };
  await walk(upper, lowers, '');
  return [...changes.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
}

function sameDirectory(now: Stats, old: Stats): boolean {
  return (
    old.isDirectory() &&
    now.mode === old.mode &&
    now.uid === old.uid &&
    now.gid === old.gid &&
    now.mtimeMs === old.mtimeMs
  );
}

/** Bytes of regular files in a folder, each inode once. */
export async function measure(folder: string): Promise<number> {
  const slices = new Slices();
  const seen = new Set<number>();
  let size = 0;
  const walk = async (at: string): Promise<void> => {
    for (const name of namesIn(at)) {
      await slices.breathe();
      const path = `${at}/${name}`;
      const entry = lstatSync(pathOf(path), { throwIfNoEntry: false });
      if (!entry) continue;
      if (entry.isDirectory()) await walk(path);
      else if (entry.isFile()) {
        if (entry.nlink > 1) {
          if (seen.has(entry.ino)) continue;
          seen.add(entry.ino);
        }
        size += entry.size;
      }
    }
  };
  await walk(folder);
  return size;
}

/** Sets the time of everything in a folder that is newer than `latest` (seconds since the epoch) back to it. */
export async function clampTimes(folder: string, latest: number): Promise<void> {
  const slices = new Slices();
  const walk = async (at: string): Promise<void> => {
    for (const name of namesIn(at)) {
      await slices.breathe();
      const path = `${at}/${name}`;
      const entry = lstatSync(pathOf(path));
      if (entry.isDirectory()) await walk(path);
      if (entry.mtimeMs > latest * 1000) setTimes(pathOf(path), latest, 0);
    }
  };
  await walk(folder);
}
