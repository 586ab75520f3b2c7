import { join } from 'node:path';
import { isGitRemote, isUrl, parseGitUrl } from '../../build/git-url.ts';
import { IgnorePatterns } from '../../build/ignore.ts';
import { EngineError, invalidParameter } from '../../errors.ts';
import { contentKind } from './content-kind.ts';
import { BuildContext } from './context.ts';
import { bodyOf, download } from './download.ts';
import { resolveCommit } from './git.ts';
import type { BuildOutput } from './output.ts';
import type { BuildParts } from './parts.ts';
import { readRepository } from './repository.ts';
import type { BuildRequest } from './request.ts';
import { roomIn } from './room.ts';
import { bytesOf, resolve, textOf } from './source-tree.ts';

const DEFAULT_DOCKERFILE = 'Dockerfile';
/** A tar's first header. */
const HEAD = 512;
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
  const receiving = { spool: join(around.scratch, 'context'), limit: roomIn(around.scratch), signal: around.signal };
  const { remote } = request;
  if (remote === '' || remote === 'client-session') {
    if (remote !== '') throw invalidParameter("client-session contexts are BuildKit's: set DOCKER_BUILDKIT=0");
    return findDockerfile(await BuildContext.receive(request.body, receiving), request);
  }
  if (isGitRemote(remote)) {
    const reference = parseGitUrl(remote);
    const git = { ...receiving, proxies: parts.proxies };
    const commit = await resolveCommit(reference, git);
    const keepGitDir = /^(1|t|true)$/i.test(request.buildArgs.get('BUILDKIT_CONTEXT_KEEP_GIT_DIR') ?? '');
    const scratch = join(around.scratch, 'git');
    return findDockerfile(await readRepository({ ...git, reference, commit, scratch, keepGitDir }), request);
  }
  if (!isUrl(remote)) throw invalidParameter(`remote URL (${remote}) could not be parsed`);
  return fetchRemote(parts, request, { ...receiving, ...around });
}

type Receiving = Around & { readonly spool: string; readonly limit: number };

async function fetchRemote(parts: BuildParts, request: BuildRequest, around: Receiving): Promise<Opened> {
  const { remote } = request;
  const answer = await download(parts.web, remote, around.signal).catch((error: unknown) => {
    if (!(error instanceof EngineError)) throw error;
    throw new EngineError(error.kind, `error downloading remote context ${remote}: ${error.message}`, error);
  });
  const { head, body } = await peek(bodyOf(answer), HEAD);
  try {
    if (head.length === 0) throw invalidParameter(`error downloading remote context ${remote}: empty response`);
    const given = (answer.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
    const kind = contentKind(given, head);
    if (!kind) {
      const words = `unsupported Content-Type ${JSON.stringify(given)}`;
      throw invalidParameter(`error downloading remote context ${remote}: ${words}`);
    }
    around.output.say(`Downloading build context from remote url: ${remote}\n`);
    if (kind === 'archive') return await findDockerfile(await BuildContext.receive(body, around), request);
    const context = await BuildContext.ofFile(DEFAULT_DOCKERFILE, body, around);
    return await findDockerfile(context, { ...request, dockerfile: DEFAULT_DOCKERFILE });
  } finally {
    answer.body.destroy();
  }
}

/** The first bytes of a stream, and all of it again. */
async function peek(source: AsyncGenerator<Buffer>, size: number) {
  const pieces: Buffer[] = [];
  for (let known = 0; known < size; ) {
    const next = await source.next();
    if (next.done) break;
    pieces.push(next.value);
    known += next.value.length;
  }
  async function* all() {
    yield* pieces;
    yield* source;
  }
  return { head: Buffer.concat(pieces), body: all() };
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
