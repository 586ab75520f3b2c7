import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { buffer } from 'node:stream/consumers';
import type Dockerode from 'dockerode';
import { extract, pack } from 'tar-stream';
import type { FileEntry } from '../../contract/containers.ts';
import { ServiceError } from '../errors.ts';
import { fileName } from './input.ts';

/** The engine's own answer for a directory; Docker's sends a tar of all that is below it, of which the first level is taken. */
export const LISTING_TYPE = 'application/vnd.skiff.directory+json';
const PART = 64 * 1024;
const MOST_ENTRIES = 20_000;

interface PathStat {
  name: string;
  size: number;
  mode: number;
  mtime: string;
  linkTarget: string;
}

export async function listFiles(
  docker: Dockerode,
  id: string,
  folder: string,
  abortSignal: AbortSignal,
): Promise<FileEntry[]> {
  // A trailing `/.` asks for what a symlink leads to.
  const path = `${folder.replace(/\/+$/, '')}/.`;
  const response = await new Promise<IncomingMessage>((done, fail) => {
    docker.modem.dial(
      {
        path: `/containers/${id}/archive?path=${encodeURIComponent(path)}&`,
        method: 'GET',
        headers: { Accept: LISTING_TYPE },
        isStream: true,
        abortSignal,
        statusCodes: { 200: true, 400: 'bad parameter', 404: 'no such container or path', 500: 'server error' },
      },
      (error, data) => (error ? fail(error) : done(data as IncomingMessage)),
    );
  });
  return (await listing(response)) ?? firstLevel(response);
}

/** Our engine's answer to a request that accepts LISTING_TYPE; undefined for another engine's, which is a tar. */
export async function listing(response: IncomingMessage): Promise<FileEntry[] | undefined> {
  if (response.headers['content-type'] !== LISTING_TYPE) return undefined;
  const found = JSON.parse((await buffer(response)).toString('utf8')) as PathStat[];
  return found.slice(0, MOST_ENTRIES).map(entryOfStat);
}

/** os.FileMode of Go: type in the high bits. */
function entryOfStat({ name, size, mode, mtime, linkTarget }: PathStat): FileEntry {
  const bit = (n: number) => Math.floor(mode / 2 ** n) % 2 === 1;
  const kind = bit(31) ? 'folder' : bit(27) ? 'link' : bit(26) || bit(25) || bit(24) ? 'other' : 'file';
  return { name, kind, sizeBytes: size, modifiedAt: Date.parse(mtime), mode: mode % 0o1000, linkTarget };
}

async function firstLevel(tar: IncomingMessage): Promise<FileEntry[]> {
  const found = new Map<string, FileEntry>();
  const entries = extract();
  tar.pipe(entries);
  for await (const entry of entries) {
    const { header } = entry;
    entry.resume();
    // Names begin with that of the folder itself, or with `./`.
    const name = header.name.replace(/\/$/, '').split('/').slice(1);
    const [only] = name;
    if (name.length !== 1 || !only) continue;
    const kinds: Record<string, FileEntry['kind']> = {
      directory: 'folder',
      symlink: 'link',
      file: 'file',
      link: 'file',
    };
    found.set(only, {
      name: only,
      kind: kinds[header.type ?? 'file'] ?? 'other',
      sizeBytes: header.size ?? 0,
      modifiedAt: header.mtime?.getTime() ?? 0,
      mode: (header.mode ?? 0) % 0o1000,
      linkTarget: header.linkname ?? '',
    });
    if (found.size >= MOST_ENTRIES) break;
  }
  tar.destroy();
  return [...found.values()];
}

/** The bytes of a file, or a folder as the tar that the engine sends. */
export async function* readFile(
  docker: Dockerode,
  id: string,
  path: string,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const tar = await docker.getContainer(id).getArchive({ path, abortSignal: signal } as { path: string });
  const source = tar as unknown as IncomingMessage;
  try {
    if (isFolder(source)) {
      yield* inParts(source);
      return;
    }
    const entries = extract();
    source.pipe(entries);
    source.on('error', (error) => entries.destroy(error));
    for await (const entry of entries) {
      yield* inParts(entry as AsyncIterable<Buffer>);
      break;
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    source.destroy();
  }
}

function isFolder(response: IncomingMessage): boolean {
  const header = response.headers['x-docker-container-path-stat'];
  if (typeof header !== 'string') return false;
  const { mode } = JSON.parse(Buffer.from(header, 'base64').toString('utf8')) as PathStat;
  return mode >= 2 ** 31;
}

async function* inParts(source: AsyncIterable<Buffer>): AsyncGenerator<Uint8Array> {
  for await (const data of source) {
    for (let at = 0; at < data.length; at += PART) yield new Uint8Array(data.subarray(at, at + PART));
  }
}

export async function makeFolder(docker: Dockerode, id: string, folder: string, name: string): Promise<void> {
  const tar = pack();
  tar.entry({ name: fileName(name), type: 'directory', mode: 0o755 });
  tar.finalize();
  await docker.getContainer(id).putArchive(tar as unknown as NodeJS.ReadableStream, { path: folder });
}

export async function removeFile(docker: Dockerode, id: string, path: string): Promise<void> {
  if (path.replace(/\/+$/, '') === '') throw new ServiceError('invalid', 'The root folder can not be deleted.');
  const exec = await docker.getContainer(id).exec({
    Cmd: ['rm', '-rf', '--', path],
    User: '0',
    AttachStdout: true,
    AttachStderr: true,
    Tty: true,
  });
  const stream = await exec.start({ Tty: true });
  const words = (await buffer(stream)).toString('utf8').trim();
  const { ExitCode } = await exec.inspect();
  if (ExitCode !== 0) {
    throw new ServiceError('failed', words || `rm ended with ${ExitCode}.`, 'Deleting needs `rm` in the container.');
  }
}

interface Upload {
  id: string;
  entry: NodeJS.WritableStream;
  left: number;
  done: Promise<unknown>;
  failed: unknown;
  timer: NodeJS.Timeout;
}

const IDLE_MS = 120_000;

/** Files on their way into containers, a part at a time; one that its window has forgotten ends after a while. */
export class Uploads {
  #docker: Dockerode;
  #uploads = new Map<string, Upload>();

  constructor(docker: Dockerode) {
    this.#docker = docker;
  }

  begin(id: string, folder: string, file: { name: string; size: number; mode?: number }): string {
    const size = Number(file?.size);
    if (!Number.isSafeInteger(size) || size < 0) throw new ServiceError('invalid', 'That is not the size of a file.');
    const mode = Number.isInteger(file.mode) ? (file.mode as number) % 0o10000 : 0o644;
    const tar = pack();
    const entry = tar.entry({ name: fileName(file.name), size, mode, mtime: new Date() }, (error) => {
      if (error) tar.destroy(error);
      else tar.finalize();
    });
    const key = randomUUID();
    const upload: Upload = {
      id,
      entry,
      left: size,
      done: this.#docker.getContainer(id).putArchive(tar as unknown as NodeJS.ReadableStream, { path: folder }),
      failed: undefined,
      timer: setTimeout(() => this.#forget(key), IDLE_MS),
    };
    upload.done.catch((error: unknown) => {
      upload.failed = error;
      tar.destroy();
    });
    entry.on('error', () => {});
    tar.on('error', () => {});
    this.#uploads.set(key, upload);
    return key;
  }

  async part(key: unknown, bytes: unknown): Promise<void> {
    const upload = this.#get(key);
    if (!(bytes instanceof Uint8Array) || bytes.length > upload.left) {
      throw new ServiceError('invalid', 'That does not fit into the file.');
    }
    if (upload.failed) throw upload.failed;
    upload.timer.refresh();
    upload.left -= bytes.length;
    // Waits while the engine is behind; an upload that fails must not wait for it for ever.
    if (upload.entry.write(Buffer.from(bytes))) return;
    await Promise.race([new Promise<void>((done) => upload.entry.once('drain', done)), upload.done]);
  }

  async end(key: unknown): Promise<void> {
    const upload = this.#get(key);
    try {
      if (upload.left > 0) throw new ServiceError('invalid', `${upload.left} bytes of the file are missing.`);
      upload.entry.end();
      await upload.done;
    } finally {
      this.#forget(key as string);
    }
  }

  #get(key: unknown): Upload {
    const found = typeof key === 'string' ? this.#uploads.get(key) : undefined;
    if (!found) throw new ServiceError('not-found', 'This upload has ended.');
    return found;
  }

  #forget(key: string): void {
    const upload = this.#uploads.get(key);
    if (!upload) return;
    clearTimeout(upload.timer);
    this.#uploads.delete(key);
    if (upload.left > 0) (upload.entry as unknown as { destroy(): void }).destroy();
  }
}
