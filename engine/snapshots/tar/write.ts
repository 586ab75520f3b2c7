import { BLOCK, type EntryType } from './header.ts';

/** What is written of an entry; names are byte strings (see header.ts). */
export interface NewEntry {
  readonly name: string;
  readonly type: EntryType;
  readonly mode: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly size?: number;
  /** Whole seconds since the epoch. */
  readonly mtime?: number;
  readonly linkName?: string;
  readonly major?: number;
  readonly minor?: number;
  readonly xattrs?: ReadonlyMap<string, Buffer>;
}

const FLAGS: Record<EntryType, string> = {
  file: '0',
  link: '1',
  symlink: '2',
  char: '3',
  block: '4',
  directory: '5',
  fifo: '6',
};

/** Two zero blocks. */
export const TAR_END = Buffer.alloc(2 * BLOCK);

const PADDING = Buffer.alloc(BLOCK);

/** What follows `size` bytes of data up to the next whole block. */
export const tarPadding = (size: number): Buffer => PADDING.subarray(0, (BLOCK - (size % BLOCK)) % BLOCK);

/** Header of an entry: ustar, with a pax header before it where ustar can't say it. Deterministic. */
export function tarHeader(entry: NewEntry): Buffer {
  const name = entry.type === 'directory' && !entry.name.endsWith('/') ? `${entry.name}/` : entry.name;
  const records: [string, string][] = [];
  const split = splitName(name);
  if (!split) records.push(['path', name]);
  if ((entry.linkName ?? '').length > 100) records.push(['linkpath', entry.linkName as string]);
  const { uid = 0, gid = 0, size = 0, mtime = 0 } = entry;
  if (uid > 0o7777777) records.push(['uid', String(uid)]);
  if (gid > 0o7777777) records.push(['gid', String(gid)]);
  if (size > 0o77777777777) records.push(['size', String(size)]);
  if (mtime < 0 || mtime > 0o77777777777) records.push(['mtime', String(mtime)]);
  for (const [key, value] of [...(entry.xattrs ?? [])].sort(([a], [b]) => (a < b ? -1 : 1))) {
    records.push([`SCHILY.xattr.${key}`, value.toString('latin1')]);
  }
  const header = block(entry, split ?? { name: name.slice(0, 100), prefix: '' }, FLAGS[entry.type]);
  if (records.length === 0) return header;
  const body = Buffer.from(records.map(([key, value]) => record(key, value)).join(''), 'latin1');
  const base = name.replace(/\/+$/, '').split('/').at(-1) ?? '';
  const pax = block(
    { name: '', type: 'file', mode: 0o644, size: body.length },
    { name: `PaxHeaders.0/${base}`.slice(0, 100), prefix: '' },
    'x',
  );
  return Buffer.concat([pax, body, tarPadding(body.length), header]);
}

function splitName(name: string): { name: string; prefix: string } | undefined {
  if (name.length <= 100) return { name, prefix: '' };
  if (name.length > 256) return undefined;
  const slash = name.indexOf('/', name.length - 101);
  if (slash <= 0 || slash > 155 || slash === name.length - 1) return undefined;
  return { name: name.slice(slash + 1), prefix: name.slice(0, slash) };
}

/** A record's length counts its own digits. */
function record(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return `${length}${rest}`;
}

function block(entry: NewEntry, at: { name: string; prefix: string }, flag: string): Buffer {
  const out = Buffer.alloc(BLOCK);
  out.write(at.name, 0, 100, 'latin1');
  octal(out, entry.mode & 0o7777, 100, 8);
  octal(out, entry.uid ?? 0, 108, 8);
  octal(out, entry.gid ?? 0, 116, 8);
  octal(out, entry.size ?? 0, 124, 12);
  octal(out, Math.max(0, entry.mtime ?? 0), 136, 12);
  out.write('        ', 148, 8, 'latin1');
  out.write(flag, 156, 1, 'latin1');
  out.write((entry.linkName ?? '').slice(0, 100), 157, 100, 'latin1');
  out.write('ustar\x0000', 257, 8, 'latin1');
  octal(out, entry.major ?? 0, 329, 8);
  octal(out, entry.minor ?? 0, 337, 8);
  out.write(at.prefix, 345, 155, 'latin1');
  let sum = 0;
  for (const byte of out) sum += byte;
  out.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 8, 'latin1');
  return out;
}

/** Values that don't fit are in the pax header; the field then holds zero. */
function octal(out: Buffer, value: number, at: number, length: number): void {
  const digits = value.toString(8);
  out.write(
    digits.length < length ? digits.padStart(length - 1, '0') : '0'.repeat(length - 1),
    at,
    length - 1,
    'latin1',
  );
}
