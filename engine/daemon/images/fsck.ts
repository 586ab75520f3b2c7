import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';

import { parseImageConfig } from '../../content/documents.ts';
import { messageOf } from '../../errors.ts';
import { chainIds, type Digest, digestOf } from '../../store/digest.ts';

import { chainOf, type ImageStore } from './image-store.ts';

/**
 * Checks that what the records say is there, and that nothing else is (skiffd fsck). Returns one line for each finding;
 * none is a consistent store. Changes nothing.
 * @param deep reads every blob and compares its digest
 */
export async function checkStore(
  store: ImageStore,
  deep: boolean,
  signal: AbortSignal = new AbortController().signal,
): Promise<string[]> {
  const findings = [...checkImages(store), ...store.snapshots.check(), ...store.blobs.check()];
  for (const [digest, size] of store.blobs.rows.all()) {
    const real = statSync(store.blobs.path(digest), { throwIfNoEntry: false })?.size;
    if (real !== undefined && real !== size) findings.push(`blob ${digest} has ${real} bytes, ${size} recorded`);
    else if (deep) findings.push(...(await checkContent(store, digest, signal)));
  }
  return findings;
}

/** A missing one was found before. */
async function checkContent(store: ImageStore, digest: Digest, signal: AbortSignal): Promise<string[]> {
  const hash = createHash('sha256');
  try {
    for await (const chunk of store.blobs.stream(digest, signal)) hash.update(chunk);
  } catch (error) {
    if (signal.aborted) throw error;
    return (error as NodeJS.ErrnoException).code === 'ENOENT'
      ? []
      : [`blob ${digest} can't be read: ${messageOf(error)}`];
  }
  return `sha256:${hash.digest('hex')}` === digest ? [] : [`blob ${digest} has other content`];
}

function checkImages(store: ImageStore): string[] {
  const findings: string[] = [];
  for (const row of store.rows.all()) {
    const say = (words: string) => findings.push(`image ${row.id}: ${words}`);
    if (digestOf(row.config) !== row.id) say('its configuration has another digest');
    if (!store.blobs.has(row.id)) say('its configuration is no blob');
    const { diff_ids: diffIds } = parseImageConfig(row.config).rootfs;
    if (chainOf(diffIds) !== row.chainId) say(`its chain id is ${chainOf(diffIds)}, ${row.chainId} recorded`);
    for (const chainId of chainIds(diffIds)) if (!store.snapshots.hasLayer(chainId)) say(`layer ${chainId} is missing`);
    for (const diffId of diffIds) {
      if (!store.blobs.rows.layerBlobs(diffId).some(({ blob }) => store.blobs.has(blob))) {
        say(`no blob holds the layer ${diffId}`);
      }
    }
  }
  return findings;
}
