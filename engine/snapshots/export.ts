import { closeSync, lstatSync, openSync, readlinkSync, readSync, type Stats } from 'node:fs';
import { open } from 'node:fs/promises';

import { cancelled } from '../errors.ts';
import { splitDevice } from '../linux/nodes.ts';
import { getXattr, listXattrs } from '../linux/xattr.ts';

import { Slices } from './changes.ts';
import { isOpaque, isWhiteoutStat, list, namesIn } from './merged.ts';
import type { OutlineWriter } from './outline.ts';
import { pathOf } from './tar/header.ts';
import { type NewEntry, TAR_END, tarHeader, tarPadding } from './tar/write.ts';

export { splitDevice } from '../linux/nodes.ts';

const CHUNK = 512 * 1024;
const SMALL = 64 * 1024;
/** Small pieces are gathered so that a tree of tiny files isn't a stream of tiny buffers. */
const GATHER = 256 * 1024;

/** A merged tree as a tar, paths relative and without the root itself, as `docker export` writes it. */
export async function* tarMerged(folders: readonly string[], signal: AbortSignal): AsyncGenerator<Buffer> {
  yield* new TarWalk(signal).run((walk) => walk.merged(folders, ''));
}

/**
 * One layer as a tar in the OCI form: whiteouts as `.wh.` files, opaque directories with `.wh..wh..opq`.
 * @param outline is told what the tar consists of
 */
export async function* tarLayer(folder: string, signal: AbortSignal, outline?: OutlineWriter): AsyncGenerator<Buffer> {
  yield* new TarWalk(signal, outline).run((walk) => walk.layer(folder, ''));
}

class TarWalk {
  readonly #signal: AbortSignal;
  readonly #outline: OutlineWriter | undefined;
  readonly #slices = new Slices();
  readonly #links = new Map<string, string>();
  #gathered: Buffer[] = [];
  #size = 0;

  constructor(signal: AbortSignal, outline?: OutlineWriter) {
    this.#signal = signal;
    this.#outline = outline;
  }

  async *run(walk: (self: TarWalk) => AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
    yield* walk(this);
    this.#put(TAR_END);
    yield* this.#flush();
  }

  async *merged(folders: readonly string[], prefix: string): AsyncGenerator<Buffer> {
    for (const entry of list(folders)) {
      yield* this.#entry(entry.path, entry.stat, prefix + entry.name);
      if (entry.stat.isDirectory()) yield* this.merged(entry.folders, `${prefix}${entry.name}/`);
    }
  }

  async *layer(folder: string, prefix: string): AsyncGenerator<Buffer> {
    for (const name of namesIn(folder).sort()) {
      const path = `${folder}/${name}`;
      const stat = lstatSync(pathOf(path), { throwIfNoEntry: false });
      if (!stat) continue;
      if (isWhiteoutStat(stat)) {
        this.#put(tarHeader({ name: `${prefix}.wh.${name}`, type: 'file', mode: 0, mtime: seconds(stat) }));
        continue;
      }
      yield* this.#entry(path, stat, prefix + name);
      if (!stat.isDirectory()) continue;
      if (isOpaque(path)) this.#put(tarHeader({ name: `${prefix}${name}/.wh..wh..opq`, type: 'file', mode: 0 }));
      yield* this.layer(path, `${prefix}${name}/`);
    }
  }

  async *#entry(path: string, stat: Stats, name: string): AsyncGenerator<Buffer> {
    if (this.#signal.aborted) throw cancelled();
    await this.#slices.breathe();
    if (stat.isSocket()) return;
    const inode = stat.nlink > 1 && !stat.isDirectory() ? `${stat.dev}:${stat.ino}` : undefined;
    const first = inode === undefined ? undefined : this.#links.get(inode);
    const base = { name, mode: stat.mode & 0o7777, uid: stat.uid, gid: stat.gid, mtime: seconds(stat) };
    if (first !== undefined) {
      this.#put(tarHeader({ ...base, type: 'link', linkName: first }));
      return;
    }
    if (inode !== undefined) this.#links.set(inode, name);
    const xattrs = readXattrs(path);
    if (stat.isFile()) yield* this.#file(path, { ...base, type: 'file', size: stat.size, xattrs });
    else this.#put(tarHeader({ ...base, xattrs, ...special(path, stat) }));
    if (this.#size > GATHER) yield* this.#flush();
  }

  /** Exactly the size that the header says, whatever a running container does to the file meanwhile. */
  async *#file(path: string, entry: NewEntry): AsyncGenerator<Buffer> {
    this.#put(tarHeader(entry));
    const size = entry.size ?? 0;
    if (size > 0 && size <= SMALL) this.#put(readSmall(path, size), entry.name);
    else if (size > 0) {
      const file = await open(pathOf(path), 'r');
      try {
        for (let left = size; left > 0; ) {
          if (this.#signal.aborted) throw cancelled();
          const buffer = Buffer.allocUnsafe(Math.min(left, CHUNK));
          const { bytesRead } = await file.read(buffer, 0, buffer.length, size - left);
          const chunk = bytesRead === 0 ? buffer.fill(0) : buffer.subarray(0, bytesRead);
          this.#put(chunk, entry.name);
          left -= chunk.length;
          if (this.#size > GATHER) yield* this.#flush();
        }
      } finally {
        await file.close();
      }
    }
    this.#put(tarPadding(size));
  }

  /** @param file whose content it is; by the name in the tar, which in a layer is the path in its folder */
  #put(data: Buffer, file?: string): void {
    if (data.length === 0) return;
    if (file === undefined) this.#outline?.raw(data);
    else this.#outline?.content(file, data.length);
    this.#gathered.push(data);
    this.#size += data.length;
  }

  *#flush(): Generator<Buffer> {
    if (this.#size === 0) return;
    const all = this.#gathered.length === 1 ? (this.#gathered[0] as Buffer) : Buffer.concat(this.#gathered);
    this.#gathered = [];
    this.#size = 0;
    yield all;
  }
}

/** A trip through the thread pool costs more than reading a small file. What is missing at its end is zeros. */
function readSmall(path: string, size: number): Buffer {
  const buffer = Buffer.alloc(size);
  const fd = openSync(pathOf(path), 'r');
  try {
    for (let at = 0; at < size; ) {
      const read = readSync(fd, buffer, at, size - at, at);
      if (read === 0) break;
      at += read;
    }
    return buffer;
  } finally {
    closeSync(fd);
  }
}

const seconds = (stat: Stats): number => Math.floor(stat.mtimeMs / 1000);

function special(path: string, stat: Stats): Pick<NewEntry, 'type' | 'linkName' | 'major' | 'minor'> {
  if (stat.isDirectory()) return { type: 'directory' };
  if (stat.isSymbolicLink()) return { type: 'symlink', linkName: readlinkSync(pathOf(path), { encoding: 'latin1' }) };
  if (stat.isFIFO()) return { type: 'fifo' };
  return { type: stat.isCharacterDevice() ? 'char' : 'block', ...splitDevice(stat.rdev) };
}

/** What a layer carries of attributes: file capabilities and the user's own. */
export function readXattrs(path: string): Map<string, Buffer> | undefined {
  const names = listXattrs(pathOf(path)).filter((name) => name === 'security.capability' || name.startsWith('user.'));
  if (names.length === 0) return undefined;
  const xattrs = new Map<string, Buffer>();
  for (const name of names) {
    const value = getXattr(pathOf(path), name);
    if (value) xattrs.set(name, value);
  }
  return xattrs;
}
