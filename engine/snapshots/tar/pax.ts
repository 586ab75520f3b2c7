import { invalidParameter } from '../../errors.ts';

import type { SparsePiece, TarEntry } from './header.ts';

/** Extended header records (POSIX pax, GNU and SCHILY keys): key and value as byte strings, in order. */
export type Records = [key: string, value: string][];

const malformed = () => invalidParameter('archive/tar: invalid tar header');

export function parseRecords(body: Buffer): Records {
  const records: Records = [];
  let at = 0;
  while (at < body.length) {
    const space = body.indexOf(32, at);
    if (space < 0) throw malformed();
    const length = Number(body.toString('latin1', at, space));
    const end = at + length;
    if (!Number.isInteger(length) || length < 5 || end > body.length || body[end - 1] !== 10) throw malformed();
    const equals = body.indexOf(61, space);
    if (equals < 0 || equals >= end) throw malformed();
    records.push([body.toString('latin1', space + 1, equals), body.toString('latin1', equals + 1, end - 1)]);
    at = end;
  }
  return records;
}

/** What the records say of sparseness (GNU formats 0.0, 0.1 and 1.0). */
export interface SparseRecords {
  /** 1.0 keeps its map at the start of the data. */
  mapInData: boolean;
  realSize: number;
  pieces: SparsePiece[];
}

/** Applies records to an entry; later ones win. Returns the sparse description when there is one. */
export function applyRecords(entry: TarEntry, records: Records): SparseRecords | undefined {
  const sparse: SparseRecords = { mapInData: false, realSize: -1, pieces: [] };
  let isSparse = false;
  let offset = 0;
  let realName: string | undefined;
  for (const [key, value] of records) {
    if (key.startsWith('SCHILY.xattr.')) addXattr(entry, key.slice('SCHILY.xattr.'.length), value);
    else if (key.startsWith('GNU.sparse.')) {
      isSparse = true;
      if (key === 'GNU.sparse.major') sparse.mapInData = value === '1';
      else if (key === 'GNU.sparse.name') realName = value;
      else if (key === 'GNU.sparse.realsize' || key === 'GNU.sparse.size') sparse.realSize = count(value);
      else if (key === 'GNU.sparse.offset') offset = count(value);
      else if (key === 'GNU.sparse.numbytes') sparse.pieces.push({ offset, length: count(value) });
      else if (key === 'GNU.sparse.map') sparse.pieces = parseMap(value.split(',').map(count));
    } else applyPlain(entry, key, value);
  }
  if (realName !== undefined) entry.name = realName;
  return isSparse ? sparse : undefined;
}

function applyPlain(entry: TarEntry, key: string, value: string): void {
  switch (key) {
    case 'path':
      if (value) entry.name = value;
      break;
    case 'linkpath':
      if (value) entry.linkName = value;
      break;
    case 'size':
      if (value) entry.size = count(value);
      break;
    case 'uid':
      if (value) entry.uid = count(value);
      break;
    case 'gid':
      if (value) entry.gid = count(value);
      break;
    case 'mtime':
      if (value) setTime(entry, value);
      break;
  }
}

/** overlay's own attributes say where a layer's files come from: no archive may set them. */
function addXattr(entry: TarEntry, name: string, value: string): void {
  if (name.startsWith('trusted.overlay.')) return;
  if (entry.xattrs.size === 0) entry.xattrs = new Map();
  entry.xattrs.set(name, Buffer.from(value, 'latin1'));
}

function setTime(entry: TarEntry, value: string): void {
  const match = /^(-?)(\d+)(?:\.(\d*))?$/.exec(value);
  if (!match) throw malformed();
  const nanoseconds = Number((match[3] ?? '').padEnd(9, '0').slice(0, 9));
  const seconds = Number(match[2]);
  if (match[1] && nanoseconds > 0) {
    entry.mtime = -seconds - 1;
    entry.mtimeNs = 1_000_000_000 - nanoseconds;
  } else {
    entry.mtime = match[1] ? -seconds : seconds;
    entry.mtimeNs = nanoseconds;
  }
}

function count(value: string): number {
  const number = Number(value);
  if (!/^\d+$/.test(value) || !Number.isSafeInteger(number)) throw malformed();
  return number;
}

/** Pairs of offset and length. */
export function parseMap(numbers: readonly number[]): SparsePiece[] {
  if (numbers.length % 2 !== 0) throw malformed();
  const pieces: SparsePiece[] = [];
  for (let index = 0; index < numbers.length; index += 2) {
    pieces.push({ offset: numbers[index] as number, length: numbers[index + 1] as number });
  }
  return pieces;
}
