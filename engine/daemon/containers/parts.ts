import type { Sandboxes } from '../../network/sandbox.ts';
import type { Runtime } from '../../runtime/runtime.ts';
import type { Snapshots } from '../../snapshots/snapshots.ts';
import type { Events } from '../events.ts';
import type { Images } from '../images/images.ts';
import type { Bridges } from '../networks/bridges.ts';
import type { Names } from '../networks/names.ts';
import type { Networks } from '../networks/networks.ts';
import type { Ports } from '../networks/ports.ts';
import type { Volumes } from '../volumes/volumes.ts';
import type { Container } from './container.ts';
import type { ContainerDefaults } from './defaults.ts';
import type { HostFolders } from './host-folders.ts';
import type { NameSettings } from './network-files.ts';
import type { ContainerRecord } from './record.ts';
import type { ContainerRegistry } from './registry.ts';

export interface ContainerSettings extends NameSettings {
  readonly dataRoot: string;
  /** What the machine's kernel lets the engine have. */
  readonly bounding: readonly string[];
  readonly cgroupVersion: 1 | 2;
  readonly defaults: ContainerDefaults;
  /** Program for --init on this machine, and where a container sees it. */
  readonly initPath: string;
}

/** What the container operations work with. Each operation is a function or a small class over these. */
export interface ContainerParts {
  readonly registry: ContainerRegistry;
  readonly images: Images;
  readonly snapshots: Snapshots;
  readonly runtime: Runtime;
  readonly volumes: Volumes;
  readonly networks: Networks;
  readonly bridges: Bridges;
  readonly names: Names;
  readonly ports: Ports;
  readonly sandboxes: Sandboxes;
  readonly events: Events;
  readonly folders: HostFolders;
  /** Whose processes and snapshots are none of containers'. */
  readonly plugins: { has(id: string): boolean };
  readonly settings: ContainerSettings;
}

/** Tells of something that happened to a container, with the attributes Docker gives every such event. */
export function publish(
  parts: Pick<ContainerParts, 'events'>,
  container: Container,
  action: string,
  extra: Readonly<Record<string, string>> = {},
): void {
  const { record } = container;
  parts.events.publish('container', action, container.id, {
    ...record.config.Labels,
    image: record.imageName,
    name: record.name,
    ...extra,
  });
}

/** Tells that a container has got its networks, or has them no longer: with its start and its end. */
export function publishNetworks(
  parts: Pick<ContainerParts, 'events' | 'networks'>,
  record: ContainerRecord,
  action: 'connect' | 'disconnect',
): void {
  for (const { networkId } of Object.values(record.networks)) {
    const network = parts.networks.byId(networkId);
    if (!network) continue;
    const attributes = { container: record.id, name: network.name, type: network.driver };
    parts.events.publish('network', action, network.id, attributes);
  }
}
