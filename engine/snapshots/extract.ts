import {
  chmodSync,
  closeSync,
  fchmodSync,
  fchownSync,
  ftruncateSync,
  futimesSync,
  lchownSync,
  linkSync,
  mkdirSync,
  openSync,
  rmSync,
  statfsSync,
  symlinkSync,
  writeSync,
} from 'node:fs';

import { invalidParameter, messageOf, systemError } from '../errors.ts';
import { makeDevice, makeNode, S_IFBLK, S_IFCHR, S_IFIFO, setTimes } from '../linux/nodes.ts';
import { setXattr } from '../linux/xattr.ts';

import { pathOf, type SparsePiece, type TarEntry } from './tar/header.ts';
import { Tree } from './tree.ts';

const WHITEOUT = '.wh.';
const OPAQUE = '.wh..wh..opq';
const AUFS_META = '.wh..wh.';
const CHECK_EVERY_ENTRIES = 2048;
const CHECK_EVERY_BYTES = 64 * 1024 * 1024;

export interface ExtractLimits {
  /** Bytes and inodes of the filesystem that an extraction leaves free, so that a bomb can't stop the engine. */
  readonly reserveBytes: number;
  readonly reserveInodes: number;
}

export const DEFAULT_LIMITS: ExtractLimits = { reserveBytes: 128 * 1024 * 1024, reserveInodes: 4096 };

const hasCode = (error: unknown, code: string) => (error as NodeJS.ErrnoException | undefined)?.code === code;

/**
 * Writes the entries of one layer into an empty folder, in overlayfs' form: whiteouts become 0/0 character devices,
 * opaque markers the attribute trusted.overlay.opaque. All calls are synchronous (it runs in a worker thread).
 *
 * Semantics are those of Docker's own unpacking (moby pkg/archive): what is there is replaced, except a directory by a
 * directory; parents are followed through symlinks as in a chroot; ownership, then mode, then attributes, then times.
 */
export class LayerWriter {
  /** Bytes of file content, as Docker counts a layer's size. */
  size = 0;
  entries = 0;
  /** A file was written and then replaced by a later entry: the folder doesn't hold all content of the archive. */
  lostContent = false;
  readonly #root: string;
  readonly #limits: ExtractLimits;
  readonly #tree: Tree;
  readonly #whiteouts = new Set<string>();
  readonly #umask = process.umask();
  #fd = -1;
  #entry: TarEntry | undefined;
  #path = '';
  #position = 0;
  #piece = 0;
  #unchecked = 0;

  constructor(root: string, limits: ExtractLimits = DEFAULT_LIMITS) {
    this.#root = root;
    this.#limits = limits;
    this.#tree = new Tree((path) => this.#makeImplied(path));
  }

  /** Where the current entry's data goes byte for byte; undefined when it doesn't. */
  get contentPath(): string | undefined {
    return this.#fd >= 0 && !this.#entry?.sparse ? this.#path : undefined;
  }

  begin(entry: TarEntry): void {
    this.entries++;
    this.#entry = undefined;
    if (this.entries % CHECK_EVERY_ENTRIES === 0) this.#checkSpace();
    const { path, parent, base } = this.#tree.locate(entry.name);
    if (base.startsWith(WHITEOUT)) {
      this.#whiteout(parent, base);
      return;
    }
    try {
      this.#make(entry, path);
    } catch (error) {
      throw describe(error, path);
    }
  }

  data(chunk: Buffer): void {
    const entry = this.#entry;
    if (!entry || this.#fd < 0) return;
    this.size += chunk.length;
    this.#unchecked += chunk.length;
    if (this.#unchecked > CHECK_EVERY_BYTES) this.#checkSpace();
    try {
      if (entry.sparse) this.#writeSparse(chunk, entry.sparse.pieces);
      else this.#write(chunk, this.#position);
    } catch (error) {
      throw describe(error, this.#path);
    }
    if (!entry.sparse) this.#position += chunk.length;
  }

  end(): void {
    const entry = this.#entry;
    if (this.#fd >= 0 && entry) {
      if (entry.sparse) ftruncateSync(this.#fd, entry.sparse.realSize);
      this.#finishFile(entry);
    }
    this.#close();
  }

  /** Directories get their times last: making files in them changed them. */
  finish(): void {
    for (const [path, node] of this.#tree.nodes) {
      if (node.kind === 'directory' && node.mtime >= 0) setTimes(this.#at(path), node.mtime, node.mtimeNs);
    }
  }

  /** After an error: releases the open file. The folder is the caller's to remove. */
  #close(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
    this.#entry = undefined;
  }

  abort(): void {
    this.#close();
  }

  #at(path: string): string | Buffer {
    return path === '' ? this.#root : pathOf(`${this.#root}/${path}`);
  }

  #make(entry: TarEntry, path: string): void {
    if (entry.type === 'directory') {
      this.#makeDirectory(entry, path);
      return;
    }
    if (path === '') throw invalidParameter('the root of a layer must be a directory');
    if (this.#tree.nodes.has(path) || this.#whiteouts.has(path)) this.#replace(path);
    try {
      this.#makeNode(entry, path);
    } catch (error) {
      if (!hasCode(error, 'EEXIST')) throw error;
      this.#replace(path);
      this.#makeNode(entry, path);
    }
  }

  #makeNode(entry: TarEntry, path: string): void {
    const at = this.#at(path);
    switch (entry.type) {
      case 'file':
        this.#fd = openSync(at, 'wx', entry.mode & 0o777);
        this.#entry = entry;
        this.#path = path;
        this.#position = 0;
        this.#piece = 0;
        return;
      case 'link':
        linkSync(this.#at(this.#tree.locate(entry.linkName).path), at);
        return;
      case 'symlink':
        symlinkSync(pathOf(entry.linkName), at);
        this.#tree.addSymlink(path, entry.linkName);
        break;
      case 'fifo':
        makeNode(at, S_IFIFO | entry.mode, 0n);
        break;
      default:
        makeNode(at, (entry.type === 'char' ? S_IFCHR : S_IFBLK) | entry.mode, makeDevice(entry.major, entry.minor));
    }
    if (entry.uid !== 0 || entry.gid !== 0) lchownSync(at, entry.uid, entry.gid);
    if (entry.type !== 'symlink' && this.#needsChmod(entry)) chmodSync(at, entry.mode);
    this.#setXattrs(entry, at);
    setTimes(at, entry.mtime, entry.mtimeNs);
  }

  #finishFile(entry: TarEntry): void {
    const fd = this.#fd;
    if (entry.uid !== 0 || entry.gid !== 0) fchownSync(fd, entry.uid, entry.gid);
    if (this.#needsChmod(entry)) fchmodSync(fd, entry.mode);
    if (entry.xattrs.size > 0) this.#setXattrs(entry, this.#at(this.#path));
    if (entry.mtimeNs === 0) futimesSync(fd, entry.mtime, entry.mtime);
    else setTimes(this.#at(this.#path), entry.mtime, entry.mtimeNs);
  }

  #needsChmod(entry: TarEntry): boolean {
    return (entry.mode & 0o7000) !== 0 || (entry.mode & this.#umask) !== 0;
  }

  #makeDirectory(entry: TarEntry, path: string): void {
    const at = this.#at(path);
    if (!this.#tree.directory(path)) {
      const hidden = this.#whiteouts.has(path);
      if (hidden || this.#tree.nodes.has(path)) this.#replace(path);
      try {
        mkdirSync(at, entry.mode);
      } catch (error) {
        if (!hasCode(error, 'EEXIST')) throw error;
        this.#replace(path);
        mkdirSync(at, entry.mode);
      }
      // The archive removed what stood here below and made it anew: nothing of the lower directory may show.
      if (hidden) this.#makeOpaque(path);
    }
    this.#tree.addDirectory(path, entry.mtime, entry.mtimeNs);
    lchownSync(at, entry.uid, entry.gid);
    chmodSync(at, entry.mode);
    this.#setXattrs(entry, at);
  }

  #makeImplied(path: string): void {
    if (this.#whiteouts.has(path)) {
      this.#replace(path);
      mkdirSync(this.#at(path), 0o755);
      this.#makeOpaque(path);
      return;
    }
    mkdirSync(this.#at(path), 0o755);
  }

  #makeOpaque(path: string): void {
    setXattr(this.#at(path), 'trusted.overlay.opaque', Buffer.from('y'));
  }

  #setXattrs(entry: TarEntry, at: string | Buffer): void {
    for (const [name, value] of entry.xattrs) {
      try {
        setXattr(at, name, value);
      } catch (error) {
        // As Docker: a filesystem or a kind of file without such attributes doesn't fail the layer.
        if (!['ENOTSUP', 'EOPNOTSUPP', 'EPERM'].some((code) => hasCode(error, code))) throw error;
      }
    }
  }

  #replace(path: string): void {
    this.lostContent = true;
    rmSync(this.#at(path), { recursive: true, force: true });
    this.#whiteouts.delete(path);
    this.#tree.forget(path);
  }

  #whiteout(parent: string, base: string): void {
    if (base === OPAQUE) {
      this.#makeOpaque(parent);
      return;
    }
    if (base.startsWith(AUFS_META)) return;
    const name = base.slice(WHITEOUT.length);
    if (name === '' || name === '.' || name === '..')
      throw invalidParameter(`invalid whiteout ${JSON.stringify(base)}`);
    const path = parent === '' ? name : `${parent}/${name}`;
    // A whiteout speaks of the layers below: what this layer itself has under the name stays, and hides all below it.
    if (this.#tree.directory(path)) {
      this.#makeOpaque(path);
      return;
    }
    try {
      makeNode(this.#at(path), S_IFCHR, 0n);
      this.#whiteouts.add(path);
    } catch (error) {
      if (!hasCode(error, 'EEXIST')) throw describe(error, path);
    }
  }

  #write(chunk: Buffer, position: number): void {
    for (let at = 0; at < chunk.length; ) {
      at += writeSync(this.#fd, chunk, at, chunk.length - at, position + at);
    }
  }

  /** `#position` counts packed bytes inside the current piece. */
  #writeSparse(chunk: Buffer, pieces: readonly SparsePiece[]): void {
    for (let at = 0; at < chunk.length; ) {
      const piece = pieces[this.#piece];
      if (!piece) return;
      const take = Math.min(piece.length - this.#position, chunk.length - at);
      this.#write(chunk.subarray(at, at + take), piece.offset + this.#position);
      at += take;
      this.#position += take;
      if (this.#position === piece.length) {
        this.#piece++;
        this.#position = 0;
      }
    }
  }

  #checkSpace(): void {
    this.#unchecked = 0;
    const { bavail, bsize, ffree, files } = statfsSync(this.#root);
    const inodesLow = files > 0 && ffree < this.#limits.reserveInodes;
    if (bavail * bsize < this.#limits.reserveBytes || inodesLow) {
      throw systemError(`write ${this.#root}: no space left on device`);
    }
  }
}

function describe(error: unknown, path: string): Error {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  if (code === 'ENOSPC') return systemError(`write /${path}: no space left on device`, error);
  if (code === undefined) return error instanceof Error ? error : systemError(messageOf(error));
  return systemError(`failed to unpack /${path}: ${messageOf(error)}`, error);
}
