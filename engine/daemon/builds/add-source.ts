import { parseGitUrl } from '../../build/git-url.ts';
import type { InstructionOf } from '../../build/instructions.ts';
import { EngineError, invalidParameter, systemError } from '../../errors.ts';
import { detectCompression } from '../../snapshots/compression.ts';
import { parseDigest } from '../../store/digest.ts';
import { decompressed } from '../images/archive.ts';
import { isTarHeader } from './content-kind.ts';
import { BuildContext, ROOT } from './context.ts';
import { type CopySource, hashOf } from './copy-plan.ts';
import { bodyOf, download } from './download.ts';
import { resolveCommit } from './git.ts';
import { readRepository } from './repository.ts';
import { roomIn } from './room.ts';
import { bytesOf, type SourceTree, textOf } from './source-tree.ts';
import type { StageRunner } from './stage-runner.ts';

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

type Add = Pick<InstructionOf<'add'>, 'checksum' | 'destination' | 'keepGitDir'>;

/** ADD of a URL: the file is downloaded, checked, and named as the URL ends or as the server says. */
export async function addUrl(runner: StageRunner, instruction: Add, url: string): Promise<CopySource> {
  const { build } = runner;
  const expected = instruction.checksum === undefined ? undefined : parseDigest(runner.expand(instruction.checksum));
  const answer = await download(build.parts.web, url, build.signal).catch(inAdd);
  const name = lastPart(new URL(url).pathname) || dispositionName(answer.headers['content-disposition'] ?? '');
  if (name === '' && runner.expand(instruction.destination).endsWith('/')) {
    answer.body.destroy();
    throw invalidParameter(`ADD failed: cannot determine filename for source ${url}`);
  }
  const modified = Date.parse(answer.headers['last-modified'] ?? '');
  const bytes = bytesOf(name || 'download');
  const tree = await BuildContext.ofFile(bytes, bodyOf(answer), {
    spool: build.spool(),
    limit: roomIn(build.parts.root),
    mtime: Number.isNaN(modified) ? 0 : Math.floor(modified / 1000),
  }).catch(inAdd);
  const digest = `sha256:${await tree.digest(bytes)}`;
  if (expected !== undefined && digest !== expected) {
    throw invalidParameter(`ADD failed: digest mismatch ${digest}: ${expected}`);
  }
  return fileSource(tree, bytes);
}

/** A file that a tree was made of. */
export function fileSource(tree: BuildContext, path: string): CopySource {
  const node = tree.lookup(path);
  if (!node) throw systemError(`${textOf(path)} could not be stored`);
  return { tree, path, node, name: path, parents: '', archive: false, excluded: () => false };
}

const lastPart = (path: string): string => path.split('/').at(-1) ?? '';

/** `attachment; filename="a.tar"`. */
const dispositionName = (header: string): string =>
  lastPart(/;\s*filename="?([^";]+)"?/i.exec(header)?.[1]?.trim() ?? '');

function inAdd(error: unknown): never {
  if (!(error instanceof EngineError) || error.kind === 'cancelled') throw error;
  throw new EngineError(error.kind, `ADD failed: ${error.message}`, error);
}

const COMMIT_PREFIX = /^[0-9a-f]{7,40}$/;

/** ADD of a repository. The commit stands for its files, so that a step from the cache needs none of them. */
export async function addRepository(runner: StageRunner, instruction: Add, url: string): Promise<CopySource> {
  const { build } = runner;
  const { parts, signal } = build;
  const { keepGitDir } = instruction;
  const expected = instruction.checksum === undefined ? '' : runner.expand(instruction.checksum);
  if (instruction.checksum !== undefined && !COMMIT_PREFIX.test(expected)) {
    throw invalidParameter(`ADD failed: invalid checksum ${JSON.stringify(expected)}: it should be a commit`);
  }
  const reference = parseGitUrl(url);
  const git = { signal, limit: roomIn(parts.root), proxies: parts.proxies };
  const commit = await resolveCommit(reference, git).catch(inAdd);
  if (!commit.startsWith(expected)) {
    throw invalidParameter(`ADD failed: expected checksum to match ${expected}, got ${commit}`);
  }
  const read = (): Promise<BuildContext> =>
    readRepository({ ...git, reference, commit, scratch: build.spool(), spool: build.spool(), keepGitDir }).catch(
      inAdd,
    );
  return {
    ...folderSource(NOTHING),
    identity: hashOf(['git', reference.remote, commit, reference.subdir, keepGitDir]),
    open: async () => folderSource(await read()),
  };
}

const NOTHING: SourceTree = {
  lookup: () => undefined,
  names: () => [],
  read: async function* () {},
  digest: async () => '',
};

const folderSource = (tree: SourceTree): CopySource => ({
  tree,
  path: '',
  node: ROOT,
  name: '',
  parents: '',
  archive: false,
  excluded: () => false,
});
