import { messageOf } from '../../errors.ts';
import { log } from '../../log.ts';
import type { ContainerParts } from './parts.ts';
import { type ContainerRecord, isRunning } from './record.ts';

type Parts = Pick<ContainerParts, 'volumes' | 'registry'>;

const namesOf = (record: ContainerRecord): string[] => record.mounts.flatMap(({ name }) => name ?? []);

/** Volumes of a container about to run: those with options are mounted for it. All, or none. */
export async function acquireVolumes(parts: Parts, record: ContainerRecord): Promise<void> {
  try {
    for (const mount of record.mounts) {
      if (mount.name && parts.volumes.has(mount.name)) await parts.volumes.acquire(mount.name, record.id, mount);
    }
  } catch (error) {
    await releaseVolumes(parts, record);
    throw error;
  }
}

/** The container has ended: what it was the last to use is unmounted. Never throws. */
export async function releaseVolumes(parts: Parts, record: ContainerRecord): Promise<void> {
  for (const name of namesOf(record)) {
    await parts.volumes
      .release(name, record.id)
      .catch((error) => log.warn('volume left mounted', { volume: name, error: messageOf(error) }));
  }
}

/** After the engine's start: volumes of running containers are in use. */
export function restoreVolumes(parts: Parts): void {
  const inUse = new Map<string, string[]>();
  for (const { record } of parts.registry.all().filter((container) => isRunning(container.record))) {
    for (const name of namesOf(record)) inUse.set(name, [...(inUse.get(name) ?? []), record.id]);
  }
  parts.volumes.restore(inUse);
}
