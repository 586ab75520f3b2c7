import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { promisify } from 'node:util';

import { systemError } from '../../errors.ts';
import { resolveInRoot } from '../../runtime/rootfs.ts';
import type { MountPoint } from './record.ts';

const run = promisify(execFile);

/**
 * Fills empty volumes with what the image has at their place, as Docker does on first use: content, owners and modes.
 * @param rootfs the container's mounted root
 */
export async function copyUp(rootfs: string, mounts: readonly MountPoint[]): Promise<void> {
  for (const mount of mounts) {
    if (mount.type !== 'volume' || mount.noCopy || mount.subpath) continue;
    if (readdirSync(mount.source).length > 0) continue;
    const source = resolveInRoot(rootfs, mount.destination);
    if (!source) continue;
    try {
      // `cp -a dir/. volume` also gives the volume's own directory the owner and mode of the image's.
      await run('cp', ['-a', '--', `${source}/.`, mount.source]);
    } catch (error) {
      throw systemError(`failed to populate volume ${mount.name}: ${String(error)}`, error);
    }
  }
}
