import { close, constants, open } from 'node:fs';
import { lstat } from 'node:fs/promises';
import { promisify } from 'node:util';

import { setModified } from '../linux/modified.ts';

const O_PATH = 0o10000000;
const FLAGS = O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW;

const openFile = promisify(open);
const closeFile = promisify(close);

/**
 * Mounted folders of another computer, as watchers in containers see them. The kernel makes a new inode of 9p's at each look-up of a
 * path that nobody holds, and a watch is on an inode: so folders are held open, and what is touched through them wakes who watches
 * them. A folder that was replaced on the other side must be let go, or this machine goes on seeing the old one.
 */
export class FolderView {
  readonly #held = new Map<string, number>();

  async hold(path: string): Promise<void> {
    if (this.#held.has(path)) return;
    const fd = await openFile(path, FLAGS).catch(() => undefined);
    if (fd === undefined) return;
    if (this.#held.has(path)) await closeFile(fd);
    else this.#held.set(path, fd);
  }

  /** Lets go of it and of all below. */
  async letGo(path: string): Promise<void> {
    await this.#letGo((held) => held === path || held.startsWith(`${path}/`));
  }

  /** Lets go of all that are in none of these. */
  async keep(paths: readonly string[]): Promise<void> {
    await this.#letGo((held) => !paths.some((path) => held === path || held.startsWith(`${path}/`)));
  }

  async #letGo(gone: (held: string) => boolean): Promise<void> {
    for (const [held, fd] of [...this.#held]) {
      if (!gone(held)) continue;
      this.#held.delete(held);
      await closeFile(fd);
    }
  }

  /**
   * Wakes the watchers of a file or folder, and of the folder it is in, without changing it: it keeps the time it has. Fine when it is
   * gone, when it has changed again (that will be told too), or when its time is not ours to set.
   * @param time when it was last modified, as the other computer sees it; nanoseconds since the epoch
   */
  async touch(path: string, time: bigint): Promise<void> {
    try {
      const { mtimeNs } = await lstat(path, { bigint: true });
      // SFTP knows whole seconds only.
      if (mtimeNs !== time && mtimeNs !== time - (time % 1_000_000_000n)) return;
      await setModified(path, mtimeNs);
    } catch {
      // See above.
    }
  }
}
