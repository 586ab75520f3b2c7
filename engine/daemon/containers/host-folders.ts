import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { invalidParameter } from '../../errors.ts';

/**
 * Folders of the computer around the VM, mounted in the VM: a bind's source inside one is found there. Without a VM around it the engine
 * has none, and sources are what they say.
 */
export class HostFolders {
  readonly #directory: string | undefined;
  #folders: readonly { readonly path: string; readonly mountedAt: string }[] | undefined;

  /** @param directory `list` has a path of the computer a line, and what the n-th leads to is mounted at `<directory>/<n>` */
  constructor(directory: string | undefined) {
    this.#directory = directory;
  }

  /** Where a bind's source is in this machine. Throws when it is neither shared nor here. */
  locate(source: string): string {
    if (this.#directory === undefined) return source;
    const folder = this.#read().find(
      ({ path }) => source === path || source.startsWith(path === '/' ? path : `${path}/`),
    );
    if (folder) return join(folder.mountedAt, source.slice(folder.path.length));
    if (existsSync(source)) return source;
    throw invalidParameter(
      `Mounts denied: the path ${source} is not shared from your computer and does not exist in the machine. Share it in Settings > File sharing (skiff config set sharedFolders …), then restart the machine.`,
    );
  }

  /** The innermost first. The list is written once, after the folders are mounted, which is long before a client asks. */
  #read(): readonly { readonly path: string; readonly mountedAt: string }[] {
    if (this.#folders) return this.#folders;
    const directory = this.#directory ?? '';
    const list = join(directory, 'list');
    if (!existsSync(list)) return [];
    const paths = readFileSync(list, 'utf8').split('\n').filter(Boolean);
    this.#folders = paths
      .map((path, index) => ({ path, mountedAt: join(directory, String(index)) }))
      .sort((a, b) => b.path.length - a.path.length);
    return this.#folders;
  }
}
