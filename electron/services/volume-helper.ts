import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { LISTING_TYPE } from './containers/files.ts';
import type { EngineLink } from './engine-link.ts';
import { ServiceError } from './errors.ts';

/** Shipped in the VM's image; another engine, or one that has lost it, gets an empty one for the time. */
const IMAGE = 'skiff/welcome:latest';
const EMPTY_IMAGE = 'skiff/volume-helper:latest';
/** Another helper may take the empty one away between its making and its use. */
const TRIES = 3;
const INSIDE = '/volume';
const HELPER_LABEL = 'io.skiff.helper';

/** Helpers are there for a moment and nobody's business. */
export const isNoHelper = (container: { Labels?: Record<string, string> | null }): boolean =>
  container.Labels?.[HELPER_LABEL] === undefined;

/**
 * The way into a volume: a container that is created with it and never started. The engine's archive API reads and writes
 * there what the volume holds.
 */
export class VolumeHelper {
  #link: EngineLink;
  #id: string;
  #signal: AbortSignal;

  /** Makes a helper for the time of `work`. The volume exists already, or is made by `docker volume create`'s rules. */
  static async with<T>(
    link: EngineLink,
    volume: string,
    signal: AbortSignal,
    work: (helper: VolumeHelper) => Promise<T>,
  ): Promise<T> {
    const up = link.whileUp(signal);
    const made = await create(link, volume, up);
    try {
      return await work(new VolumeHelper(link, made.id, up));
    } finally {
      // Also when the asker is gone: a helper must not stay.
      const query = { force: true };
      const limit = AbortSignal.timeout(30_000);
      await link.http.json('DELETE', `/containers/${made.id}`, { query, signal: limit }).catch(() => {});
      if (made.image === EMPTY_IMAGE) {
        await link.http.json('DELETE', `/images/${EMPTY_IMAGE}`, { signal: limit }).catch(() => {});
      }
    }
  }

  private constructor(link: EngineLink, id: string, signal: AbortSignal) {
    this.#link = link;
    this.#id = id;
    this.#signal = signal;
  }

  /** A tar of what lies at `path` in the volume; names in it begin with the path's last part. */
  read(path: string): Promise<IncomingMessage> {
    const query = { path: inside(path) };
    return this.#link.http.open('GET', `/containers/${this.#id}/archive`, { query, signal: this.#signal });
  }

  /** What lies in the folder `path`, where the engine can say so without a tar of all that is below it. */
  list(path: string): Promise<IncomingMessage> {
    const query = { path: `${inside(path)}/.` };
    const headers = { Accept: LISTING_TYPE };
    return this.#link.http.open('GET', `/containers/${this.#id}/archive`, {
      query,
      headers,
      signal: this.#signal,
    });
  }

  /** Unpacks a tar into the folder `path` of the volume. */
  async write(path: string, tar: Readable): Promise<void> {
    const query = { path: inside(path), copyUIDGID: true };
    const headers = { 'Content-Type': 'application/x-tar' };
    await this.#link.http.json('PUT', `/containers/${this.#id}/archive`, {
      query,
      headers,
      body: tar,
      signal: this.#signal,
    });
  }
}

async function create(link: EngineLink, volume: string, signal: AbortSignal): Promise<{ id: string; image: string }> {
  let image = IMAGE;
  for (let tries = 1; ; tries++) {
    try {
      const json = {
        Image: image,
        // Never run, but an image without a command wants one.
        Cmd: ['none'],
        Labels: { [HELPER_LABEL]: volume },
        NetworkDisabled: true,
        HostConfig: { Mounts: [{ Type: 'volume', Source: volume, Target: INSIDE, VolumeOptions: { NoCopy: true } }] },
      };
      const { Id } = await link.http.json<{ Id: string }>('POST', '/containers/create', { json, signal });
      return { id: Id, image };
    } catch (error) {
      if ((error as { statusCode?: number }).statusCode !== 404 || tries === TRIES) throw error;
      image = EMPTY_IMAGE;
      await importEmpty(link, signal);
    }
  }
}

/** As `docker import` makes an image of a tar; this one is of nothing. */
async function importEmpty(link: EngineLink, signal: AbortSignal): Promise<void> {
  const [repo = '', tag = ''] = EMPTY_IMAGE.split(':');
  const body = Readable.from([Buffer.alloc(1024)]);
  const headers = { 'Content-Type': 'application/x-tar' };
  const made = link.http.lines('POST', '/images/create', { query: { fromSrc: '-', repo, tag }, headers, body, signal });
  for await (const _ of made);
}

function inside(path: string): string {
  const parts = path.split('/').filter(Boolean);
  if (parts.some((part) => part === '..' || part === '.' || part.includes('\0')))
    throw new ServiceError('invalid', 'That is not a path in the volume.');
  // The trailing "/." is the folder itself and not what stands for it.
  return `${[INSIDE, ...parts].join('/')}`;
}
