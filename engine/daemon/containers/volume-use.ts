import { messageOf } from '../../errors.ts';
import { log } from '../../log.ts';
import type { HostConfig } from '../../model/container.ts';
import type { Digest } from '../../store/digest.ts';
import type { ContainerParts } from './parts.ts';
import { type ContainerRecord, isRunning, type MountPoint } from './record.ts';

type Parts = Pick<ContainerParts, 'volumes' | 'registry'>;
type ImageParts = Pick<ContainerParts, 'images' | 'snapshots' | 'runtime'>;
type FolderParts = Pick<ContainerParts, 'folders'>;

const namesOf = (record: ContainerRecord): string[] =>
  record.mounts.flatMap(({ type, name }) => (type === 'volume' && name ? name : []));

/**
 * Volumes and images of a container about to run: volumes with options are mounted for it, those of plugins by them, images
 * read-only in its bundle, which goes with the run. All, or none.
 * @returns its mounts with the places where they are now
 */
export async function acquireVolumes(
  parts: Parts & ImageParts & FolderParts,
  record: ContainerRecord,
): Promise<MountPoint[]> {
  const mounts: MountPoint[] = [];
  try {
    for (const mount of record.mounts) {
      if (mount.imageId) {
        mounts.push({ ...mount, source: mountImage(parts, record.id, mount.imageId, mounts.length) });
        continue;
      }
      const known = mount.type === 'volume' && mount.name && parts.volumes.has(mount.name) ? mount.name : undefined;
      mounts.push(known ? { ...mount, source: await parts.volumes.acquire(known, record.id, mount) } : mount);
    }
    await parts.folders.use(record.id, bindsOf(record));
    return mounts;
  } catch (error) {
    await releaseVolumes(parts, record);
    throw error;
  }
}

function mountImage({ images, snapshots, runtime }: ImageParts, id: string, imageId: Digest, n: number): string {
  const { chainId } = images.get(imageId);
  const place = runtime.imagePlace(id, n);
  if (chainId) snapshots.mountChain(chainId, place);
  return place;
}

/** Makes the volumes of plugins that a new container names; the others are made with it. */
export async function preparePluginVolumes(parts: Pick<ContainerParts, 'volumes'>, host: HostConfig): Promise<void> {
  const driver = host.VolumeDriver ?? '';
  for (const bind of driver && driver !== 'local' ? (host.Binds ?? []) : []) {
    const [source = ''] = bind.split(':');
    if (source && !source.startsWith('/')) await parts.volumes.createAnywhere({ Name: source, Driver: driver });
  }
  for (const { Type, Source, VolumeOptions } of host.Mounts ?? []) {
    const config = VolumeOptions?.DriverConfig;
    if (Type !== 'volume' || !Source || !config?.Name || config.Name === 'local') continue;
    const wanted = { Name: Source, Driver: config.Name, DriverOpts: config.Options, Labels: VolumeOptions?.Labels };
    await parts.volumes.createAnywhere(wanted);
  }
}

/** The container has ended: what it was the last to use is unmounted. Never throws. */
export async function releaseVolumes(parts: Parts & FolderParts, record: ContainerRecord): Promise<void> {
  parts.folders.leave(record.id);
  for (const name of namesOf(record)) {
    await parts.volumes
      .release(name, record.id)
      .catch((error) => log.warn('volume left mounted', { volume: name, error: messageOf(error) }));
  }
}

const bindsOf = (record: ContainerRecord): string[] =>
  record.mounts.flatMap(({ type, source }) => (type === 'bind' ? source : []));

/** After the engine's start: volumes and folders of running containers are in use. */
export function restoreVolumes(parts: Parts & FolderParts): void {
  const inUse = new Map<string, string[]>();
  for (const { record } of parts.registry.all().filter((container) => isRunning(container.record))) {
    void parts.folders.use(record.id, bindsOf(record));
    for (const name of namesOf(record)) inUse.set(name, [...(inUse.get(name) ?? []), record.id]);
  }
  parts.volumes.restore(inUse);
}
