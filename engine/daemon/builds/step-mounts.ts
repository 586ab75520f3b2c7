import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmdirSync,
  rmSync,
} from 'node:fs';
import { dirname, join } from 'node:path';

import { cleanPath } from '../../build/config.ts';
import { systemError } from '../../errors.ts';
import { resolveInRoot } from '../../runtime/rootfs.ts';
import type { OciMount } from '../../runtime/spec.ts';
import type { Digest } from '../../store/digest.ts';
import { newId } from '../ids.ts';
import { Mutex } from '../mutex.ts';
import { hashOf } from './copy-plan.ts';
import { LayerBuilder, type Owner } from './layer-builder.ts';
import type { BuildParts } from './parts.ts';
import { bytesOf, resolve, type SourceTree } from './source-tree.ts';

/** `RUN --mount=…`, understood. */
export interface MountWish {
  readonly type: 'bind' | 'cache' | 'tmpfs';
  readonly target: string;
  readonly source: string;
  readonly from: string | undefined;
  readonly writable: boolean;
  readonly id: string;
  readonly sharing: 'shared' | 'private' | 'locked';
  readonly size: string | undefined;
  readonly mode: number | undefined;
  readonly uid: number;
  readonly gid: number;
}

/** Where a mount's files come from: the context, a stage's or image's layers, or nothing. */
export type MountSource = TreeSource | { readonly chainId: Digest | undefined } | undefined;

interface TreeSource {
  readonly tree: SourceTree;
  /** Whose the files are in the mount; undefined: whose they are in the tree. */
  readonly owner: Owner | undefined;
}

const KEYS: Record<string, string> = {
  dst: 'target',
  destination: 'target',
  src: 'source',
  ro: 'readonly',
  rw: 'readwrite',
};
const FLAGS = ['readonly', 'readwrite', 'required'];
const KNOWN = ['type', 'target', 'source', 'from', 'id', 'sharing', 'size', 'mode', 'uid', 'gid', 'env', ...FLAGS];

/** @returns undefined for a secret or an ssh agent that isn't there and isn't required */
export function parseMount(text: string, workingDirectory: string): MountWish | undefined {
  const fields = new Map<string, string>();
  for (const part of text.split(',')) {
    const equals = part.indexOf('=');
    const given = (equals < 0 ? part : part.slice(0, equals)).trim().toLowerCase();
    const key = KEYS[given] ?? given;
    if (!KNOWN.includes(key)) throw new Error(`unexpected key '${given}' in '${part}'`);
    if (equals < 0 && !FLAGS.includes(key)) throw new Error(`invalid field '${part}' must be a key=value pair`);
    fields.set(key, equals < 0 ? 'true' : part.slice(equals + 1));
  }
  const type = fields.get('type') ?? 'bind';
  if (type === 'secret' || type === 'ssh') {
    if (fields.get('required') !== 'true') return undefined;
    const name = fields.get('id') ?? fields.get('target') ?? 'default';
    throw new Error(
      `${type} ${name}: not found: the classic build API carries no ${type === 'ssh' ? 'ssh agents' : 'secrets'}`,
    );
  }
  if (type !== 'bind' && type !== 'cache' && type !== 'tmpfs')
    throw new Error(`unsupported mount type ${JSON.stringify(type)}`);
  const target = fields.get('target');
  if (!target) throw new Error('invalid mount: target is required');
  const sharing = fields.get('sharing') ?? 'shared';
  if (sharing !== 'shared' && sharing !== 'private' && sharing !== 'locked')
    throw new Error(`unsupported sharing value ${JSON.stringify(sharing)}`);
  const readonly = fields.get('readonly') === 'true';
  const absolute = cleanPath(target.startsWith('/') ? target : `${workingDirectory}/${target}`);
  if (absolute === '/') throw new Error('invalid mount target "/"');
  return {
    type,
    target: absolute,
    source: fields.get('source') ?? '',
    from: fields.get('from') || undefined,
    writable: type === 'bind' ? fields.get('readwrite') === 'true' : !readonly,
    id: fields.get('id') ?? absolute,
    sharing,
    size: fields.get('size'),
    mode: octal(fields.get('mode')),
    uid: Number(fields.get('uid') ?? 0),
    gid: Number(fields.get('gid') ?? 0),
  };
}

function octal(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^0?o?[0-7]{1,4}$/.test(text)) throw new Error(`invalid value ${text} for mode`);
  return Number.parseInt(text.replace('o', ''), 8);
}

const locks = new Map<string, Mutex>();

/** Runs `work` while no other step uses the caches that are locked; in one order, so that two steps can't wait for each other. */
export function withCacheLocks<T>(wishes: readonly MountWish[], work: () => Promise<T>): Promise<T> {
  const ids = wishes.filter(({ type, sharing }) => type === 'cache' && sharing === 'locked').map(({ id }) => id);
  return [...new Set(ids)].sort().reduceRight<() => Promise<T>>((inner, id) => {
    const mutex = locks.get(id) ?? new Mutex();
    locks.set(id, mutex);
    return () => mutex.run(inner);
  }, work)();
}

/** The mounts of one step: made before it, taken away after it with what the runtime made to mount them on. */
export class StepMounts {
  readonly #parts: BuildParts;
  readonly #undo: (() => void)[] = [];
  /** Paths (in the root) that were not there: the runtime makes them as places to mount on. */
  readonly #stubs: string[] = [];

  constructor(parts: BuildParts) {
    this.#parts = parts;
  }

  async make(wish: MountWish, source: MountSource, rootfs: string, signal: AbortSignal): Promise<OciMount> {
    this.#noteStubs(rootfs, wish.target);
    if (wish.type === 'tmpfs') {
      const size = wish.size ? [`size=${wish.size}`] : [];
      return { destination: wish.target, type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'nodev', ...size] };
    }
    const folder =
      wish.type === 'cache' ? await this.#cache(wish, source, signal) : await this.#bind(wish, source, signal);
    return {
      destination: wish.target,
      type: 'bind',
      source: folder,
      options: ['rbind', wish.writable ? 'rw' : 'ro', 'rprivate'],
    };
  }

  #noteStubs(rootfs: string, target: string): void {
    let at = rootfs;
    let inside = '';
    for (const part of target.split('/').filter(Boolean)) {
      inside += `/${part}`;
      const next = resolveInRoot(rootfs, inside);
      if (next === undefined) this.#stubs.push(`${at.slice(rootfs.length)}/${part}`);
      at = next ?? `${at}/${part}`;
    }
  }

  async #cache(wish: MountWish, source: MountSource, signal: AbortSignal): Promise<string> {
    const name = hashOf([wish.id]).slice(0, 32);
    const base = join(this.#parts.root, 'cache-mounts');
    let folder = join(base, name);
    if (wish.sharing === 'private' && inUse.has(folder)) folder = join(base, `${name}-${newId().slice(0, 12)}`);
    inUse.set(folder, (inUse.get(folder) ?? 0) + 1);
    this.#undo.push(() => {
      const count = (inUse.get(folder) ?? 1) - 1;
      if (count > 0) inUse.set(folder, count);
      else inUse.delete(folder);
    });
    if (!existsSync(folder)) await this.#beginCache(wish, source, folder, signal);
    return folder;
  }

  /** A new cache appears whole, so that a crash leaves none that is half filled. */
  async #beginCache(wish: MountWish, source: MountSource, folder: string, signal: AbortSignal): Promise<void> {
    const scratch = join(this.#parts.root, 'mounts', newId());
    try {
      let content = scratch;
      if (source && 'tree' in source) content = await this.#fill(scratch, source, wish.source, signal);
      else {
        mkdirSync(scratch, { recursive: true });
        chownSync(scratch, wish.uid, wish.gid);
        chmodSync(scratch, wish.mode ?? 0o755);
      }
      mkdirSync(dirname(folder), { recursive: true });
      // Another step may have begun the same cache meanwhile: then that one is it.
      if (!existsSync(folder)) renameSync(content, folder);
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
  }

  async #bind(wish: MountWish, source: MountSource, signal: AbortSignal): Promise<string> {
    const folder = join(this.#parts.root, 'mounts', newId());
    mkdirSync(folder, { recursive: true, mode: 0o755 });
    this.#undo.push(() => rmSync(folder, { recursive: true, force: true }));
    if (source && 'tree' in source) {
      return this.#fill(join(folder, 'content'), source, wish.source, signal);
    }
    const key = newId();
    const { snapshots } = this.#parts;
    snapshots.prepare(key, source?.chainId);
    this.#undo.push(() => snapshots.remove(key));
    const root = join(folder, 'root');
    mkdirSync(root);
    snapshots.mount(key, root);
    this.#undo.push(() => snapshots.unmount(root));
    const at = resolveInRoot(root, wish.source || '/');
    if (at === undefined) throw systemError(`failed to compute cache key: ${JSON.stringify(wish.source)}: not found`);
    return at;
  }

  /** Copies a path of a tree into a new folder. @returns where the path's own content is then */
  async #fill(folder: string, { tree, owner }: TreeSource, path: string, signal: AbortSignal): Promise<string> {
    mkdirSync(folder, { recursive: true, mode: 0o755 });
    const at = resolve(tree, bytesOf(path));
    const node = at === undefined ? undefined : tree.lookup(at);
    if (at === undefined || !node)
      throw systemError(`failed to compute cache key: ${JSON.stringify(`/${path}`)}: not found`);
    const builder = new LayerBuilder(folder, [], { owner, mode: undefined, now: 0, signal });
    const name = at.slice(at.lastIndexOf('/') + 1) || 'root';
    const target = node.type === 'directory' ? '' : name;
    await builder.copy(
      { tree, path: at, node, name, parents: '', archive: false, excluded: () => false },
      target,
      false,
    );
    builder.finish();
    return target === '' ? folder : join(folder, name);
  }

  /** Takes all mounts away. */
  close(): void {
    for (const undo of this.#undo.reverse()) undo();
    this.#undo.length = 0;
  }

  /** Removes the places to mount on from what the step wrote, and directories that were copied up only for them. */
  removeStubs(upper: string, lowers: readonly string[]): void {
    for (const stub of [...this.#stubs].reverse()) {
      if (!removeEmpty(join(upper, stub))) continue;
      for (
        let parent = stub.slice(0, stub.lastIndexOf('/'));
        parent !== '';
        parent = parent.slice(0, parent.lastIndexOf('/'))
      ) {
        if (this.#stubs.includes(parent) || !isUntouched(parent, upper, lowers) || !removeEmpty(join(upper, parent)))
          break;
      }
    }
  }
}

const inUse = new Map<string, number>();

/** Whether a cache folder of `RUN --mount=type=cache` is used by a step now. */
export const cacheMountInUse = (folder: string): boolean => inUse.has(folder);

function removeEmpty(path: string): boolean {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (!stat) return false;
  if (stat.isDirectory()) {
    if (readdirSync(path).length > 0) return false;
    rmdirSync(path);
  } else {
    if (!stat.isFile() || stat.size > 0) return false;
    rmSync(path);
  }
  return true;
}

/** A directory of the upper layer that looks as the one below it. */
function isUntouched(path: string, upper: string, lowers: readonly string[]): boolean {
  const now = lstatSync(join(upper, path), { throwIfNoEntry: false });
  const below = lowers.map((folder) => lstatSync(join(folder, path), { throwIfNoEntry: false })).find(Boolean);
  return (
    now?.isDirectory() === true &&
    below?.isDirectory() === true &&
    now.mode === below.mode &&
    now.uid === below.uid &&
    now.gid === below.gid
  );
}
