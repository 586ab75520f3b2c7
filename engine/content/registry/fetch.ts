import { finished } from 'node:stream/promises';

import { cancelled, EngineError, invalidParameter } from '../../errors.ts';
import { log } from '../../log.ts';
import { type Digest, digestOf, isDigest } from '../../store/digest.ts';
import type { Blobs, BlobWriter, StagedBlob } from '../blobs.ts';
import { DOCUMENT_LIMIT } from '../documents.ts';
import { type Descriptor, MEDIA_TYPE } from '../oci.ts';

import type { Repository } from './client.ts';
import { describeNetworkError, RegistryError } from './errors.ts';
import { type Answer, readBody } from './transport.ts';

const ACCEPT = [
  MEDIA_TYPE.ociIndex,
  MEDIA_TYPE.ociManifest,
  MEDIA_TYPE.dockerList,
  MEDIA_TYPE.dockerManifest,
  MEDIA_TYPE.dockerSchema1Signed,
  '*/*',
].join(', ');

/** A download that brings no byte for this long is broken. */
const STALL_MS = 60_000;

export interface FetchedManifest {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly content: Buffer;
}

/** GET /v2/<name>/manifests/<reference>; the content's digest is verified when the reference is one. */
export async function fetchManifest(
  repository: Repository,
  reference: string,
  signal: AbortSignal,
): Promise<FetchedManifest> {
  return repository.registries.retrying(signal, async () => {
    const answer = await repository.request(repository.url(`manifests/${reference}`), {
      headers: { accept: ACCEPT },
      scopes: repository.scopes('pull'),
      accepted: [200],
      signal,
    });
    const content = await readBody(answer, DOCUMENT_LIMIT);
    const digest = digestOf(content);
    if (isDigest(reference) && digest !== reference) {
      throw invalidParameter(`manifest verification failed for digest ${reference}`);
    }
    return { digest, content, mediaType: answer.headers['content-type'] ?? '' };
  });
}

/** All tags of a repository, over as many pages as there are. */
export async function listTags(repository: Repository, signal: AbortSignal): Promise<string[]> {
  const tags: string[] = [];
  let url: URL | undefined = repository.url('tags/list');
  while (url) {
    const at: URL = url;
    const answer = await repository.registries.retrying(signal, () =>
      repository.request(at, { scopes: repository.scopes('pull'), accepted: [200], signal }),
    );
    const page = JSON.parse((await readBody(answer, DOCUMENT_LIMIT)).toString('utf8')) as { tags?: string[] | null };
    tags.push(...(page.tags ?? []));
    const next = /<([^>]+)>;\s*rel="?next"?/.exec(String(answer.headers.link ?? ''))?.[1];
    url = next === undefined ? undefined : new URL(next, at);
  }
  return tags;
}

/**
 * Downloads a blob into the content store's ingest folder, verified. A connection that breaks is taken up again where it
 * broke (Range); a blob with a wrong digest or size fails at once and leaves nothing.
 */
export async function fetchBlob(
  repository: Repository,
  blobs: Blobs,
  descriptor: Descriptor,
  options: {
    signal: AbortSignal;
    /** The blob's file exists and will be written; `writer.follow` tells how far it is. */
    onStart?: (writer: BlobWriter) => void;
    onBytes?: (current: number) => void;
    onRetry?: (attempt: number) => void;
  },
): Promise<StagedBlob> {
  const { registries } = repository;
  const writer = await blobs.writer();
  try {
    options.onStart?.(writer);
    for (let attempt = 1; ; attempt++) {
      const before = writer.size;
      try {
        await downloadRest(repository, writer, descriptor, options);
        return await writer.finish({ digest: descriptor.digest, size: descriptor.size });
      } catch (error) {
        if (error instanceof EngineError || !(error instanceof RegistryError) || !error.temporary) throw error;
        // What moved forward is no failed try: only standing still uses tries up.
        if (writer.size > before) attempt = 1;
        if (attempt >= registries.attempts) throw error;
        log.debug('download broke off, going on', { digest: descriptor.digest, at: writer.size, error });
        options.onRetry?.(attempt);
        await registries.pause(attempt, error, options.signal);
      }
    }
  } catch (error) {
    await writer.abort();
    throw error;
  }
}

async function downloadRest(
  repository: Repository,
  writer: BlobWriter,
  descriptor: Descriptor,
  options: { signal: AbortSignal; onBytes?: (current: number) => void },
): Promise<void> {
  if (writer.size > 0 && writer.size === descriptor.size) return;
  const { signal, onBytes } = options;
  const answer = await openBlob(repository, descriptor, writer.size, signal);
  // A server that ignores Range sends all again; what is written already is passed over.
  let skip = answer.status === 206 ? 0 : writer.size;
  const { body } = answer;
  const stop = () => body.destroy(cancelled());
  signal.addEventListener('abort', stop, { once: true });
  const stalled = () => body.destroy(new Error('no data received: i/o timeout'));
  const watchdog = setTimeout(stalled, STALL_MS);
  try {
    for await (const piece of body as AsyncIterable<Buffer>) {
      watchdog.refresh();
      if (signal.aborted) throw cancelled();
      const chunk = skip > 0 ? piece.subarray(Math.min(skip, piece.length)) : piece;
      skip = Math.max(0, skip - piece.length);
      if (chunk.length === 0) continue;
      if (writer.size + chunk.length > descriptor.size) {
        throw invalidParameter(`unexpected size of ${descriptor.digest}: more than ${descriptor.size} bytes`);
      }
      await writer.write(chunk);
      onBytes?.(writer.size);
    }
  } catch (error) {
    if (signal.aborted) throw cancelled();
    if (error instanceof EngineError || isDiskError(error)) throw error;
    throw describeNetworkError(error, 'GET', answer.url.href);
  } finally {
    clearTimeout(watchdog);
    signal.removeEventListener('abort', stop);
    body.destroy();
  }
  if (writer.size < descriptor.size) throw new RegistryError('unexpected EOF');
}

const isDiskError = (error: unknown): boolean =>
  ['ENOSPC', 'EIO', 'EDQUOT', 'EROFS', 'EFBIG'].includes((error as NodeJS.ErrnoException).code ?? '');

/** The registry's own copy, else one of the places a foreign layer names. */
async function openBlob(
  repository: Repository,
  descriptor: Descriptor,
  from: number,
  signal: AbortSignal,
): Promise<Answer> {
  const headers: Record<string, string> = from > 0 ? { range: `bytes=${from}-` } : {};
  const options = { headers, scopes: repository.scopes('pull'), accepted: [200, 206], signal };
  try {
    const answer = await repository.request(repository.url(`blobs/${descriptor.digest}`), options);
    return checkRange(answer, from);
  } catch (error) {
    const missing = error instanceof RegistryError && (error.status === 404 || error.status === 403);
    const urls = (descriptor.urls ?? []).filter((url) => /^https?:\/\//.test(url));
    if (!missing || urls.length === 0) throw error;
    let last: unknown = error;
    for (const url of urls) {
      try {
        const answer = await repository.registries.transport.request(new URL(url), { headers, signal });
        if (answer.status === 200 || answer.status === 206) return checkRange(answer, from);
        answer.body.resume();
        await finished(answer.body).catch(() => undefined);
        last = new RegistryError(`received unexpected HTTP status: ${answer.status} for ${url}`, {
          status: answer.status,
        });
      } catch (other) {
        last = other;
      }
    }
    throw last;
  }
}

function checkRange(answer: Answer, from: number): Answer {
  if (answer.status !== 206) return answer;
  const start = /^bytes (\d+)-/.exec(answer.headers['content-range'] ?? '')?.[1];
  if (Number(start) === from) return answer;
  answer.body.destroy();
  throw new RegistryError('registry answered another range than asked for', { status: 502 });
}
