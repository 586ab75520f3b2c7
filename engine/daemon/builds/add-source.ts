import { EngineError, invalidParameter, messageOf, systemError } from '../../errors.ts';
import { detectCompression } from '../../snapshots/compression.ts';
import { TarReader } from '../../snapshots/tar/read.ts';
import { parseDigest } from '../../store/digest.ts';
import { decompressed } from '../images/archive.ts';
import type { Build } from './build.ts';
import { BuildContext } from './context.ts';
import type { CopySource } from './copy-plan.ts';
import { bytesOf } from './source-tree.ts';
import type { StageRunner } from './stage-runner.ts';

export const isUrl = (text: string): boolean => /^https?:\/\//.test(text);

/** As BuildKit tells repositories from files: by scheme, or by `.git` at the end of the path. */
export const isGitUrl = (text: string): boolean =>
  /^(git|ssh):\/\//.test(text) || /^git@[^:]+:/.test(text) || /^https?:\/\/[^#?]+\.git(#.*)?$/.test(text);

const BLOCK = 512;

/** Whether a file is a tar, compressed or not: its first header decides, as in Docker. */
export async function isArchive(source: CopySource): Promise<boolean> {
  const head: Buffer[] = [];
  let size = 0;
  for await (const chunk of source.tree.read(source.path)) {
    head.push(Buffer.from(chunk));
    size += chunk.length;
    if (size >= BLOCK) break;
  }
  const start = Buffer.concat(head);
  if (detectCompression(start) === 'none') return isTarHeader(start);
  const stop = new AbortController();
  try {
    let first = Buffer.alloc(0);
    for await (const chunk of decompressed(source.tree.read(source.path), stop.signal)) {
      first = Buffer.concat([first, chunk]);
      if (first.length >= BLOCK) break;
    }
    return isTarHeader(first);
  } catch {
    return false;
  } finally {
    stop.abort();
  }
}

function isTarHeader(bytes: Buffer): boolean {
  if (bytes.length < BLOCK) return false;
  try {
    const reader = new TarReader();
    for (const _event of reader.push(bytes.subarray(0, BLOCK))) return true;
    // A header of long names has no event of its own; a zero block is no archive.
    return bytes[0] !== 0;
  } catch {
    return false;
  }
}

/** ADD of a URL: the file is downloaded, checked, and named as the URL ends. */
export async function addUrl(
  build: Build,
  runner: StageRunner,
  instruction: { readonly checksum?: string; readonly destination: string },
  url: string,
): Promise<CopySource> {
  const destination = runner.expand(instruction.destination);
  const name = new URL(url).pathname.split('/').at(-1) ?? '';
  if (name === '' && destination.endsWith('/')) {
    throw invalidParameter(`ADD failed: cannot determine filename for source ${url}`);
  }
  const expected = instruction.checksum === undefined ? undefined : parseDigest(runner.expand(instruction.checksum));
  const answer = await download(build, url);
  const modified = Date.parse(answer.headers.get('last-modified') ?? '');
  const bytes = bytesOf(name || 'download');
  const tree = await BuildContext.ofFile(bytes, answer.body as unknown as AsyncIterable<Buffer>, {
    spool: build.spool(),
    limit: build.parts.cache.contextLimit,
    mtime: Number.isNaN(modified) ? 0 : Math.floor(modified / 1000),
  });
  const digest = `sha256:${await tree.digest(bytes)}`;
  if (expected !== undefined && digest !== expected) {
    throw invalidParameter(`ADD failed: digest mismatch sha256:${digest.slice(7)}: ${expected}`);
  }
  const node = tree.lookup(bytes);
  if (!node) throw systemError(`ADD failed: ${url} could not be stored`);
  return { tree, path: bytes, node, name: bytes, parents: '', archive: false, excluded: () => false };
}

async function download(build: Build, url: string): Promise<Response> {
  try {
    const answer = await fetch(url, { signal: build.signal });
    if (answer.status >= 400) {
      throw systemError(`ADD failed: failed to GET ${url} with status ${answer.status} ${answer.statusText}: `);
    }
    return answer;
  } catch (error) {
    if (error instanceof EngineError) throw error;
    const cause = error instanceof Error && error.cause ? error.cause : error;
    throw systemError(`ADD failed: Get ${JSON.stringify(url)}: ${messageOf(cause)}`, error);
  }
}
