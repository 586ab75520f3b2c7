/** Folders of the host that the guest gets by 9p. */
import { realpathSync, statSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { encodeFolders, SHARED_FOLDERS_LIMIT } from './arguments.ts';
import { MachineError } from './types.ts';

/**
 * Those that are there now: a folder on a disk that is not plugged in must not keep the machine from starting. Throws MachineError
 * when their names are too long for the guest's command line.
 */
export function sharableFolders(folders: readonly string[]): string[] {
  const found = [...new Set(folders)].filter(isFolder);
  if (encodeFolders(found).length <= SHARED_FOLDERS_LIMIT) return found;
  throw new MachineError('qemu-failed', 'Too many folders are shared.', {
    step: 'qemu',
    hint: 'Share one folder that holds the others.',
  });
}

function isFolder(path: string): boolean {
  if (!isAbsolute(path) || path.includes('\n')) return false;
  try {
    return statSync(realpathSync(path)).isDirectory();
  } catch {
    return false;
  }
}
