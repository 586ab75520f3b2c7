import { existsSync } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';

import { FileWatch } from './file-watch.ts';
import { chunksOf, type OpenFile, split, type TailPlace, tailPlace } from './log-file.ts';

/** What GET /containers/{id}/logs asks for. */
export interface LogQuery {
  readonly stdout: boolean;
  readonly stderr: boolean;
  /** Inclusive bounds as log lines are stamped (RFC 3339, nine decimals); they compare as text. */
  readonly since?: string;
  readonly until?: string;
  /** Number of lines from the end; undefined is all. */
  readonly tail?: number;
  readonly timestamps: boolean;
  readonly details: boolean;
  readonly follow: boolean;
}

interface LogRecord {
  readonly log: string;
  readonly stream: 'stdout' | 'stderr';
  readonly time: string;
  readonly attrs?: Readonly<Record<string, string>>;
}

const CHUNK = 256 * 1024;
const STREAM_NUMBER = { stdout: 1, stderr: 2 } as const;

/** A moment as log lines are stamped. @param seconds since the epoch, with up to nine decimals, or RFC 3339 text */
export function stamp(text: string): string | undefined {
  const unix = /^(-?\d+)(?:\.(\d{1,9}))?$/.exec(text);
  if (unix) {
    const date = new Date(Number(unix[1]) * 1000).toISOString().slice(0, 19);
    return `${date}.${(unix[2] ?? '').padEnd(9, '0')}Z`;
  }
  const ms = Date.parse(text);
  if (Number.isNaN(ms)) return undefined;
  return `${new Date(ms).toISOString().slice(0, -1)}000000Z`;
}

/**
 * Reads a log (json-file or local) with its rotated predecessors and, when following, what comes after.
 * @param framed stdcopy frames; a terminal's log is sent raw
 * @param ended aborts when the container has ended and its log is complete: following stops at the end then
 */
export async function* readLogs(
  path: string,
  query: LogQuery,
  framed: boolean,
  ended: AbortSignal,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const encode = (lines: readonly string[]): Buffer => encodeLines(lines, query, framed);
  // The file being written first: whatever is rotated from now on comes after it.
  const live = await open(path).catch(() => undefined);
  const files = live ? await filesBefore(live, path) : await openRotated(path);
  // Without follow what is there now is all: a log that grows faster than it is read would have no end.
  const now = live ? [{ handle: live, ino: 0, compressed: false, size: (await live.stat()).size }] : [];
  let begin: TailPlace = { file: 0, offset: 0, skip: 0 };
  let through = false;
  try {
    const all = [...files, ...now];
    if (query.tail !== undefined) begin = await tailPlace(all, query.tail);
    for (const [index, file] of (query.follow ? files : all).entries()) {
      if (index < begin.file) continue;
      let skip = index === begin.file ? begin.skip : 0;
      for await (const lines of split(chunksOf(file, index === begin.file ? begin.offset : 0))) {
        if (signal.aborted) return;
        const chunk = encode(lines.slice(skip));
        skip = Math.max(0, skip - lines.length);
        if (chunk.length > 0) yield chunk;
        if (query.until && pastUntil(lines, query.until)) return;
      }
    }
    through = true;
  } finally {
    await closeAll(files);
    if (!query.follow || !through) await live?.close();
  }
  if (!query.follow) return;
  const offset = begin.file === files.length ? begin.offset : 0;
  for await (const lines of followedLines(path, live, offset, ended, signal)) {
    const chunk = encode(lines);
    if (chunk.length > 0) yield chunk;
    if (query.until && pastUntil(lines, query.until)) return;
  }
}

/** Rotated files, oldest first. */
async function rotated(path: string): Promise<string[]> {
  const found: string[] = [];
  for (let n = 1; ; n++) {
    if (existsSync(`${path}.${n}`)) found.unshift(`${path}.${n}`);
    else if (existsSync(`${path}.${n}.gz`)) found.unshift(`${path}.${n}.gz`);
    else return found;
  }
}

async function closeAll(files: readonly OpenFile[]): Promise<void> {
  for (const { handle } of files) await handle.close();
}

/** Lines of the file being written, from an offset on; survives its rotation. */
async function* followedLines(
  path: string,
  opened: FileHandle | undefined,
  offset: number,
  ended: AbortSignal,
  signal: AbortSignal,
): AsyncGenerator<string[]> {
  let handle = opened;
  // Begun before the first read, so that no change between a read and the wait is missed.
  const watch = new FileWatch();
  let position = offset;
  let rest: Buffer = Buffer.alloc(0);
  let rotating = false;
  /** Time of the last record given out. */
  let last = '';
  const buffer = Buffer.alloc(CHUNK);
  try {
    while (!signal.aborted) {
      handle ??= await open(path).catch(() => undefined);
      watch.look(handle?.fd);
      const finalRound = ended.aborted;
      const bytesRead = handle ? (await handle.read(buffer, 0, CHUNK, position)).bytesRead : 0;
      if (bytesRead > 0) {
        position += bytesRead;
        const data =
          rest.length > 0 ? Buffer.concat([rest, buffer.subarray(0, bytesRead)]) : buffer.subarray(0, bytesRead);
        const end = data.lastIndexOf(10);
        rest = Buffer.from(data.subarray(end + 1));
        if (end < 0) continue;
        const lines = data.toString('utf8', 0, end).split('\n');
        last = parse(lines.at(-1) ?? '')?.time ?? last;
        yield lines;
        continue;
      }
      if (handle && (rotating || (await wasRotated(handle, path)))) {
        // Once more to the end: something may have been written between the last read and the rotation.
        if (!rotating) {
          rotating = true;
          continue;
        }
        // The next file first: whatever is rotated from now on comes after it.
        const next = await open(path).catch(() => undefined);
        if (!next) continue;
        const before = handle;
        handle = next;
        position = 0;
        rest = Buffer.alloc(0);
        rotating = false;
        for await (const lines of between(before, next, path)) {
          const fresh = lines.filter((line) => (parse(line)?.time ?? '') > last);
          last = parse(fresh.at(-1) ?? '')?.time ?? last;
          if (fresh.length > 0) yield fresh;
        }
        continue;
      }
      if (finalRound) return;
      await watch.change([ended, signal]);
    }
  } finally {
    watch.close();
    await handle?.close();
  }
}

async function wasRotated(handle: FileHandle, path: string): Promise<boolean> {
  const [mine, current] = await Promise.all([handle.stat(), stat(path).catch(() => undefined)]);
  return current !== undefined && current.ino !== mine.ino;
}

/**
 * Lines of the files that were begun and rotated away between two others, when a reader was slower than the log. What may
 * have been read already is in them too: a compressed file can't be told from the one that was read, but by its times.
 */
async function* between(before: FileHandle, next: FileHandle, path: string): AsyncGenerator<string[]> {
  // Held while the others are looked for, so that its number is no other file's.
  const [from, to] = [(await before.stat()).ino, (await next.stat()).ino];
  const files = await openRotated(path);
  await before.close();
  try {
    const first = files.findIndex((file) => file.ino === from) + 1;
    const end = files.findIndex((file) => file.ino === to);
    const missed = files.slice(first, end < 0 ? files.length : end);
    for (const file of missed) yield* split(chunksOf(file));
  } finally {
    await closeAll(files);
  }
}

/** The rotated files that are older than an open one. */
async function filesBefore(live: FileHandle, path: string): Promise<OpenFile[]> {
  const { ino } = await live.stat();
  const files = await openRotated(path);
  const at = files.findIndex((file) => file.ino === ino);
  if (at < 0) return files;
  await closeAll(files.slice(at));
  return files.slice(0, at);
}

/** Every rotated file, oldest first, all opened between two rotations, and none missed that was being compressed. */
async function openRotated(path: string): Promise<OpenFile[]> {
  for (;;) {
    const newest = await inodeOf(path);
    const found: OpenFile[] = [];
    let gone = false;
    for (const name of await rotated(path)) {
      const handle = await open(name).catch(() => undefined);
      if (handle) {
        const { ino, size } = await handle.stat();
        found.push({ handle, ino, size, compressed: name.endsWith('.gz') });
      } else gone = true;
    }
    if (!gone && (await inodeOf(path)) === newest) return found;
    await closeAll(found);
  }
}

const inodeOf = (path: string): Promise<number | undefined> =>
  stat(path).then(
    ({ ino }) => ino,
    () => undefined,
  );

const LOCAL_LINE = /^([oOeE])(\S+) (.*)$/s;

/** A record of either driver (engine/shim/log-format.ts). */
function parse(line: string): LogRecord | undefined {
  if (!line.startsWith('{')) {
    const [, flag = '', time = '', text = ''] = LOCAL_LINE.exec(line) ?? [];
    if (!flag) return undefined;
    const whole = flag === flag.toLowerCase();
    return { log: whole ? `${text}\n` : text, stream: flag.toLowerCase() === 'o' ? 'stdout' : 'stderr', time };
  }
  try {
    return JSON.parse(line) as LogRecord;
  } catch {
    // A line cut by a crash: the rest of the log is still good.
    return undefined;
  }
}

function pastUntil(lines: readonly string[], until: string): boolean {
  const last = parse(lines.at(-1) ?? '');
  return last !== undefined && last.time > until;
}

function encodeLines(lines: readonly string[], query: LogQuery, framed: boolean): Buffer {
  const parts: Buffer[] = [];
  let plain = '';
  for (const line of lines) {
    const record = parse(line);
    if (!record || !query[record.stream]) continue;
    if ((query.since && record.time < query.since) || (query.until && record.time > query.until)) continue;
    let text = record.log;
    if (query.details) text = `${detailsOf(record)} ${text}`;
    if (query.timestamps) text = `${record.time} ${text}`;
    if (framed) parts.push(frame(record.stream, text));
    else plain += text;
  }
  return framed ? Buffer.concat(parts) : Buffer.from(plain);
}

const detailsOf = (record: LogRecord): string =>
  Object.entries(record.attrs ?? {})
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${encodeURIComponent(key)}=${encodeURIComponent(value)}`)
    .join(',');

/** One stdcopy frame. */
export function frame(stream: LogRecord['stream'], text: string): Buffer {
  const length = Buffer.byteLength(text);
  const out = Buffer.allocUnsafe(8 + length);
  out.writeUInt32BE(STREAM_NUMBER[stream] * 0x1000000, 0);
  out.writeUInt32BE(length, 4);
  out.write(text, 8);
  return out;
}
