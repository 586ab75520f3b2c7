import { closeSync, constants, fstatSync, lstatSync, readdirSync, readlinkSync, type Stats } from 'node:fs';
import { basename, dirname, join, normalize } from 'node:path';

import { forbidden, hasCode, invalidParameter, notFound } from '../../errors.ts';
import type { FilesRoot } from '../../runtime/runtime.ts';
import { resolveUser } from '../../runtime/user.ts';
import { tarTree } from '../../snapshots/files/read-tree.ts';
import { writeTree } from '../../snapshots/files/write-tree.ts';
import type { Container } from './container.ts';
import { ociMounts } from './mounts.ts';
import { type ContainerParts, publish } from './parts.ts';
import { acquireVolumes, releaseVolumes } from './volume-use.ts';

/** X-Docker-Container-Path-Stat (moby: container.PathStat); `mode` in the bits of Go's os.FileMode. */
export interface PathStat {
  readonly name: string;
  readonly size: number;
  readonly mode: number;
  readonly mtime: string;
  readonly linkTarget: string;
}

/** limits.h */
const NAME_MAX = 255;
const PATH_MAX = 4095;

const O_PATH = 0o10000000;
const DIRECTORY = O_PATH | constants.O_DIRECTORY;

/**
 * Works on a container's files with its volumes and binds in place: live while it runs, else mounted for the length of the
 * work, which then holds back its start, as dockerd does.
 */
async function withFiles<T>(
  parts: ContainerParts,
  container: Container,
  work: (root: FilesRoot) => Promise<T>,
): Promise<T> {
  const { runtime, snapshots } = parts;
  const live = await container.mutex.run(async () => {
    const { record } = container;
    if (record.state.status === 'running') return { root: runtime.liveFiles(record.state.pid) };
    runtime.prepareBundle(container.id);
    try {
      snapshots.mount(container.id, runtime.rootfsOf(container.id));
      const places = await acquireVolumes(parts, record);
      using root = runtime.stoppedFiles(container.id, ociMounts(places, parts.folders));
      return { result: await work(root) };
    } finally {
      runtime.unmountFiles(container.id);
      await releaseVolumes(parts, record);
    }
  });
  if (!live.root) return live.result;
  using root = live.root;
  return await work(root);
}

/** A client's path as an absolute one; a last `/` or `/.` stays, because it asks for what a symlink leads to. */
function absolute(path: string): string {
  if (path.includes('\0')) throw invalidParameter('invalid path: it has a null byte');
  if (path.split('/').some((part) => Buffer.byteLength(part) > NAME_MAX) || Buffer.byteLength(path) > PATH_MAX) {
    throw invalidParameter(`invalid path: file name too long`);
  }
  const clean = normalize(join('/', path)).replace(/(?<=.)\/$/, '');
  if (/\/\.$/.test(path) || path === '.') return clean === '/' ? '/.' : `${clean}/.`;
  if (path.endsWith('/') && clean !== '/') return `${clean}/`;
  return clean;
}

interface Found {
  /** Open directory, and the name in it: '.' for the directory itself. */
  readonly parent: number;
  readonly base: string;
  readonly stat: Stats;
  readonly path: string;
}

/** The place a path names, its last part not followed unless the path ends with a slash. The caller closes `parent`. */
function find(root: FilesRoot, path: string): Found {
  const slash = path.lastIndexOf('/');
  const last = path.slice(slash + 1);
  const parent = root.open(path.slice(0, slash) || '/', DIRECTORY);
  try {
    const base = last === '' ? '.' : last;
    const stat = lstatSync(`/proc/self/fd/${parent}/${base}`);
    return { parent, base, stat, path };
  } catch (error) {
    closeSync(parent);
    throw error;
  }
}

const GO_TYPES: readonly (readonly [(stat: Stats) => boolean, number])[] = [
  [(stat) => stat.isDirectory(), 2 ** 31],
  [(stat) => stat.isSymbolicLink(), 2 ** 27],
  [(stat) => stat.isBlockDevice(), 2 ** 26],
  [(stat) => stat.isFIFO(), 2 ** 25],
  [(stat) => stat.isSocket(), 2 ** 24],
  [(stat) => stat.isCharacterDevice(), 2 ** 26 + 2 ** 21],
];

function goMode(stat: Stats): number {
  let mode = stat.mode & 0o777;
  for (const [test, bit] of GO_TYPES) if (test(stat)) mode += bit;
  for (const [bit, go] of [
    [0o4000, 2 ** 23],
    [0o2000, 2 ** 22],
    [0o1000, 2 ** 20],
  ] as const) {
    if (stat.mode & bit) mode += go;
  }
  return mode;
}

function linkTarget(root: FilesRoot, { parent, base, stat, path }: Found): string {
  if (!stat.isSymbolicLink()) return '';
  try {
    const fd = root.locate(path);
    try {
      return root.pathOf(fd);
    } finally {
      closeSync(fd);
    }
  } catch {
    // It leads nowhere: where it would lead.
    return join('/', dirname(path), readlinkSync(`/proc/self/fd/${parent}/${base}`));
  }
}

function statView(root: FilesRoot, found: Found): PathStat {
  const { stat, path } = found;
  return {
    name: nameOf(path),
    size: stat.size,
    mode: goMode(stat),
    mtime: stat.mtime.toISOString(),
    linkTarget: linkTarget(root, found),
  };
}

/** Go's filepath.Base, which gives `.` for a path that ends so, and `/` for the root. */
const nameOf = (path: string): string => (path.endsWith('/.') ? '.' : basename(path) || '/');

/** Names what isn't there as dockerd does. */
async function orMissing<T>(reference: string, path: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!hasCode(error, 'ENOENT', 'ENOTDIR')) throw error;
    throw notFound(`Could not find the file ${path} in container ${reference}`, error);
  }
}

/** HEAD /containers/{id}/archive */
export function statPath(parts: ContainerParts, reference: string, path: string): Promise<PathStat> {
  const container = parts.registry.get(reference);
  return orMissing(
    reference,
    path,
    withFiles(parts, container, async (root) => {
      const found = find(root, absolute(path));
      try {
        return statView(root, found);
      } finally {
        closeSync(found.parent);
      }
    }),
  );
}

/**
 * GET /containers/{id}/archive: a file or a tree as a tar.
 * @param send gets what is known before the first byte, then the bytes; the container stays as it is until it resolves
 */
export function readArchive(
  parts: ContainerParts,
  reference: string,
  path: string,
  signal: AbortSignal,
  send: (stat: PathStat, tar: AsyncIterable<Buffer>) => Promise<void>,
): Promise<void> {
  const container = parts.registry.get(reference);
  return orMissing(
    reference,
    path,
    withFiles(parts, container, async (root) => {
      const found = find(root, absolute(path));
      try {
        publish(parts, container, 'archive-path');
        await send(statView(root, found), tarTree(found.parent, found.base, nameOf(found.path), signal));
      } finally {
        closeSync(found.parent);
      }
    }),
  );
}

/**
 * What is in a directory, without what is below it: Skiff's own window asks for it (docs/shells.md), since Docker's API can only
 * send the whole tree. Link targets are as they are written.
 */
export function listDirectory(parts: ContainerParts, reference: string, path: string): Promise<PathStat[]> {
  const container = parts.registry.get(reference);
  return orMissing(
    reference,
    path,
    withFiles(parts, container, async (root) => {
      const place = root.locate(absolute(path));
      try {
        if (!fstatSync(place).isDirectory()) throw invalidParameter(`${path} is not a directory`);
        const names = readdirSync(`/proc/self/fd/${place}`);
        return names.map((name) => entryView(place, name)).filter((entry) => entry !== undefined);
      } finally {
        closeSync(place);
      }
    }),
  );
}

/** Undefined for what has gone between the listing and the look at it. */
function entryView(directory: number, name: string): PathStat | undefined {
  const at = `/proc/self/fd/${directory}/${name}`;
  try {
    const stat = lstatSync(at);
    const linkTarget = stat.isSymbolicLink() ? readlinkSync(at) : '';
    return { name, size: stat.size, mode: goMode(stat), mtime: stat.mtime.toISOString(), linkTarget };
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}

export interface WriteArchiveOptions {
  readonly noOverwriteDirNonDir: boolean;
  readonly copyUidGid: boolean;
}

/** PUT /containers/{id}/archive: unpacks a tar into a directory that is there. */
export function writeArchive(
  parts: ContainerParts,
  reference: string,
  path: string,
  archive: AsyncIterable<Buffer>,
  options: WriteArchiveOptions,
): Promise<void> {
  const container = parts.registry.get(reference);
  return orMissing(
    reference,
    path,
    withFiles(parts, container, async (root) => {
      const place = root.locate(absolute(path));
      let inside: string;
      try {
        if (!fstatSync(place).isDirectory()) throw invalidParameter('extraction point is not a directory');
        inside = root.pathOf(place);
      } finally {
        closeSync(place);
      }
      checkWritable(container, inside);
      await writeTree(root, inside, archive, {
        keepKinds: options.noOverwriteDirNonDir,
        owner: options.copyUidGid ? ownerOf(parts, container) : undefined,
      });
      publish(parts, container, 'extract-to-dir');
    }),
  );
}

function checkWritable(container: Container, inside: string): void {
  const { mounts, hostConfig } = container.record;
  const covering = mounts
    .filter(({ destination }) => inside === destination || inside.startsWith(`${destination}/`))
    .sort((a, b) => b.destination.length - a.destination.length)[0];
  if (covering && !covering.rw) throw forbidden('mounted volume is marked read-only');
  if (!covering && hostConfig.ReadonlyRootfs) throw forbidden('container rootfs is marked read-only');
}

/** `docker cp -a` into a container that runs as somebody: what is copied belongs to them. */
function ownerOf(parts: ContainerParts, container: Container): { uid: number; gid: number } | undefined {
  const { User } = container.record.config;
  return User ? resolveUser(parts.runtime.rootfsOf(container.id), User) : undefined;
}
