import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';

const GIGABYTES = 24;

/**
 * A folder on an ext4 of its own, just made. On one where thousands of files were removed in the last minutes ext4 takes ten times as long to
 * make new ones (it avoids their inodes), which would measure the order of the rows and not the engines.
 */
export class FreshDisk {
  readonly folder: string;
  readonly #image: string;
  readonly #mounted: boolean;

  /** @param path the folder that is made; its image lies beside it, sparse */
  constructor(path: string) {
    this.folder = path;
    this.#image = `${path}.ext4`;
    mkdirSync(path, { recursive: true });
    const run = (command: string, ...args: string[]): boolean =>
      spawnSync(command, args, { stdio: 'ignore' }).status === 0;
    this.#mounted =
      run('truncate', '-s', `${GIGABYTES}G`, this.#image) &&
      run('mkfs.ext4', '-q', '-E', 'lazy_itable_init=0,lazy_journal_init=0', this.#image) &&
      run('mount', '-o', 'loop', this.#image, path);
    if (!this.#mounted)
      console.log(
        `${path} is on the machine's own disk (no loop device): rows about images depend on what was removed there lately`,
      );
  }

  remove(): void {
    if (this.#mounted) spawnSync('umount', [this.folder]);
    rmSync(this.#image, { force: true });
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}
