import type { Readable } from 'node:stream';

import { cancelled } from '../../errors.ts';
import { log } from '../../log.ts';
import type { Digest } from '../../store/digest.ts';

import type { Repository } from './client.ts';
import { RegistryError } from './errors.ts';

export type UploadResult =
  | { readonly kind: 'existed' }
  | { readonly kind: 'mounted'; readonly from: string }
  | { readonly kind: 'uploaded' };

export interface UploadSource {
  readonly digest: Digest;
  readonly size: number;
  /** Its bytes from an offset on. */
  readonly open: (from: number) => Readable;
  /** Paths of repositories on the same registry that are known to hold the blob. */
  readonly mountFrom: readonly string[];
}

/** Small blobs go in one request (monolithic), larger ones as a chunk that can be taken up again. */
const MONOLITHIC = 256 * 1024;
const MAX_MOUNTS = 3;

/** Makes sure the registry has a blob: by check, by mount from another repository, or by upload (distribution spec, Push). */
export async function uploadBlob(
  repository: Repository,
  source: UploadSource,
  options: { signal: AbortSignal; onBytes: (sent: number) => void },
): Promise<UploadResult> {
  const { signal } = options;
  const { registries } = repository;
  if (await hasBlob(repository, source.digest, signal)) return { kind: 'existed' };
  let location: URL | undefined;
  for (const from of source.mountFrom.slice(0, MAX_MOUNTS)) {
    const begun = await registries.retrying(signal, () => begin(repository, signal, { digest: source.digest, from }));
    if (begun === 'mounted') return { kind: 'mounted', from };
    location = begun;
    if (location) break;
  }
  for (let attempt = 1; ; attempt++) {
    try {
      location ??= (await registries.retrying(signal, () => begin(repository, signal))) as URL;
      await send(repository, location, attempt > 1, source, options);
      return { kind: 'uploaded' };
    } catch (error) {
      if (!(error instanceof RegistryError) || attempt >= registries.attempts) throw error;
      // An upload that the registry has forgotten begins anew.
      const forgotten = error.status === 404 || error.status === 416;
      if (!error.temporary && !forgotten) throw error;
      log.debug('upload broke off, going on', { digest: source.digest, error });
      if (forgotten) location = undefined;
      await registries.pause(attempt, error, signal);
    }
  }
}

async function hasBlob(repository: Repository, digest: Digest, signal: AbortSignal): Promise<boolean> {
  const answer = await repository.registries.retrying(signal, () =>
    repository.request(repository.url(`blobs/${digest}`), {
      method: 'HEAD',
      scopes: repository.scopes('pull,push'),
      accepted: [200, 404],
      signal,
    }),
  );
  answer.body.resume();
  return answer.status === 200;
}

/** Opens an upload; with `mount`, asks the registry to take the blob from another repository first. */
async function begin(
  repository: Repository,
  signal: AbortSignal,
  mount?: { digest: Digest; from: string },
): Promise<URL | 'mounted'> {
  const url = repository.url('blobs/uploads/');
  if (mount) {
    url.searchParams.set('mount', mount.digest);
    url.searchParams.set('from', mount.from);
  }
  const answer = await repository.request(url, {
    method: 'POST',
    body: Buffer.alloc(0),
    scopes: repository.scopes('pull,push', mount?.from),
    accepted: [201, 202],
    signal,
  });
  answer.body.resume();
  if (answer.status === 201) return 'mounted';
  return locationOf(answer.headers.location, answer.url);
}

function locationOf(location: string | undefined, base: URL): URL {
  if (!location) throw new RegistryError('registry gave no upload location', { status: 400 });
  return new URL(location, base);
}

async function send(
  repository: Repository,
  start: URL,
  resumed: boolean,
  source: UploadSource,
  options: { signal: AbortSignal; onBytes: (sent: number) => void },
): Promise<void> {
  const { signal, onBytes } = options;
  const scopes = repository.scopes('pull,push');
  if (source.size <= MONOLITHIC) {
    await finish(repository, start, source, signal, true);
    onBytes(source.size);
    return;
  }
  const from = resumed ? await uploaded(repository, start, signal) : 0;
  let location = start;
  if (from < source.size) {
    const answer = await repository.request(start, {
      method: 'PATCH',
      headers: {
        'content-type': 'application/octet-stream',
        'content-length': String(source.size - from),
        'content-range': `${from}-${source.size - 1}`,
      },
      body: () => {
        let sent = from;
        const stream = source.open(from);
        stream.on('data', (chunk: Buffer) => {
          sent += chunk.length;
          onBytes(sent);
        });
        signal.addEventListener('abort', () => stream.destroy(cancelled()), { once: true });
        return stream;
      },
      scopes,
      accepted: [201, 202, 204],
      signal,
    });
    answer.body.resume();
    location = locationOf(answer.headers.location ?? start.href, answer.url);
  }
  await finish(repository, location, source, signal, false);
}

/** How much of an upload the registry has: 0 for a fresh one, and where it doesn't say. */
async function uploaded(repository: Repository, location: URL, signal: AbortSignal): Promise<number> {
  const scopes = repository.scopes('pull,push');
  const answer = await repository.request(location, { scopes, accepted: [200, 204, 405], signal });
  answer.body.resume();
  const end = /(\d+)$/.exec(String(answer.headers.range ?? ''))?.[1];
  // `0-0` is an empty upload in the reference implementation, and one byte in the specification.
  return end === undefined || end === '0' ? 0 : Number(end) + 1;
}

async function finish(
  repository: Repository,
  location: URL,
  source: UploadSource,
  signal: AbortSignal,
  withContent: boolean,
): Promise<void> {
  const url = new URL(location);
  url.searchParams.set('digest', source.digest);
  const answer = await repository.request(url, {
    method: 'PUT',
    headers: {
      'content-type': 'application/octet-stream',
      'content-length': withContent ? String(source.size) : '0',
    },
    body: withContent ? () => source.open(0) : Buffer.alloc(0),
    scopes: repository.scopes('pull,push'),
    accepted: [201, 204],
    signal,
  });
  answer.body.resume();
}

/** PUT of a manifest under a tag or its digest. */
export async function putManifest(
  repository: Repository,
  reference: string,
  manifest: { readonly content: Buffer; readonly mediaType: string },
  signal: AbortSignal,
): Promise<void> {
  const answer = await repository.registries.retrying(signal, () =>
    repository.request(repository.url(`manifests/${reference}`), {
      method: 'PUT',
      headers: { 'content-type': manifest.mediaType },
      body: manifest.content,
      scopes: repository.scopes('pull,push'),
      accepted: [200, 201, 202],
      signal,
    }),
  );
  answer.body.resume();
}
