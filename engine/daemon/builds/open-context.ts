import { join } from 'node:path';

import { IgnorePatterns } from '../../build/ignore.ts';
import { invalidParameter, messageOf, systemError } from '../../errors.ts';
import { isGitUrl, isUrl } from './add-source.ts';
import { BuildContext } from './context.ts';
import type { BuildOutput } from './output.ts';
import type { BuildParts } from './parts.ts';
import type { BuildRequest } from './request.ts';
import { bytesOf, resolve, textOf } from './source-tree.ts';

const DEFAULT_DOCKERFILE = 'Dockerfile';
const ARCHIVE_TYPES = [
  'application/x-tar',
  'application/x-gzip',
  'application/gzip',
  'application/x-bzip2',
  'application/x-xz',
  'application/zstd',
  'application/octet-stream',
];

interface Opened {
  readonly context: BuildContext;
  readonly dockerfile: { readonly name: string; readonly text: string };
}

interface Around {
  readonly scratch: string;
  readonly signal: AbortSignal;
  readonly output: BuildOutput;
}

/** Receives the context, from the request's body or from where `remote` says, and finds the Dockerfile in it. */
export async function openContext(parts: BuildParts, request: BuildRequest, around: Around): Promise<Opened> {
  const spool = join(around.scratch, 'context');
  const limit = parts.cache.contextLimit;
  const { remote } = request;
  if (remote === '' || remote === 'client-session') {
    if (remote !== '') throw invalidParameter("client-session contexts are BuildKit's: set DOCKER_BUILDKIT=0");
    const context = await BuildContext.receive(request.body, { spool, limit, signal: around.signal });
    return findDockerfile(context, request);
  }
  if (isGitUrl(remote) || /^github\.com\//.test(remote)) {
    throw systemError(
      "unable to prepare context: unable to find 'git': clone the repository and build from its folder",
    );
  }
  if (!isUrl(remote)) throw invalidParameter(`unknown remote: ${remote}`);
  return fetchRemote(request, { spool, limit, ...around });
}

async function fetchRemote(
  request: BuildRequest,
  { spool, limit, signal, output }: Around & { spool: string; limit: number },
): Promise<Opened> {
  const { remote } = request;
  let answer: Response;
  try {
    answer = await fetch(remote, { signal });
  } catch (error) {
    const cause = error instanceof Error && error.cause ? error.cause : error;
    throw systemError(`error downloading remote context ${remote}: ${messageOf(cause)}`, error);
  }
  if (answer.status >= 400)
    throw systemError(
      `error downloading remote context ${remote}: failed to GET ${remote} with status ${answer.status} ${answer.statusText}`,
    );
  const body = answer.body as unknown as AsyncIterable<Buffer>;
  const type = (answer.headers.get('content-type') ?? '').split(';')[0] ?? '';
  output.say(`Downloading build context from remote url: ${remote}\n`);
  if (type.startsWith('text/')) {
    const context = await BuildContext.ofFile(DEFAULT_DOCKERFILE, body, { spool, limit });
    return findDockerfile(context, { ...request, dockerfile: DEFAULT_DOCKERFILE });
  }
  if (!ARCHIVE_TYPES.includes(type)) throw invalidParameter(`unsupported Content-Type ${JSON.stringify(type)}`);
  const context = await BuildContext.receive(body, { spool, limit, signal });
  return findDockerfile(context, request);
}

async function findDockerfile(context: BuildContext, request: BuildRequest): Promise<Opened> {
  let wanted = request.dockerfile || DEFAULT_DOCKERFILE;
  if (request.dockerfile === '' && !context.lookup(DEFAULT_DOCKERFILE) && context.lookup('dockerfile'))
    wanted = 'dockerfile';
  const clean = wanted.replace(/^\/+/, '');
  if (clean.split('/').includes('..')) {
    throw invalidParameter(`the Dockerfile (${wanted}) must be within the build context`);
  }
  const at = resolve(context, bytesOf(clean));
  if (at === undefined || context.lookup(at)?.type !== 'file') {
    throw invalidParameter(`Cannot locate specified Dockerfile: ${wanted}`);
  }
  const text = await context.text(at);
  if (text.trim() === '') throw invalidParameter(`the Dockerfile (${wanted}) cannot be empty`);
  await applyIgnore(context, textOf(at));
  return { context, dockerfile: { name: wanted, text } };
}

/** The CLI has applied the same rules already; other clients and remote contexts have not. */
async function applyIgnore(context: BuildContext, dockerfile: string): Promise<void> {
  for (const name of [`${dockerfile}.dockerignore`, '.dockerignore']) {
    const path = bytesOf(name);
    if (context.lookup(path)?.type !== 'file') continue;
    const patterns = new IgnorePatterns(await context.text(path));
    if (!patterns.empty) context.exclude((entry) => patterns.ignores(textOf(entry)));
    return;
  }
}
