import { execFile } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, readdirSync, renameSync, rmSync, type Stats, statSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { hasCode, systemError } from '../../errors.ts';
import { resolveInRoot } from '../../runtime/rootfs.ts';
import type { Volumes } from '../volumes/volumes.ts';
import type { MountPoint } from './record.ts';

const run = promisify(execFile);

/**
 * Fills empty volumes with what the image has at their place, as Docker does on first use: content, owners and modes.
 * A plain volume is filled beside itself and swapped in, so that no crash leaves half of it.
 * @param rootfs the container's mounted root
 */
export async function copyUp(
  volumes: Volumes,
  containerId: string,
  rootfs: string,
  mounts: readonly MountPoint[],
): Promise<void> {
  for (const mount of mounts) {
    if (mount.type !== 'volume' || !mount.name || mount.noCopy || mount.subpath) continue;
    const { name } = mount;
    if (!isEmpty(mount.source)) continue;
    const source = resolveInRoot(rootfs, mount.destination);
    if (!source || !statSync(source).isDirectory()) continue;
    try {
      await volumes.exclusive(name, async () => {
        if (isEmpty(mount.source))
          await fill(source, mount.source, volumes.isOwn(name) && !volumes.isLive(name, containerId));
      });
    } catch (error) {
      throw systemError(`failed to populate volume ${name}: ${String(error)}`, error);
    }
  }
}

const isEmpty = (path: string): boolean => readdirSync(path).length === 0;

/** @param swap nobody else sees the volume yet, so that it can be replaced whole */
async function fill(source: string, volume: string, swap: boolean): Promise<void> {
  const info = statSync(source);
  // Nothing to copy: the directory's own owner and mode, without a process.
  if (isEmpty(source)) {
    own(volume, info);
    return;
  }
  if (!swap) {
    await copy(source, volume);
    return;
  }
  const beside = join(volume, '..', '.filling');
  rmSync(beside, { recursive: true, force: true });
  mkdirSync(beside);
  try {
    await copy(source, beside);
    renameSync(beside, volume);
  } catch (error) {
    rmSync(beside, { recursive: true, force: true });
    // Somebody put something in meanwhile: then it is no longer ours to fill.
    if (!hasCode(error, 'ENOTEMPTY', 'EEXIST')) throw error;
  }
}

/** `cp -a dir/. volume` also gives the volume's own directory the owner and mode of the image's. */
const copy = (source: string, target: string) => run('cp', ['-a', '--', `${source}/.`, target]);

function own(path: string, { uid, gid, mode }: Stats): void {
  chownSync(path, uid, gid);
  chmodSync(path, mode & 0o7777);
}
