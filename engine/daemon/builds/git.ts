import { spawn } from 'node:child_process';
import { accessSync, constants, mkdirSync, rmSync } from 'node:fs';
import { delimiter, join } from 'node:path';

import type { GitReference } from '../../build/git-url.ts';
import { cancelled, systemError } from '../../errors.ts';

/** No configuration but this, no question to anybody, no transport that reads this machine's files. */
const ENVIRONMENT = {
  HOME: '/dev/null',
  LC_ALL: 'C',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_TERMINAL_PROMPT: '0',
  GIT_ASKPASS: '/bin/false',
  GIT_ALLOW_PROTOCOL: 'git:http:https:ssh',
  GIT_PROTOCOL_FROM_USER: '0',
  GIT_SSH_COMMAND: 'ssh -F /dev/null -o BatchMode=yes -o ConnectTimeout=30',
};
const SETTINGS = [
  'core.hooksPath=/dev/null',
  'core.fsmonitor=false',
  'core.autocrlf=false',
  'credential.helper=',
  'gc.auto=0',
  'maintenance.auto=false',
  'advice.detachedHead=false',
  'init.defaultBranch=master',
  'http.lowSpeedLimit=1',
  'http.lowSpeedTime=120',
].flatMap((setting) => ['-c', setting]);
const KEPT_OUTPUT = 64 * 1024 * 1024;
const KEPT_ERRORS = 64 * 1024;
const FULL_COMMIT = /^[0-9a-f]{40}$/;

export interface GitOptions {
  readonly signal: AbortSignal;
  /** Bytes beyond which neither a pack nor the files of a commit may grow. */
  readonly limit: number;
  /** The environment, for its HTTP_PROXY and its kind. */
  readonly proxies: Readonly<Record<string, string | undefined>>;
}

/** A git that failed, in its own words. */
class GitError extends Error {
  readonly output: string;

  constructor(output: string, status: string) {
    super(`${output}: ${status}`);
    this.output = output;
  }
}

/** The commit that a reference means now. */
export async function resolveCommit({ remote, ref }: GitReference, options: GitOptions): Promise<string> {
  if (FULL_COMMIT.test(ref)) return ref;
  const patterns = ref === '' ? ['HEAD'] : [ref, `${ref}^{}`];
  const listing = await git(['ls-remote', '--', remote, ...patterns], options).catch(explain('error fetching'));
  const commits = new Map(listing.split('\n').map((line) => line.split('\t', 2).reverse() as [string, string]));
  const short = ref.replace(/^refs\//, '');
  // As a checkout has it: a branch before a tag of the same name; of an annotated tag what it points to.
  const names = [`refs/heads/${ref}`, `refs/tags/${ref}^{}`, `refs/tags/${ref}`, `refs/${short}^{}`, `refs/${short}`];
  for (const name of ref === '' || ref === 'HEAD' ? ['HEAD'] : names) {
    const commit = commits.get(name);
    if (commit && FULL_COMMIT.test(commit)) return commit;
  }
  throw systemError(`error fetching: fatal: couldn't find remote ref ${ref || 'HEAD'}\n: exit status 128`);
}

/**
 * Writes a commit's files, and those of its submodules, into a new folder, with the repository in `.git`.
 * @returns when the commit was made, seconds
 */
export async function checkOut(remote: string, commit: string, folder: string, options: GitOptions): Promise<number> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const run = (...args: string[]): Promise<string> => git(args, { ...options, folder });
  await run('init', '--quiet', '--template=').catch(explain(`failed to init repo at ${folder}`));
  await run('remote', 'add', 'origin', remote).catch(explain(`failed add origin repo at ${folder}`));
  await fetchCommit(run, commit).catch(explain('error fetching'));
  await checkSize(run, commit, options.limit);
  await run('checkout', '--quiet', commit, '--').catch(explain(`error checking out ${commit}`));
  const submodules = ['submodule', '--quiet', 'update', '--init', '--recursive', '--depth=1'];
  await run(...submodules).catch(explain('error initializing submodules'));
  // Times of this moment: with them two checkouts of a commit would differ.
  await run('reflog', 'expire', '--expire=now', '--all');
  for (const name of ['FETCH_HEAD', 'ORIG_HEAD', 'logs']) {
    rmSync(join(folder, '.git', name), { recursive: true, force: true });
  }
  return Number(await run('show', '--no-patch', '--format=%ct', commit)) || 0;
}

/** Only the commit where the server lets us ask for it; else all branches and tags, in which it must be. */
async function fetchCommit(run: (...args: string[]) => Promise<string>, commit: string): Promise<void> {
  try {
    await run('fetch', '--quiet', '--no-tags', '--depth=1', 'origin', commit);
  } catch (error) {
    if (!(error instanceof GitError)) throw error;
    await run('fetch', '--quiet', 'origin', '+refs/heads/*:refs/remotes/origin/*', '+refs/tags/*:refs/tags/*');
  }
  await run('rev-parse', '--quiet', '--verify', `${commit}^{commit}`).catch((error: unknown) => {
    throw error instanceof GitError
      ? new GitError(`fatal: couldn't find commit ${commit}\n`, 'exit status 128')
      : error;
  });
}

/** A pack of some megabytes can hold a tree of many gigabytes. */
async function checkSize(run: (...args: string[]) => Promise<string>, commit: string, limit: number): Promise<void> {
  const sizes = await run('ls-tree', '-r', '--format=%(objectsize)', commit);
  let size = 0;
  for (const line of sizes.split('\n')) size += Number(line) || 0;
  if (size > limit) throw systemError(`error checking out ${commit}: its ${size} bytes are more than ${limit}`);
}

const explain =
  (what: string) =>
  (error: unknown): never => {
    throw error instanceof GitError ? systemError(`${what}: ${error.message}`, error) : error;
  };

/** The kernel ends what is in a process namespace with its first process, and that one with the engine. */
const CONFINED = ['setpriv', '--pdeathsig', 'KILL', 'unshare', '--pid', '--fork', '--kill-child=KILL'];

/** Runs git, which ends with all that it started: at the signal, with the engine, or by itself. */
async function git(
  args: readonly string[],
  { signal, limit, proxies, folder = '/' }: GitOptions & { folder?: string },
): Promise<string> {
  if (signal.aborted) throw cancelled();
  if (!isInstalled('git')) throw systemError(`unable to find 'git': exec: "git": executable file not found in $PATH`);
  const bounded = Number.isFinite(limit) ? ['prlimit', `--fsize=${Math.ceil(limit)}`] : [];
  const [program = '', ...rest] = [...CONFINED, ...bounded, 'git', ...SETTINGS, ...args];
  // curl reads http_proxy in small letters only.
  const given = Object.entries(proxies)
    .filter(([name, value]) => /^(https?|all|no)_proxy$/i.test(name) && value)
    .map(([name, value]) => [name.toLowerCase(), value]);
  const env = { PATH: process.env.PATH, ...Object.fromEntries(given), ...ENVIRONMENT };
  const child = spawn(program, rest, { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const kill = (): void => void child.kill('SIGKILL');
  signal.addEventListener('abort', kill);
  try {
    const ended = new Promise<string>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code, by) => resolve(code === null ? `signal: ${by}` : `exit status ${code}`));
    });
    const [output, errors, status] = await Promise.all([
      collect(child.stdout, KEPT_OUTPUT),
      collect(child.stderr, KEPT_ERRORS),
      ended,
    ]);
    if (signal.aborted) throw cancelled();
    if (status !== 'exit status 0') throw new GitError(errors || output, status);
    return output;
  } finally {
    signal.removeEventListener('abort', kill);
  }
}

/** Reads all and keeps the beginning. */
async function collect(stream: AsyncIterable<Buffer>, limit: number): Promise<string> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of stream) {
    size += piece.length;
    if (size <= limit) pieces.push(piece);
  }
  return Buffer.concat(pieces).toString('utf8').trimStart();
}

function isInstalled(program: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
