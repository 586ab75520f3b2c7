import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { conflict, invalidParameter, messageOf, notModified } from '../../errors.ts';
import { log } from '../../log.ts';
import type { LogTarget } from '../../runtime/runtime.ts';
import type { NamespaceChoice, OciMount } from '../../runtime/spec.ts';
import { apiTime, ZERO_TIME } from '../clock.ts';
import type { Container } from './container.ts';
import { containerSpec, DEFAULT_SHM_SIZE } from './container-spec.ts';
import { copyUp } from './copy-up.ts';
import { containerDirectory } from './create.ts';
import { type LinkedContainers, linkedContainers, withLinkEnvironment } from './links.ts';
import { logTarget } from './logs/target.ts';
import { ociMounts } from './mounts.ts';
import { writeNetworkFiles } from './network-files.ts';
import { networkKind, setUpNetwork, tearDownNetwork } from './networking.ts';
import { type ContainerParts, publish, publishNetworks } from './parts.ts';
import { type ContainerRecord, commandOf, isRunning, type MountPoint, pidOf } from './record.ts';
import { startFailure } from './start-errors.ts';
import { acquireVolumes, releaseVolumes } from './volume-use.ts';

const INIT_TARGET = '/sbin/docker-init';

/** Starts a container; `restartCount` is what its record will say. The caller holds its mutex. Every step is undone when a later one fails. */
export async function startContainer(parts: ContainerParts, container: Container, restartCount: number): Promise<void> {
  const { record } = container;
  if (container.removing || record.state.status === 'dead') {
    throw conflict('container is marked for removal and cannot be started');
  }
  if (record.state.status === 'running') {
    if (record.state.paused) throw conflict('cannot start a paused container, try unpause instead');
    throw notModified();
  }
  container.cancelRestart?.();
  try {
    await launch(parts, container, restartCount);
  } catch (error) {
    const command = commandOf(record.config)[0] ?? '';
    const failure = startFailure(error, command);
    const networks = await tearDownNetwork(parts, container.record).catch((reason) => {
      log.warn('network left behind', { container: container.id, error: messageOf(reason) });
      return record.networks;
    });
    parts.runtime.cleanUp(container.id, record.hostConfig.Runtime ?? '', record.hostConfig.CgroupParent);
    await releaseVolumes(parts, record);
    await parts.runtime.forget(container.id).catch(() => {});
    const message = failure.error.message;
    parts.registry.update(container, {
      networks,
      ports: {},
      state:
        record.state.status === 'created'
          ? { status: 'created', exitCode: failure.exitCode, error: message }
          : { ...record.state, status: 'exited', exitCode: failure.exitCode, error: message },
    });
    throw failure.error;
  }
  publish(parts, container, 'start');
}

async function launch(parts: ContainerParts, container: Container, restartCount: number): Promise<void> {
  const { record } = container;
  const { runtime } = parts;
  const { id } = record;
  const joined = joinedNamespaces(parts, record);
  runtime.prepareBundle(id);
  const rootfs = runtime.rootfsOf(id);
  parts.snapshots.mount(id, rootfs);
  const places = await acquireVolumes(parts, record);
  await copyUp(parts.volumes, id, rootfs, places);
  const network = await setUpNetwork(parts, record);
  publishNetworks(parts, record, 'connect');
  try {
    await run(parts, container, restartCount, { network, joined, places });
  } catch (error) {
    publishNetworks(parts, record, 'disconnect');
    throw error;
  }
}

interface Surroundings {
  readonly network: Awaited<ReturnType<typeof setUpNetwork>>;
  readonly joined: ReturnType<typeof joinedNamespaces>;
  /** Its mounts, where they are now. */
  readonly places: readonly MountPoint[];
}

/** The last step of a start: root, network and volumes are there. */
async function run(
  parts: ContainerParts,
  container: Container,
  restartCount: number,
  { network, joined, places }: Surroundings,
): Promise<void> {
  const { record } = container;
  const { runtime, settings } = parts;
  const { id } = record;
  const directory = containerDirectory(settings.dataRoot, id);
  const rootfs = runtime.rootfsOf(id);
  // Not yet durable: if the engine dies now, its next start sweeps the sandbox, and the record never said it ran.
  container.record = { ...record, networks: network.networks, ports: network.ports };
  const own = ociMounts(places, parts.folders);
  const links = linkedContainers(parts, container.record);
  const mounts = [...fileMounts(parts, container.record, directory, links), ...own];
  const spec = containerSpec(withLinkEnvironment(record, links), {
    rootfs,
    network: network.namespace,
    joined,
    mounts,
    sharedMemory: sharedMemory(parts, record),
    cgroupPath: runtime.cgroupOf(id, record.hostConfig.CgroupParent),
    cgroupVersion: settings.cgroupVersion,
    bounding: settings.bounding,
    initPath: settings.initPath,
    initTarget: INIT_TARGET,
  });
  const stdio = {
    tty: record.config.Tty ?? false,
    stdin: record.config.OpenStdin ?? false,
    size: consoleSize(record),
  };
  const target: LogTarget = logTarget(record, directory);
  const { pid, startedAt } = await runtime.start(id, record.hostConfig.Runtime ?? '', spec, stdio, target);
  const before = record.state;
  parts.registry.update(container, {
    networks: network.networks,
    ports: network.ports,
    manuallyStopped: false,
    restartCount,
    state: {
      status: 'running',
      pid,
      startedAt: apiTime(startedAt),
      paused: false,
      finishedAt: 'finishedAt' in before ? before.finishedAt : ZERO_TIME,
    },
  });
}

function consoleSize(record: ContainerRecord): readonly [number, number] | undefined {
  const size = record.hostConfig.ConsoleSize;
  return size && (size[0] > 0 || size[1] > 0) ? [size[0], size[1]] : undefined;
}

/** hosts, hostname and resolv.conf, bound into the container unless the user mounts something there. */
function fileMounts(
  parts: ContainerParts,
  record: ContainerRecord,
  directory: string,
  links: LinkedContainers,
): OciMount[] {
  const kind = networkKind(record);
  let source = directory;
  if (typeof kind === 'object') source = containerDirectory(parts.settings.dataRoot, kind.container);
  else {
    mkdirSync(directory, { recursive: true, mode: 0o710 });
    writeNetworkFiles({
      directory,
      record,
      settings: parts.settings,
      links: links.hosts,
      hostNetwork: kind === 'host',
    });
  }
  const taken = new Set(record.mounts.map((mount) => mount.destination));
  const access = record.hostConfig.ReadonlyRootfs ? 'ro' : 'rw';
  return ['resolv.conf', 'hostname', 'hosts']
    .filter((name) => !taken.has(`/etc/${name}`))
    .map((name) => ({
      destination: `/etc/${name}`,
      type: 'bind',
      source: join(source, name),
      options: ['rbind', 'rprivate', access],
    }));
}

/** Where /dev/shm is that other containers join: this container's own, or the one it joins. */
function sharedMemory({ registry, runtime }: ContainerParts, record: ContainerRecord): string | undefined {
  const mode = record.hostConfig.IpcMode ?? '';
  if (mode === 'shareable') return runtime.makeSharedMemory(record.id, record.hostConfig.ShmSize || DEFAULT_SHM_SIZE);
  if (!mode.startsWith('container:')) return undefined;
  const donor = registry.get(mode.slice('container:'.length)).record;
  return donor.hostConfig.IpcMode === 'shareable' ? runtime.sharedMemoryOf(donor.id) : undefined;
}

function joinedNamespaces(
  parts: ContainerParts,
  record: ContainerRecord,
): Partial<Record<'pid' | 'ipc' | 'uts', NamespaceChoice>> {
  const joined: Partial<Record<'pid' | 'ipc' | 'uts', NamespaceChoice>> = {};
  for (const [kind, mode] of [
    ['pid', record.hostConfig.PidMode],
    ['ipc', record.hostConfig.IpcMode],
  ] as const) {
    if (!mode?.startsWith('container:')) continue;
    const other = parts.registry.get(mode.slice('container:'.length)).record;
    if (!isRunning(other)) {
      const what = kind === 'pid' ? 'PID' : 'IPC';
      throw invalidParameter(`cannot join ${what} of a non running container: ${other.id}`);
    }
    const donorMode = other.hostConfig.IpcMode ?? '';
    if (kind === 'ipc' && donorMode !== 'shareable' && donorMode !== 'host') {
      throw invalidParameter(
        `cannot join IPC of container ${other.id}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)`,
      );
    }
    joined[kind] = { path: `/proc/${pidOf(other)}/ns/${kind}` };
  }
  return joined;
}
