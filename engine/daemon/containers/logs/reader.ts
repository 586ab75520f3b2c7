import { createReadStream, existsSync, watch } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { createGunzip } from 'node:zlib';

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
/** A look at the file even when no notice of a change came. */
const RECHECK_MS = 1000;

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
 * Reads a json-file log with its rotated predecessors and, when following, what comes after.
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
  const files = await rotated(path);
  let skip = query.tail === undefined ? 0 : Math.max(0, (await countLines([...files, path])) - query.tail);
  const drop = (lines: string[]): string[] => {
    if (skip === 0) return lines;
    const rest = lines.slice(skip);
    skip -= lines.length - rest.length;
    return rest;
  };
  for (const file of files) {
    for await (const lines of linesOf(file)) {
      if (signal.aborted) return;
      yield encode(drop(lines));
    }
  }
  for await (const lines of liveLines(path, query.follow, ended, signal)) {
    const chunk = encode(drop(lines));
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

async function countLines(files: readonly string[]): Promise<number> {
  let count = 0;
  for (const file of files) {
    for await (const chunk of chunksOf(file)) {
      for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) count++;
    }
  }
  return count;
}

async function* chunksOf(file: string): AsyncGenerator<Buffer> {
  if (!existsSync(file)) return;
  const raw = createReadStream(file, { highWaterMark: CHUNK });
  yield* file.endsWith('.gz') ? raw.pipe(createGunzip()) : raw;
}

async function* linesOf(file: string): AsyncGenerator<string[]> {
  let rest = '';
  for await (const chunk of chunksOf(file)) {
    const lines = (rest + chunk.toString('utf8')).split('\n');
    rest = lines.pop() ?? '';
    yield lines;
  }
}

/** Lines of the file being written; survives its rotation. */
async function* liveLines(
  path: string,
  follow: boolean,
  ended: AbortSignal,
  signal: AbortSignal,
): AsyncGenerator<string[]> {
  let handle: FileHandle | undefined;
  let position = 0;
  let rest: Buffer = Buffer.alloc(0);
  const buffer = Buffer.alloc(CHUNK);
  try {
    while (!signal.aborted) {
      handle ??= await open(path).catch(() => undefined);
      const finalRound = ended.aborted;
      const bytesRead = handle ? (await handle.read(buffer, 0, CHUNK, position)).bytesRead : 0;
      if (bytesRead > 0) {
        position += bytesRead;
        const data =
          rest.length > 0 ? Buffer.concat([rest, buffer.subarray(0, bytesRead)]) : buffer.subarray(0, bytesRead);
        const end = data.lastIndexOf(10);
        rest = Buffer.from(data.subarray(end + 1));
        if (end >= 0) yield data.toString('utf8', 0, end).split('\n');
        continue;
      }
      if (handle && (await wasRotated(handle, path))) {
        await handle.close();
        handle = undefined;
        position = 0;
        rest = Buffer.alloc(0);
        continue;
      }
      if (!follow || finalRound) return;
      await change(path, ended, signal);
    }
  } finally {
    await handle?.close();
  }
}

async function wasRotated(handle: FileHandle, path: string): Promise<boolean> {
  const [mine, current] = await Promise.all([handle.stat(), stat(path).catch(() => undefined)]);
  return current !== undefined && current.ino !== mine.ino;
}

/** Waits until the file may have more, the container has ended, or the reader has gone. */
function change(path: string, ended: AbortSignal, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      watcher?.close();
      clearTimeout(timer);
      ended.removeEventListener('abort', done);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, RECHECK_MS);
    let watcher: ReturnType<typeof watch> | undefined;
    try {
      watcher = watch(path, { persistent: false }, done);
      watcher.on('error', done);
    } catch {
      // Not there yet.
    }
    ended.addEventListener('abort', done);
    signal.addEventListener('abort', done);
    if (ended.aborted || signal.aborted) done();
  });
}

function parse(line: string): LogRecord | undefined {
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
    .map(([key, value]) => `${encodeURIComponent(key)}=${encodeURIComponent(value)}`)
    .join(',');

function frame(stream: LogRecord['stream'], text: string): Buffer {
  const length = Buffer.byteLength(text);
  const out = Buffer.allocUnsafe(8 + length);
  out.writeUInt32BE(STREAM_NUMBER[stream] * 0x1000000, 0);
  out.writeUInt32BE(length, 4);
  out.write(text, 8);
  return out;
}
