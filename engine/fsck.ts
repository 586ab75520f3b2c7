import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { Cache } from './daemon/builds/cache.ts';
import type { ContainerRecord } from './daemon/containers/record.ts';
import { Images } from './daemon/images/images.ts';
import type { VolumeRecord } from './daemon/volumes/volumes.ts';
import { lockFile } from './linux/lock.ts';
import { Snapshots } from './snapshots/snapshots.ts';
import { blobSchema } from './store/blobs.ts';
import { BuildCacheRepository, buildCacheSchema } from './store/build-cache.ts';
import { openDatabase } from './store/database.ts';
import { DocumentStore, documentsSchema } from './store/documents.ts';
import { imageSchema } from './store/images.ts';
import { layerSchema } from './store/layers.ts';

/**
 * `skiffd fsck`: whether all that the records of a data folder speak of is there, and nothing else. What a crash left half-done is swept
 * first, as a start does; no engine may be using the folder.
 *
 * @param deep reads every blob and compares its digest
 * @returns a line for each finding; none is a consistent store
 */
export async function fsck(dataRoot: string, deep: boolean): Promise<string[]> {
  if (!existsSync(join(dataRoot, 'state.db'))) throw new Error(`${dataRoot} has no engine's data`);
  if (!lockFile(join(dataRoot, 'lock'))) throw new Error(`an engine is using ${dataRoot}: stop it first`);
  const schemas = [blobSchema, layerSchema, imageSchema, documentsSchema, buildCacheSchema];
  const db = openDatabase(join(dataRoot, 'state.db'), schemas);
  try {
    const findings = db
      .prepare('PRAGMA integrity_check')
      .all()
      .flatMap((row) => {
        const words = String(Object.values(row)[0]);
        return words === 'ok' ? [] : [`state.db: ${words}`];
      });
    const snapshots = new Snapshots({ root: join(dataRoot, 'snapshots'), db });
    const containers = new DocumentStore<ContainerRecord>(db, 'container').all();
    const cache = new Cache(new BuildCacheRepository(db));
    const images = new Images({
      root: dataRoot,
      db,
      snapshots,
      // Nothing is removed here: whatever looks unused may belong to a container.
      users: {
        containersUsing: (id) =>
          containers.filter(({ imageId }) => imageId === id).map((one) => ({ id: one.id, running: false })),
      },
      retained: () => cache.retained(),
      events: () => {},
    });
    await snapshots.settled();
    findings.push(...(await images.check(deep)));
    for (const { id, name } of containers) {
      if (!snapshots.hasSnapshot(id)) findings.push(`container ${name}: its writable layer is missing`);
      if (!existsSync(join(dataRoot, 'containers', id))) findings.push(`container ${name}: its folder is missing`);
    }
    for (const { name, driver } of new DocumentStore<VolumeRecord>(db, 'volume').all()) {
      const folder = join(dataRoot, 'volumes', name);
      if (driver === 'local' && !existsSync(folder)) findings.push(`volume ${name}: its folder is missing`);
    }
    await snapshots.close();
    images.close();
    return findings;
  } finally {
    db.close();
  }
}
