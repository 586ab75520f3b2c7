import { forbidden, invalidParameter, messageOf } from '../../errors.ts';
import { log } from '../../log.ts';
import type { EndpointSettings, PortMap } from '../../model/container.ts';
import {
  allocateEndpoint,
  checkEndpoint,
  defaultEndpoint,
  explicitName,
  freeIndex,
  idleEndpoint,
  interfaceName,
  refuseConfigOnly,
  releaseEndpoint,
  sandboxEndpoints,
} from '../networks/endpoints.ts';
import { usesEmbeddedDns } from '../networks/names.ts';
import { hasAddresses, type NetworkRecord } from '../networks/record.ts';
import type { Container } from './container.ts';
import { containerDirectory } from './create.ts';
import { addHostsLine, removeHostsLines, useEmbeddedResolver } from './network-files.ts';
import { movePorts, networkKind, openNames } from './networking.ts';
import type { ContainerParts } from './parts.ts';
import { type ContainerRecord, type Endpoint, isRunning } from './record.ts';

/** POST /networks/{id}/connect: live when the container runs. The caller holds the mutex. */
export async function connectContainer(
  parts: ContainerParts,
  container: Container,
  network: NetworkRecord,
  settings: EndpointSettings,
): Promise<void> {
  const { record } = container;
  refuseConfigOnly(network);
  checkMode(record, network);
  if (record.networks[network.name]) {
    throw forbidden(`endpoint with name ${record.name} already exists in network ${network.name}`);
  }
  checkEndpoint(network, settings);
  const others = Object.values(record.networks);
  const used = others.map((endpoint) => endpoint.index);
  const named = others.map((endpoint) => explicitName(endpoint.settings));
  const idle = idleEndpoint(network, settings, freeIndex(network, settings, used, named));
  const endpoint = isRunning(record) ? plugIn(parts, record, network, idle) : idle;
  try {
    parts.registry.update(container, { networks: { ...record.networks, [network.name]: endpoint } });
  } catch (error) {
    if (isRunning(record)) unplug(parts, record, endpoint);
    throw error;
  }
  if (isRunning(record)) {
    refreshNames(parts, container.record, record, endpoint);
    await refreshPorts(parts, container, record);
  }
  publishChange(parts, container, network, 'connect');
}

/** Docker's rules for which networks go together. */
function checkMode(record: ContainerRecord, network: NetworkRecord): void {
  const kind = networkKind(record);
  if (typeof kind === 'object') {
    throw invalidParameter(
      'container sharing network namespace with another container or host cannot be connected to any other network',
    );
  }
  if (kind === 'host' || network.driver === 'host') {
    throw invalidParameter('container cannot be disconnected from host network or connected to host network');
  }
  if (network.driver === 'null' || record.networks.none) {
    throw invalidParameter(
      'container cannot be connected to multiple networks with one of the networks in private (none) mode',
    );
  }
}

function plugIn(parts: ContainerParts, record: ContainerRecord, network: NetworkRecord, idle: Endpoint): Endpoint {
  const endpoint = allocateEndpoint(parts.bridges, network, idle);
  try {
    const all = { ...record.networks, [network.name]: endpoint };
    const own = sandboxEndpoints(parts.bridges, all).find((candidate) => candidate.index === endpoint.index);
    if (own) parts.sandboxes.connect(record.id, own);
    return endpoint;
  } catch (error) {
    releaseEndpoint(parts.bridges, endpoint);
    throw error;
  }
}

function unplug(parts: ContainerParts, record: ContainerRecord, endpoint: Endpoint): void {
  parts.sandboxes.disconnect(record.id, interfaceName(parts.bridges, endpoint));
  releaseEndpoint(parts.bridges, endpoint);
}

/** Ports follow the way out. A port that can't is lost, not the container's new network. */
async function refreshPorts(parts: ContainerParts, container: Container, before: ContainerRecord): Promise<void> {
  const ports = await movePorts(parts, before, container.record).catch((error): PortMap => {
    log.warn('published ports are lost with a network', { container: container.id, error: messageOf(error) });
    return {};
  });
  if (ports !== container.record.ports) parts.registry.update(container, { ports });
}

/** hosts and resolver of a container that has come to one more network. */
function refreshNames(parts: ContainerParts, now: ContainerRecord, before: ContainerRecord, endpoint: Endpoint): void {
  const directory = containerDirectory(parts.settings.dataRoot, now.id);
  addHostsLine(directory, now, endpoint);
  // Its way out may have changed, and with it whether names beyond the engine's are asked for.
  if (usesEmbeddedDns(now)) openNames(parts, now);
  if (!usesEmbeddedDns(before) && usesEmbeddedDns(now)) useEmbeddedResolver(directory, now, parts.settings);
}

/** POST /networks/{id}/disconnect. The caller holds the mutex. */
export async function disconnectContainer(
  parts: ContainerParts,
  container: Container,
  network: NetworkRecord,
  force: boolean,
): Promise<void> {
  const { record } = container;
  const endpoint = record.networks[network.name];
  if (record.hostConfig.NetworkMode === 'host' || network.driver === 'host') {
    throw invalidParameter('container cannot be disconnected from host network or connected to host network');
  }
  if (!endpoint) {
    if (force) return;
    throw forbidden(`container ${container.id} is not connected to network ${network.name}`);
  }
  const { [network.name]: _gone, ...networks } = record.networks;
  const live = isRunning(record) && hasAddresses(network);
  if (live) unplug(parts, record, endpoint);
  parts.registry.update(container, { networks });
  if (live) {
    removeHostsLines(containerDirectory(parts.settings.dataRoot, record.id), endpoint);
    const lostRoute = ([4, 6] as const).some(
      (family) => defaultEndpoint(record.networks, family) === network.name && defaultEndpoint(networks, family),
    );
    if (lostRoute) parts.sandboxes.route(container.id, sandboxEndpoints(parts.bridges, networks));
    if (parts.names.isOpen(container.id)) {
      if (usesEmbeddedDns(container.record)) openNames(parts, container.record);
    }
    await refreshPorts(parts, container, record);
  }
  publishChange(parts, container, network, 'disconnect');
}

function publishChange(
  parts: ContainerParts,
  container: Container,
  network: NetworkRecord,
  action: 'connect' | 'disconnect',
): void {
  parts.events.publish('network', action, network.id, {
    container: container.id,
    name: network.name,
    type: network.driver,
  });
}
