import { createHash } from 'node:crypto';
import { createReadStream, readdirSync } from 'node:fs';

import { log } from '../../log.ts';

import type { ImageStore } from './image-store.ts';
import { loadArchive } from './load.ts';

const READ_SIZE = 1024 * 1024;

/**
 * Loads each *.tar of a folder, once in the life of this data root (remembered by the file's digest): an image that a
 * user removed doesn't come back at every start. A file that can't be loaded is logged and left.
 */
export async function loadPreloaded(store: ImageStore, dir: string): Promise<void> {
  const signal = new AbortController().signal;
  for (const name of listTars(dir)) {
    const path = `${dir}/${name}`;
    try {
      const hash = createHash('sha256');
      for await (const chunk of createReadStream(path, { highWaterMark: READ_SIZE })) hash.update(chunk as Buffer);
      const digest = hash.digest('hex');
      if (store.rows.wasPreloaded(digest)) continue;
      await loadArchive(
        store,
        createReadStream(path, { highWaterMark: READ_SIZE }),
        { quiet: true },
        () => undefined,
        signal,
      );
      store.rows.setPreloaded(digest);
      log.info('preloaded images', { file: name });
    } catch (error) {
      log.error('could not preload images', { file: path, error });
    }
  }
}

function listTars(dir: string): string[] {
  try {
    return readdirSync(dir)
      .filter((name) => name.endsWith('.tar'))
      .sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
