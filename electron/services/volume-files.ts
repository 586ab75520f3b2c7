import { isUtf8 } from 'node:buffer';
import { basename, dirname } from 'node:path/posix';
import type { Readable } from 'node:stream';
import { extract, type Header, pack } from 'tar-stream';
import type { VolumeEntry, VolumeFile, VolumeFolder } from '../contract/volumes.ts';
import { listing } from './containers/files.ts';
import { ServiceError } from './errors.ts';
import type { VolumeHelper } from './volume-helper.ts';

/** The archive of a folder holds all below it; a listing reads this much of it and says when that was not all. */
const MOST_BYTES = 512 * 1024 * 1024;
const MOST_ENTRIES = 20_000;
const LONGEST_TEXT = 1024 * 1024;

/** What lies directly in a folder of the volume. */
export async function readFolder(helper: VolumeHelper, path: string): Promise<VolumeFolder> {
  const clean = path.split('/').filter(Boolean).join('/');
  const entries = new Map<string, VolumeEntry>();
  const archive = await helper.list(clean);
  const listed = await listing(archive);
  if (listed) {
    const named = listed.map(({ linkTarget: target, ...entry }) => ({ ...entry, target }));
    return { path: clean, entries: sorted(named), partial: false };
  }
  const reader = extract();
  archive.on('error', (error) => reader.destroy(error));
  archive.pipe(reader);
  let bytes = 0;
  let seen = 0;
  let partial = false;
  for await (const entry of reader) {
    // The first part is the folder's own name, or a dot.
    const [, name, ...below] = entry.header.name.split('/').filter(Boolean);
    if (name && below.length === 0) entries.set(name, described(name, entry.header));
    entry.resume();
    bytes += entry.header.size ?? 0;
    partial = ++seen > MOST_ENTRIES || bytes > MOST_BYTES;
    if (partial) break;
  }
  archive.destroy();
  return { path: clean, entries: sorted([...entries.values()]), partial };
}

function sorted(entries: VolumeEntry[]): VolumeEntry[] {
  const rank = (entry: VolumeEntry) => (entry.kind === 'folder' ? 0 : 1);
  return entries.sort((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name));
}

export async function readFile(helper: VolumeHelper, path: string): Promise<VolumeFile> {
  const archive = await helper.read(path);
  const reader = extract();
  archive.on('error', (error) => reader.destroy(error));
  archive.pipe(reader);
  try {
    for await (const entry of reader) {
      const { size = 0, type } = entry.header;
      if (type !== 'file') throw new ServiceError('invalid', `${path} is not a file.`);
      if (size > LONGEST_TEXT) return { path, sizeBytes: size, text: undefined };
      const parts: Buffer[] = [];
      for await (const part of entry) parts.push(part as Buffer);
      const data = Buffer.concat(parts);
      const isText = isUtf8(data) && !data.includes(0);
      return { path, sizeBytes: size, text: isText ? data.toString('utf8') : undefined };
    }
  } finally {
    archive.destroy();
  }
  throw new ServiceError('not-found', `${path} does not exist any more.`);
}

/** Owner and mode of a file that is there stay. */
export async function writeFile(helper: VolumeHelper, path: string, text: string): Promise<void> {
  const before = await headerOf(helper, path);
  const tar = pack();
  tar.entry({ name: basename(path), mode: before?.mode ?? 0o644, uid: before?.uid ?? 0, gid: before?.gid ?? 0 }, text);
  tar.finalize();
  const folder = dirname(path);
  await helper.write(folder === '.' ? '' : folder, tar as unknown as Readable);
}

async function headerOf(helper: VolumeHelper, path: string): Promise<Header | undefined> {
  const archive = await helper.read(path).catch((error: { statusCode?: number }) => {
    if (error.statusCode === 404) return undefined;
    throw error;
  });
  if (!archive) return undefined;
  const reader = extract();
  archive.on('error', (error) => reader.destroy(error));
  archive.pipe(reader);
  try {
    for await (const entry of reader) return entry.header;
  } finally {
    archive.destroy();
  }
  return undefined;
}

function described(name: string, header: Header): VolumeEntry {
  const kinds: Record<string, VolumeEntry['kind']> = {
    directory: 'folder',
    file: 'file',
    link: 'file',
    symlink: 'link',
  };
  return {
    name,
    kind: kinds[header.type ?? 'file'] ?? 'other',
    sizeBytes: header.size ?? 0,
    modifiedAt: header.mtime?.getTime() ?? 0,
    mode: header.mode ?? 0,
    target: header.linkname ?? '',
  };
}
