import { invalidParameter } from '../../errors.ts';

export const BLOCK = 512;

export type EntryType = 'file' | 'link' | 'symlink' | 'char' | 'block' | 'directory' | 'fifo';

/** A piece of data of a sparse file: `length` bytes at `offset` of the real file; all else is a hole. */
export interface SparsePiece {
  readonly offset: number;
  readonly length: number;
}

/**
 * One entry of an archive. Names are *byte strings*: each character is one byte (latin1), whatever encoding the archive
 * used, so that names which are not UTF-8 survive. See `pathOf`.
 */
export interface TarEntry {
  name: string;
  type: EntryType;
  /** Permission bits with setuid, setgid and sticky. */
  mode: number;
  uid: number;
  gid: number;
  /** Bytes of data that follow in the archive; for sparse files the packed size. */
  size: number;
  /** Seconds since the epoch, may be negative; and nanoseconds. */
  mtime: number;
  mtimeNs: number;
  linkName: string;
  major: number;
  minor: number;
  xattrs: Map<string, Buffer>;
  sparse?: { readonly realSize: number; readonly pieces: readonly SparsePiece[] };
}

/** What fs calls want for a byte string: itself when ASCII, else the bytes. */
export function pathOf(bytes: string): string | Buffer {
  for (let index = 0; index < bytes.length; index++) {
    if (bytes.charCodeAt(index) > 127) return Buffer.from(bytes, 'latin1');
  }
  return bytes;
}

const TYPES: Record<string, EntryType> = {
  '0': 'file',
  '\0': 'file',
  '7': 'file',
  S: 'file',
  '1': 'link',
  '2': 'symlink',
  '3': 'char',
  '4': 'block',
  '5': 'directory',
  '6': 'fifo',
};

/** What a header block says before long names and extended records are applied. */
export interface RawHeader {
  readonly flag: string;
  readonly entry: TarEntry;
  readonly prefix: string;
}

/** Reads a header block (POSIX ustar, GNU and v7). Throws on a bad checksum or an unknown entry kind. */
export function readHeader(block: Buffer): RawHeader {
  let sum = 8 * 32;
  for (let index = 0; index < BLOCK; index++) {
    if (index < 148 || index >= 156) sum += block[index] as number;
  }
  if (readNumber(block, 148, 8) !== sum) throw invalidParameter('archive/tar: invalid tar header');
  const flag = String.fromCharCode(block[156] as number);
  const ustar = block.toString('latin1', 257, 262) === 'ustar';
  const gnu = ustar && block[262] === 0x20;
  const name = readText(block, 0, 100);
  const type = TYPES[flag] ?? 'file';
  const device = type === 'char' || type === 'block';
  return {
    flag,
    prefix: ustar && !gnu ? readText(block, 345, 155) : '',
    entry: {
      name,
      type: type === 'file' && name.endsWith('/') && flag !== 'S' ? 'directory' : type,
      mode: readNumber(block, 100, 8) & 0o7777,
      uid: readNumber(block, 108, 8),
      gid: readNumber(block, 116, 8),
      size: readNumber(block, 124, 12),
      mtime: readNumber(block, 136, 12),
      mtimeNs: 0,
      linkName: readText(block, 157, 100),
      major: device ? readNumber(block, 329, 8) : 0,
      minor: device ? readNumber(block, 337, 8) : 0,
      xattrs: NO_XATTRS,
    },
  };
}

const NO_XATTRS: Map<string, Buffer> = new Map();

export const isKnownType = (flag: string): boolean => flag in TYPES;

export function readText(block: Buffer, at: number, length: number): string {
  let end = at;
  while (end < at + length && block[end] !== 0) end++;
  return block.toString('latin1', at, end);
}

/** Octal, or GNU's base-256 when the first bit is set. */
export function readNumber(block: Buffer, at: number, length: number): number {
  const first = block[at] as number;
  if (first & 0x80) return readBase256(block, at, length);
  let value = 0;
  let index = at;
  while (index < at + length && block[index] === 32) index++;
  for (; index < at + length; index++) {
    const digit = block[index] as number;
    if (digit === 0 || digit === 32) break;
    if (digit < 48 || digit > 55) throw invalidParameter('archive/tar: invalid tar header');
    value = value * 8 + (digit - 48);
  }
  return value;
}

function readBase256(block: Buffer, at: number, length: number): number {
  let value = BigInt((block[at] as number) & 0x7f);
  for (let index = 1; index < length; index++) value = (value << 8n) | BigInt(block[at + index] as number);
  const number = Number(BigInt.asIntN(length * 8 - 1, value));
  if (!Number.isSafeInteger(number)) throw invalidParameter('archive/tar: invalid tar header');
  return number;
}
