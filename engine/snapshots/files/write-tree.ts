import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  ftruncateSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  rmSync,
  symlinkSync,
  writeSync,
} from 'node:fs';

import { hasCode, invalidParameter } from '../../errors.ts';
import { type FilesRoot, under } from '../../linux/files-root.ts';
import { makeDevice, makeNode, S_IFBLK, S_IFCHR, S_IFIFO, setTimes } from '../../linux/nodes.ts';
import { setXattr } from '../../linux/xattr.ts';
import { decompress, detectCompression } from '../compression.ts';
import type { SparsePiece, TarEntry } from '../tar/header.ts';
import { TarReader } from '../tar/read.ts';

export interface WriteOptions {
  /** Refuse to replace a directory by something else and the other way round. */
  readonly keepKinds?: boolean;
  /** Owner of everything written; absent: as the archive says. */
  readonly owner?: { readonly uid: number; readonly gid: number };
}

const text = (byteString: string): string => Buffer.from(byteString, 'latin1').toString('utf8');

/**
 * Writes an archive (plain, gzip or zstd) into a directory of a root: straight from the stream into the files. What is
 * there is replaced, except a directory by a directory, as Docker's Untar does; parents are followed through symlinks as
 * inside a chroot, so that nothing leads out.
 * @param path the directory, absolute inside the root
 */
export async function writeTree(
  root: FilesRoot,
  path: string,
  archive: AsyncIterable<Buffer>,
  options: WriteOptions = {},
): Promise<void> {
  const reader = new TarReader();
  const writer = new TreeWriter(root, path, options);
  try {
    for await (const chunk of plain(archive)) {
      for (const event of reader.push(chunk)) {
        if (event.kind === 'entry') writer.begin(event.entry);
        else if (event.kind === 'data') writer.data(event.data);
        else writer.end();
      }
    }
    reader.finish();
    writer.finish();
  } finally {
    writer.close();
  }
}

async function* plain(archive: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const source = archive[Symbol.asyncIterator]();
  const first = await source.next();
  if (first.done) return;
  const rest = async function* (): AsyncGenerator<Buffer> {
    yield first.value;
    for (let next = await source.next(); !next.done; next = await source.next()) yield next.value;
  };
  yield* decompress(rest(), detectCompression(first.value));
}

class TreeWriter {
  readonly #root: FilesRoot;
  readonly #path: string;
  readonly #options: WriteOptions;
  readonly #directories = new Map<string, { seconds: number; ns: number }>();
  #parentPath: string | undefined;
  #parent = -1;
  #fd = -1;
  #entry: TarEntry | undefined;
  #target = '';
  #position = 0;
  #piece = 0;

  constructor(root: FilesRoot, path: string, options: WriteOptions) {
    this.#root = root;
    this.#path = path === '/' ? '' : path;
    this.#options = options;
  }

  begin(entry: TarEntry): void {
    const clean = cleanName(text(entry.name), this.#path || '/');
    const slash = clean.lastIndexOf('/');
    const parent = this.#openParent(slash < 0 ? '' : clean.slice(0, slash));
    const target = under(parent, clean.slice(slash + 1) || '.');
    const there = lstatSync(target, { throwIfNoEntry: false });
    const directory = entry.type === 'directory';
    if (there) {
      if (this.#options.keepKinds && there.isDirectory() && !directory) {
        throw invalidParameter(
          `cannot overwrite directory ${JSON.stringify(`${this.#path}/${clean}`)} with non-directory ${JSON.stringify(this.#path || '/')}`,
        );
      }
      if (this.#options.keepKinds && !there.isDirectory() && directory) {
        throw invalidParameter(
          `cannot overwrite non-directory ${JSON.stringify(`${this.#path}/${clean}`)} with directory ${JSON.stringify(this.#path || '/')}`,
        );
      }
      if (clean === '') return;
      if (!(there.isDirectory() && directory)) rmSync(target, { recursive: true, force: true });
    }
    this.#make(entry, target, there?.isDirectory() ?? false);
    if (directory) this.#directories.set(clean, { seconds: entry.mtime, ns: entry.mtimeNs });
  }

  #make(entry: TarEntry, target: string, exists: boolean): void {
    const { uid, gid } = this.#options.owner ?? entry;
    switch (entry.type) {
      case 'file': {
        const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
        this.#fd = openSync(target, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
        this.#entry = entry;
        this.#target = target;
        this.#position = 0;
        this.#piece = 0;
        return;
      }
      case 'link': {
        const link = cleanName(text(entry.linkName), this.#path || '/');
        const slash = link.lastIndexOf('/');
        const other = this.#root.locate(`${this.#path}/${slash < 0 ? '' : link.slice(0, slash)}`);
        try {
          linkSync(under(other, link.slice(slash + 1)), target);
        } finally {
          closeSync(other);
        }
        return;
      }
      case 'symlink':
        symlinkSync(text(entry.linkName), target);
        break;
      case 'directory':
        if (!exists) mkdirSync(target, 0o700);
        break;
      case 'fifo':
        makeNode(target, S_IFIFO | entry.mode, 0n);
        break;
      default:
        makeNode(
          target,
          (entry.type === 'char' ? S_IFCHR : S_IFBLK) | entry.mode,
          makeDevice(entry.major, entry.minor),
        );
    }
    lchownSync(target, uid, gid);
    if (entry.type !== 'symlink') chmodSync(target, entry.mode);
    setAttributes(entry, target);
    if (entry.type !== 'directory') setTimes(target, entry.mtime, entry.mtimeNs);
  }

  data(chunk: Buffer): void {
    const { sparse } = this.#entry ?? {};
    if (this.#fd < 0) return;
    if (sparse) this.#writeSparse(chunk, sparse.pieces);
    else {
      this.#write(chunk, this.#position);
      this.#position += chunk.length;
    }
  }

  #write(chunk: Buffer, position: number): void {
    for (let at = 0; at < chunk.length; ) at += writeSync(this.#fd, chunk, at, chunk.length - at, position + at);
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
      if (this.#position < piece.length) continue;
      this.#piece++;
      this.#position = 0;
    }
  }

  end(): void {
    const entry = this.#entry;
    if (this.#fd < 0 || !entry) return;
    const { uid, gid } = this.#options.owner ?? entry;
    if (entry.sparse) ftruncateSync(this.#fd, entry.sparse.realSize);
    fchownSync(this.#fd, uid, gid);
    fchmodSync(this.#fd, entry.mode);
    setAttributes(entry, this.#target);
    setTimes(this.#target, entry.mtime, entry.mtimeNs);
    closeSync(this.#fd);
    this.#fd = -1;
    this.#entry = undefined;
  }

  /** Directories get their times last: making files in them changed them. */
  finish(): void {
    for (const [name, { seconds, ns }] of this.#directories) {
      if (name === '') continue;
      const slash = name.lastIndexOf('/');
      const parent = this.#openParent(slash < 0 ? '' : name.slice(0, slash));
      setTimes(under(parent, name.slice(slash + 1)), seconds, ns);
    }
  }

  close(): void {
    for (const fd of [this.#fd, this.#parent]) if (fd >= 0) closeSync(fd);
    this.#fd = this.#parent = -1;
  }

  #openParent(name: string): number {
    if (name === this.#parentPath) return this.#parent;
    const opened = this.#root.makeDirectory(`${this.#path}/${name}`);
    if (this.#parent >= 0) closeSync(this.#parent);
    this.#parent = opened;
    this.#parentPath = name;
    return opened;
  }
}

function setAttributes(entry: TarEntry, target: string): void {
  for (const [name, value] of entry.xattrs) {
    try {
      setXattr(target, name, value);
    } catch (error) {
      // As Docker: a filesystem or a kind of file without such attributes doesn't fail the copy.
      if (!hasCode(error, 'ENOTSUP', 'EOPNOTSUPP', 'EPERM')) throw error;
    }
  }
}

/** path.Clean of an entry's name, relative to where it goes; '' is that directory itself. */
function cleanName(name: string, destination: string): string {
  if (name.includes('\0')) throw invalidParameter('archive/tar: invalid tar header');
  const parts: string[] = [];
  for (const part of name.split('/')) {
    if (part === '' || part === '.') continue;
    if (part !== '..') parts.push(part);
    else if (parts.pop() === undefined) {
      throw invalidParameter(`${JSON.stringify(name)} is outside of ${JSON.stringify(destination)}`);
    }
  }
  return parts.join('/');
}
