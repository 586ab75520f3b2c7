import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  type Stats,
} from 'node:fs';

import { cancelled, hasCode } from '../../errors.ts';
import { openChild, under } from '../../linux/files-root.ts';
import { splitDevice } from '../../linux/nodes.ts';
import { getXattr, listXattrs } from '../../linux/xattr.ts';
import { Slices } from '../changes.ts';
import { type NewEntry, TAR_END, tarHeader, tarPadding } from '../tar/write.ts';

const CHUNK = 256 * 1024;

const bytes = (text: string): string => Buffer.from(text).toString('latin1');

/**
 * A file, or a directory with everything in it, as a tar.
 * @param parent the open directory it is in; `base` is its name there ('.' for the directory itself)
 * @param name what the entries are called: `name`, `name/…`; '/' gives `/`, `/…`
 */
export async function* tarTree(
  parent: number,
  base: string,
  name: string,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const walk = new Walk(signal);
  yield* walk.visit(parent, base, bytes(name));
  yield walk.end();
}

class Walk {
  readonly #signal: AbortSignal;
  readonly #slices = new Slices();
  readonly #links = new Map<string, string>();
  #gathered: Buffer[] = [];
  #size = 0;

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  async *visit(directory: number, child: string, name: string): AsyncGenerator<Buffer> {
    if (this.#signal.aborted) throw cancelled();
    await this.#slices.breathe();
    const path = under(directory, child);
    // What vanishes under the walk is not there.
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (!stat || stat.isSocket()) return;
    const base = {
      name,
      mode: stat.mode & 0o7777,
      uid: stat.uid,
      gid: stat.gid,
      mtime: Math.floor(stat.mtimeMs / 1000),
    };
    if (stat.isDirectory()) {
      let opened: number;
      try {
        opened = openChild(directory, child);
      } catch (error) {
        if (hasCode(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) return;
        throw error;
      }
      try {
        this.#put(tarHeader({ ...base, type: 'directory', xattrs: xattrsOf(`/proc/self/fd/${opened}/.`) }));
        const prefix = name.endsWith('/') ? name : `${name}/`;
        for (const entry of readdirSync(`/proc/self/fd/${opened}`))
          yield* this.visit(opened, entry, prefix + bytes(entry));
      } finally {
        closeSync(opened);
      }
    } else if (this.#linked(stat, base)) return;
    else if (stat.isFile()) yield* this.#file(path, base);
    else this.#put(tarHeader({ ...base, ...special(path, stat) }));
    if (this.#size > CHUNK) yield this.#take();
  }

  /** A further name of a file that is already in the archive. */
  #linked(stat: Stats, base: Omit<NewEntry, 'type'>): boolean {
    if (stat.nlink < 2) return false;
    const inode = `${stat.dev}:${stat.ino}`;
    const first = this.#links.get(inode);
    if (first === undefined) {
      this.#links.set(inode, base.name);
      return false;
    }
    this.#put(tarHeader({ ...base, type: 'link', linkName: first }));
    return true;
  }

  /** Exactly the size that the header says, whatever the container does to the file meanwhile. */
  async *#file(path: string, base: Omit<NewEntry, 'type'>): AsyncGenerator<Buffer> {
    let fd: number;
    try {
      fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    } catch (error) {
      if (hasCode(error, 'ENOENT', 'ELOOP', 'ENXIO')) return;
      throw error;
    }
    try {
      const { size } = fstatSync(fd);
      this.#put(tarHeader({ ...base, type: 'file', size, xattrs: xattrsOf(`/proc/self/fd/${fd}`) }));
      for (let at = 0; at < size; ) {
        if (this.#signal.aborted) throw cancelled();
        const chunk = Buffer.allocUnsafe(Math.min(size - at, CHUNK));
        const read = readSync(fd, chunk, 0, chunk.length, at);
        this.#put(read === 0 ? chunk.fill(0) : chunk.subarray(0, read));
        at += read === 0 ? chunk.length : read;
        if (this.#size > CHUNK) yield this.#take();
      }
      this.#put(tarPadding(size));
    } finally {
      closeSync(fd);
    }
  }

  end(): Buffer {
    this.#put(TAR_END);
    return this.#take();
  }

  #put(data: Buffer): void {
    if (data.length === 0) return;
    this.#gathered.push(data);
    this.#size += data.length;
  }

  #take(): Buffer {
    const all = this.#gathered.length === 1 ? this.#gathered[0]! : Buffer.concat(this.#gathered);
    this.#gathered = [];
    this.#size = 0;
    return all;
  }
}

function special(path: string, stat: Stats): Pick<NewEntry, 'type' | 'linkName' | 'major' | 'minor'> {
  if (stat.isSymbolicLink()) return { type: 'symlink', linkName: readlinkSync(path, { encoding: 'latin1' }) };
  if (stat.isFIFO()) return { type: 'fifo' };
  return { type: stat.isCharacterDevice() ? 'char' : 'block', ...splitDevice(stat.rdev) };
}

/** File capabilities, as `docker cp` carries them. The path leads through a descriptor, so it may be followed. */
function xattrsOf(path: string): ReadonlyMap<string, Buffer> | undefined {
  if (!listXattrs(`${path}`).includes('security.capability')) return undefined;
  const value = getXattr(path, 'security.capability');
  return value ? new Map([['security.capability', value]]) : undefined;
}
