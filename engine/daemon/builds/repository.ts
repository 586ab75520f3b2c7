import { rmSync } from 'node:fs';

import type { GitReference } from '../../build/git-url.ts';
import { systemError } from '../../errors.ts';
import { BuildContext } from './context.ts';
import { checkOut, type GitOptions } from './git.ts';
import { LayerTree } from './layer-tree.ts';
import { bytesOf, resolve } from './source-tree.ts';

interface Wanted extends GitOptions {
  readonly reference: GitReference;
  readonly commit: string;
  /** Path that nothing has yet; files are there while this works. */
  readonly scratch: string;
  readonly spool: string;
  readonly keepGitDir: boolean;
}

/** The files of a commit, or of one folder in it. All have the commit's time. */
export async function readRepository(wanted: Wanted): Promise<BuildContext> {
  const { reference, commit, scratch, spool, keepGitDir, limit } = wanted;
  const { remote, subdir } = reference;
  try {
    const mtime = await checkOut(remote, commit, scratch, wanted);
    const tree = new LayerTree([scratch]);
    const folder = resolve(tree, bytesOf(subdir));
    if (folder === undefined) {
      throw systemError(
        `error setting git context, ${JSON.stringify(subdir)} not within git root: no such file or directory`,
      );
    }
    if (folder !== '' && tree.lookup(folder)?.type !== 'directory') {
      throw systemError(`error setting git context, not a directory: ${subdir}`);
    }
    return await BuildContext.ofTree(tree, folder, { spool, limit, mtime, skip: keepGitDir ? undefined : '.git' });
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}
