import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { LISTING_TYPE } from './containers/files.ts';
import type { EngineLink } from './engine-link.ts';
import { ServiceError } from './errors.ts';

/** Shipped in the VM's image, so that it is there without a network. */
const IMAGE = 'skiff/welcome:latest';
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
    const made = await link.http
      .json<{ Id: string }>('POST', '/v1.51/containers/create', {
        json: {
          Image: IMAGE,
          Labels: { [HELPER_LABEL]: volume },
          NetworkDisabled: true,
          HostConfig: { Mounts: [{ Type: 'volume', Source: volume, Target: INSIDE, VolumeOptions: { NoCopy: true } }] },
        },
        signal: up,
      })
      .catch((error: { statusCode?: number }) => {
        if (error.statusCode !== 404) throw error;
        throw new ServiceError(
          'not-found',
          `The image ${IMAGE} is needed to look into volumes, and it was removed.`,
          'Clean up or reset the machine in Troubleshoot to get it back.',
        );
      });
    try {
      return await work(new VolumeHelper(link, made.Id, up));
    } finally {
      // Also when the asker is gone: a helper must not stay.
      const query = { force: true };
      const limit = AbortSignal.timeout(30_000);
      await link.http.json('DELETE', `/v1.51/containers/${made.Id}`, { query, signal: limit }).catch(() => {});
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
    return this.#link.http.open('GET', `/v1.51/containers/${this.#id}/archive`, { query, signal: this.#signal });
  }

  /** What lies in the folder `path`, where the engine can say so without a tar of all that is below it. */
  list(path: string): Promise<IncomingMessage> {
    const query = { path: `${inside(path)}/.` };
    const headers = { Accept: LISTING_TYPE };
    return this.#link.http.open('GET', `/v1.51/containers/${this.#id}/archive`, {
      query,
      headers,
      signal: this.#signal,
    });
  }

  /** Unpacks a tar into the folder `path` of the volume. */
  async write(path: string, tar: Readable): Promise<void> {
    const query = { path: inside(path), copyUIDGID: true };
    const headers = { 'Content-Type': 'application/x-tar' };
    await this.#link.http.json('PUT', `/v1.51/containers/${this.#id}/archive`, {
      query,
      headers,
      body: tar,
      signal: this.#signal,
    });
  }
}

function inside(path: string): string {
  const parts = path.split('/').filter(Boolean);
  if (parts.some((part) => part === '..' || part === '.' || part.includes('\0')))
    throw new ServiceError('invalid', 'That is not a path in the volume.');
  // The trailing "/." is the folder itself and not what stands for it.
  return `${[INSIDE, ...parts].join('/')}`;
}
