import { realpath } from 'node:fs/promises';
import { dirname, join, posix, sep } from 'node:path';

/** A path that leads out of the shared folder. */
export class OutsideError extends Error {
  readonly code = 'EACCES';
}

/**
 * Where a client's path is on this computer. Clients resolve symlinks themselves, so none is followed here: neither the last name nor,
 * where it leads out of the folder, one on the way.
 * @param root as realpath gives it
 * @param path absolute, with `/`; `..` at the top stays at the top
 */
export async function placeOf(root: string, path: string): Promise<string> {
  if (path.includes('\0')) throw new OutsideError('a path with a null byte');
  const names = posix.normalize(posix.join('/', path)).split('/').filter(Boolean);
  // What Windows would take for a separator, a drive or another stream of a file is no name.
  if (sep === '\\' && names.some((name) => /[\\:]/.test(name))) throw new OutsideError(`no such name: ${path}`);
  const place = join(root, ...names);
  if (names.length === 0) return root;
  const folder = await realpath(dirname(place));
  if (folder !== root && !folder.startsWith(root.endsWith(sep) ? root : root + sep)) {
    throw new OutsideError(`${path} leads out of the shared folder`);
  }
  return join(folder, names.at(-1)!);
}
