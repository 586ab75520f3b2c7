import { createReadStream } from 'node:fs';
import { lstat, readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type Pack, pack } from 'tar-stream';
import { IgnorePatterns } from '../../engine/build/ignore.ts';
import { ServiceError } from './errors.ts';

/** A folder as the engine's build context: what its .dockerignore leaves out never crosses the tunnel. */
export async function buildContext(folder: string, dockerfile: string, signal: AbortSignal): Promise<Readable> {
  const patterns = await ignorePatterns(folder, dockerfile);
  const found = await lstat(join(folder, dockerfile)).catch(() => undefined);
  if (!found?.isFile())
    throw new ServiceError('not-found', `There is no ${dockerfile} in ${folder}.`, 'Name the Dockerfile.');
  const tar = pack();
  const kept = new Set([dockerfile, '.dockerignore', `${dockerfile}.dockerignore`]);
  const keeps = (path: string) => kept.has(path) || !patterns?.ignores(path);
  addFolder(tar, folder, '', keeps, signal).then(
    () => tar.finalize(),
    (error: Error) => tar.destroy(error),
  );
  return tar as unknown as Readable;
}

async function ignorePatterns(folder: string, dockerfile: string): Promise<IgnorePatterns | undefined> {
  for (const name of [`${dockerfile}.dockerignore`, '.dockerignore']) {
    const text = await readFile(join(folder, name), 'utf8').catch(() => undefined);
    if (text !== undefined) return new IgnorePatterns(text);
  }
  return undefined;
}

async function addFolder(
  tar: Pack,
  root: string,
  inside: string,
  keeps: (path: string) => boolean,
  signal: AbortSignal,
): Promise<void> {
  for (const name of (await readdir(join(root, inside))).sort()) {
    signal.throwIfAborted();
    const path = inside ? `${inside}/${name}` : name;
    const file = join(root, path);
    const found = await lstat(file);
    const header = { name: path, mode: found.mode & 0o7777, mtime: found.mtime, uid: 0, gid: 0 };
    if (found.isDirectory()) {
      // Entered also when it is ignored: an exception may name something below it.
      if (keeps(path)) await entry(tar, { ...header, type: 'directory' });
      await addFolder(tar, root, path, keeps, signal);
    } else if (!keeps(path)) continue;
    else if (found.isSymbolicLink()) await entry(tar, { ...header, type: 'symlink', linkname: await readlink(file) });
    else if (found.isFile()) {
      const out = tar.entry({ ...header, size: found.size });
      await pipeline(createReadStream(file, { end: Math.max(0, found.size - 1) }), out);
    }
  }
}

function entry(tar: Pack, header: Parameters<Pack['entry']>[0]): Promise<void> {
  return new Promise((done, fail) => tar.entry(header, (error) => (error ? fail(error) : done())));
}
