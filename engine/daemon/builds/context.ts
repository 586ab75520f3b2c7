import { createHash } from 'node:crypto';
import { closeSync, createReadStream, openSync, readSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';

import { cancelled, invalidParameter, systemError } from '../../errors.ts';
import type { TarEntry } from '../../snapshots/tar/header.ts';
import { TarReader } from '../../snapshots/tar/read.ts';
import { cleanName } from '../../snapshots/tree.ts';
import { decompressed } from '../images/archive.ts';
import { type SourceNode, type SourceTree, walk } from './source-tree.ts';

const WRITE_SIZE = 1024 * 1024;
const SMALL = 256 * 1024;

interface ContextNode extends SourceNode {
  /** Where the bytes of a regular file begin in the spool. */
  readonly offset: number;
  readonly packed: number;
  readonly digest: string;
}

export const ROOT: ContextNode = {
  type: 'directory',
  mode: 0o755,
  uid: 0,
  gid: 0,
  size: 0,
  mtime: 0,
  mtimeNs: 0,
  linkName: '',
  major: 0,
  minor: 0,
  xattrs: new Map(),
  offset: 0,
  packed: 0,
  digest: '',
};

/**
 * A build context. It is never unpacked: the bytes of its files go one after the other into one spool file, and what the
 * tar said of them is kept in memory, with a digest of each. No name in it can mean a file of the machine.
 */
export class BuildContext implements SourceTree {
  readonly #nodes = new Map<string, ContextNode>([['', ROOT]]);
  readonly #names = new Map<string, Set<string>>([['', new Set()]]);
  readonly #spool: string;
  size = 0;

  private constructor(spool: string) {
    this.#spool = spool;
  }

  /** @param options.limit bytes of the unpacked context beyond which it is refused */
  static async receive(
    source: AsyncIterable<Buffer>,
    options: { readonly spool: string; readonly limit: number; readonly signal: AbortSignal },
  ): Promise<BuildContext> {
    const context = new BuildContext(options.spool);
    const file = await open(options.spool, 'wx', 0o600);
    try {
      await context.#read(decompressed(source, options.signal), file, options);
    } finally {
      await file.close();
    }
    return context;
  }

  /** A context of one file. */
  static async ofFile(
    name: string,
    content: AsyncIterable<Buffer> | Iterable<Buffer>,
    options: { readonly spool: string; readonly limit: number; readonly mtime?: number; readonly mode?: number },
  ): Promise<BuildContext> {
    const context = new BuildContext(options.spool);
    const file = await open(options.spool, 'wx', 0o600);
    const hash = createHash('sha256');
    try {
      for await (const chunk of content) {
        hash.update(chunk);
        context.size += chunk.length;
        if (context.size > options.limit) throw tooLarge(options.limit);
        await file.write(chunk);
      }
    } finally {
      await file.close();
    }
    const { size } = context;
    const { mode = 0o600, mtime = 0 } = options;
    context.#add(name, { ...ROOT, type: 'file', mode, mtime, size, packed: size, digest: hash.digest('hex') });
    return context;
  }

  /**
   * A copy of a folder of a tree, which is needed no longer afterwards.
   * @param options.mtime the time of everything in it, seconds
   * @param options.skip names that are left out wherever they are
   */
  static async ofTree(
    tree: SourceTree,
    folder: string,
    options: {
      readonly spool: string;
      readonly limit: number;
      readonly mtime: number;
      readonly skip: string | undefined;
    },
  ): Promise<BuildContext> {
    const context = new BuildContext(options.spool);
    const file = await open(options.spool, 'wx', 0o600);
    try {
      for (const { path, node } of walk(tree, folder)) {
        const name = folder === '' ? path : path.slice(folder.length + 1);
        if (options.skip !== undefined && name.split('/').includes(options.skip)) continue;
        const offset = context.size;
        const hash = createHash('sha256');
        for await (const chunk of node.type === 'file' ? tree.read(path) : []) {
          hash.update(chunk);
          context.size += chunk.length;
          if (context.size > options.limit) throw tooLarge(options.limit);
          await file.write(chunk);
        }
        const packed = context.size - offset;
        const times = { mtime: options.mtime, mtimeNs: 0 };
        context.#add(name, { ...node, ...times, size: packed, offset, packed, digest: hash.digest('hex') });
      }
    } finally {
      await file.close();
    }
    return context;
  }

  async #read(
    source: AsyncIterable<Buffer>,
    file: FileHandle,
    { limit, signal }: { readonly limit: number; readonly signal: AbortSignal },
  ): Promise<void> {
    const reader = new TarReader();
    let pending: Buffer[] = [];
    let pendingSize = 0;
    let current: { entry: TarEntry; offset: number; hash: ReturnType<typeof createHash> } | undefined;
    let empty = true;
    const flush = async (): Promise<void> => {
      if (pendingSize > 0) await file.write(pending.length === 1 ? (pending[0] as Buffer) : Buffer.concat(pending));
      pending = [];
      pendingSize = 0;
    };
    for await (const chunk of source) {
      if (signal.aborted) throw cancelled();
      empty = false;
      for (const event of reader.push(chunk)) {
        if (event.kind === 'entry') current = { entry: event.entry, offset: this.size, hash: createHash('sha256') };
        else if (event.kind === 'data') {
          current?.hash.update(event.data);
          this.size += event.data.length;
          if (this.size > limit) throw tooLarge(limit);
          pending.push(Buffer.from(event.data));
          pendingSize += event.data.length;
        } else if (current) {
          this.#enter(current.entry, current.offset, current.hash.digest('hex'));
          current = undefined;
        }
      }
      if (pendingSize >= WRITE_SIZE) await flush();
    }
    if (!empty) reader.finish();
    await flush();
  }

  #enter(entry: TarEntry, offset: number, digest: string): void {
    const path = cleanName(entry.name.replace(/^\/+/, ''));
    if (entry.type === 'link') {
      const target = this.#nodes.get(cleanName(entry.linkName.replace(/^\/+/, '')));
      if (!target) {
        const [name, linked] = [entry.name, entry.linkName].map((text) => JSON.stringify(text));
        throw invalidParameter(`invalid hardlink ${name} -> ${linked}`);
      }
      this.#add(path, target);
      return;
    }
    const { name: _name, size: packed, ...rest } = entry;
    this.#add(path, { ...rest, size: entry.sparse?.realSize ?? packed, packed, offset, digest });
  }

  #add(path: string, node: ContextNode): void {
    if (path === '') return;
    const before = this.#nodes.get(path);
    if (before?.type === 'directory' && node.type !== 'directory') this.#forget(path);
    this.#parent(path).add(path.slice(path.lastIndexOf('/') + 1));
    this.#nodes.set(path, node);
    if (node.type === 'directory' && !this.#names.has(path)) this.#names.set(path, new Set());
  }

  /** Names of the directory a path lies in; directories that the tar only implies are made. */
  #parent(path: string): Set<string> {
    const slash = path.lastIndexOf('/');
    const parent = slash < 0 ? '' : path.slice(0, slash);
    if (this.#nodes.get(parent)?.type !== 'directory') this.#add(parent, ROOT);
    return this.#names.get(parent) as Set<string>;
  }

  #forget(path: string): void {
    for (const name of this.#names.get(path) ?? []) this.#forget(`${path}/${name}`);
    this.#names.delete(path);
    this.#nodes.delete(path);
  }

  /** Takes away what a .dockerignore says: for contexts that no client has filtered. */
  exclude(isIgnored: (path: string) => boolean): void {
    const visit = (directory: string): void => {
      const names = this.#names.get(directory) ?? new Set();
      for (const name of [...names]) {
        const path = directory === '' ? name : `${directory}/${name}`;
        const isDirectory = this.#nodes.get(path)?.type === 'directory';
        if (isDirectory) visit(path);
        if (!isIgnored(path) || (isDirectory && (this.#names.get(path)?.size ?? 0) > 0)) continue;
        this.#forget(path);
        names.delete(name);
      }
    };
    visit('');
  }

  lookup(path: string): SourceNode | undefined {
    return this.#nodes.get(path);
  }

  names(path: string): string[] {
    return [...(this.#names.get(path) ?? [])].sort();
  }

  async *read(path: string): AsyncGenerator<Buffer> {
    const node = this.#nodes.get(path);
    if (node?.type !== 'file' || node.packed === 0) return;
    const { offset, packed } = node;
    if (packed <= SMALL) {
      yield this.#readSmall(offset, packed);
      return;
    }
    yield* createReadStream(this.#spool, { start: offset, end: offset + packed - 1, highWaterMark: WRITE_SIZE });
  }

  /** A stream for each of thousands of small files would cost more than everything else. */
  #readSmall(offset: number, size: number): Buffer {
    const buffer = Buffer.allocUnsafe(size);
    const fd = openSync(this.#spool, 'r');
    try {
      for (let at = 0; at < size; ) {
        const read = readSync(fd, buffer, at, size - at, offset + at);
        if (read === 0) throw systemError('unexpected end of the build context');
        at += read;
      }
      return buffer;
    } finally {
      closeSync(fd);
    }
  }

  async digest(path: string): Promise<string> {
    return this.#nodes.get(path)?.digest ?? '';
  }

  /** A whole small file, as text. */
  async text(path: string): Promise<string> {
    const pieces: Buffer[] = [];
    for await (const chunk of this.read(path)) pieces.push(chunk);
    return Buffer.concat(pieces).toString('utf8');
  }
}

const tooLarge = (limit: number) =>
  invalidParameter(`build context is larger than the ${limit} bytes that the engine's disk has room for`);
