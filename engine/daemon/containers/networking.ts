import { conflict, invalidParameter, messageOf, systemError } from '../../errors.ts';
import { log } from '../../log.ts';
import type { ContainerConfig, EndpointSettings, HostConfig, PortMap } from '../../model/container.ts';
import { outerName, sweepLinks } from '../../network/sandbox.ts';
import type { NamespaceChoice } from '../../runtime/spec.ts';
import {
  allocateEndpoint,
  checkEndpoint,
  defaultEndpoint,
  explicitName,
  freeIndex,
  idleEndpoint,
  refuseConfigOnly,
  releaseEndpoint,
  reserveEndpoint,
  sandboxEndpoints,
} from '../networks/endpoints.ts';
import { usesEmbeddedDns } from '../networks/names.ts';
import type { PortTarget } from '../networks/ports.ts';
import {
  DRIVER_OPTION,
  gatewayModeOf,
  hasAddresses,
  isPredefined,
  type NetworkRecord,
  trustedOf,
} from '../networks/record.ts';
import { resolverSettings } from './network-files.ts';
import type { ContainerParts } from './parts.ts';
import { portWishes, wishesOf } from './port-wishes.ts';
import { type ContainerRecord, type Endpoint, isRunning, pidOf } from './record.ts';

export interface NetworkSetup {
  readonly namespace: NamespaceChoice;
  readonly networks: ContainerRecord['networks'];
  readonly ports: PortMap;
}

/** Which network a container has: its own sandbox, the machine's, or another container's. */
export function networkKind(record: ContainerRecord): 'sandbox' | 'host' | { readonly container: string } {
  const mode = record.hostConfig.NetworkMode ?? 'bridge';
  if (mode === 'host') return 'host';
  if (mode.startsWith('container:')) return { container: mode.slice('container:'.length) };
  return 'sandbox';
}

/** The endpoints of a new container, without addresses yet. */
export function plannedNetworks(
  parts: ContainerParts,
  host: HostConfig,
  wanted: Readonly<Record<string, EndpointSettings | null | undefined>>,
  config: ContainerConfig,
): Record<string, Endpoint> {
  const mode = host.NetworkMode ?? 'bridge';
  if (mode.startsWith('container:')) return {};
  const given = new Map(Object.entries(wanted).map(([name, value]) => [name === 'default' ? 'bridge' : name, value]));
  const planned: Record<string, Endpoint> = {};
  const wishes: { network: NetworkRecord; settings: EndpointSettings }[] = [];
  // The network of the mode comes first; the others in the order of their names, as their interfaces are numbered.
  const names = new Set([mode, ...[...given.keys()].sort()]);
  for (const name of names) {
    const network = parts.networks.get(name);
    refuseConfigOnly(network);
    const settings = { ...(given.get(name) ?? given.get(network.name) ?? {}) };
    if (config.MacAddress && name === mode) settings.MacAddress ||= config.MacAddress;
    if (name === mode && host.Links?.length && !isPredefined(network.name)) settings.Links ??= host.Links;
    checkEndpoint(network, settings);
    if (planned[network.name]) continue;
    if (names.size > 1 && !hasAddresses(network)) {
      throw invalidParameter(
        network.driver === 'host'
          ? 'container cannot be disconnected from host network or connected to host network'
          : 'container cannot be connected to multiple networks with one of the networks in private (none) mode',
      );
    }
    wishes.push({ network, settings });
    planned[network.name] = idleEndpoint(network, settings, 0);
  }
  const named = wishes.map(({ settings }) => explicitName(settings));
  const used: number[] = [];
  for (const { network, settings } of wishes) {
    const index = freeIndex(network, settings, used, named);
    used.push(index);
    planned[network.name] = idleEndpoint(network, settings, index);
  }
  return planned;
}

/** Gives a container its network for one run; undone whole when any part of it fails. */
export async function setUpNetwork(parts: ContainerParts, record: ContainerRecord): Promise<NetworkSetup> {
  const kind = networkKind(record);
  if (kind === 'host') return { namespace: 'host', networks: record.networks, ports: {} };
  if (kind !== 'sandbox') {
    const other = parts.registry.byId(kind.container)?.record;
    if (!other) throw invalidParameter(`No such container: ${kind.container}`);
    if (!isRunning(other)) {
      throw conflict(`cannot join network of a non running container: ${other.id}`);
    }
    return { namespace: { path: `/proc/${pidOf(other)}/ns/net` }, networks: record.networks, ports: {} };
  }
  const allocated: Record<string, Endpoint> = {};
  try {
    for (const [name, endpoint] of Object.entries(record.networks)) {
      const network = parts.networks.get(endpoint.networkId);
      allocated[name] = hasAddresses(network) ? allocateEndpoint(parts.bridges, network, endpoint) : endpoint;
    }
    const path = parts.sandboxes.create(record.id, sandboxEndpoints(parts.bridges, allocated));
    const running = { ...record, networks: allocated };
    openNames(parts, running);
    const published = await publishPorts(parts, running);
    return { namespace: { path }, networks: allocated, ports: published };
  } catch (error) {
    await tearDownNetwork(parts, { ...record, networks: { ...record.networks, ...allocated } });
    throw error;
  }
}

/** Makes the embedded resolver answer a container, when it is one that has it. */
export function openNames(parts: ContainerParts, record: ContainerRecord): void {
  if (!usesEmbeddedDns(record)) return;
  const path = parts.sandboxes.pathOf(record.id);
  parts.names.open(record.id, path, resolverSettings(record, parts.settings, path));
}

/** Ports are published through the network that is the default route, when it is a bridge. */
function portTarget(
  parts: ContainerParts,
  record: ContainerRecord,
): { target: PortTarget; endpoint: Endpoint } | undefined {
  const name = defaultEndpoint(record.networks, 4);
  const endpoint = name === undefined ? undefined : record.networks[name];
  const network = endpoint && parts.bridges.get(endpoint.networkId)?.record;
  if (!endpoint || network?.driver !== 'bridge') return undefined;
  const direct = (family: 4 | 6) => {
    if (gatewayModeOf(network, family) === 'routed') return 'only';
    return trustedOf(network).length > 0 ? 'also' : undefined;
  };
  const { ipAddress: ipv4, ipv6Address: ipv6 } = endpoint;
  return { target: { containerId: record.id, ipv4, ipv6, direct: { 4: direct(4), 6: direct(6) } }, endpoint };
}

async function publishPorts(parts: ContainerParts, record: ContainerRecord): Promise<PortMap> {
  const found = portTarget(parts, record);
  if (!found) return {};
  const { target, endpoint } = found;
  const options = parts.bridges.get(endpoint.networkId)?.record.options;
  const wishes = portWishes(record, options?.[DRIVER_OPTION.hostBinding] ?? '', target.ipv6 !== undefined);
  if (wishes.length === 0) return {};
  try {
    return await parts.ports.publish(target, wishes);
  } catch (error) {
    throw systemError(
      `driver failed programming external connectivity on endpoint ${record.name} (${endpoint.endpointId}): ${messageOf(error)}`,
      error,
    );
  }
}

/**
 * Published ports of a running container whose networks have changed: they go where its way out is now, with the host
 * ports they have. @returns what is published then
 */
export async function movePorts(
  parts: ContainerParts,
  before: ContainerRecord,
  now: ContainerRecord,
): Promise<PortMap> {
  const from = portTarget(parts, before);
  const to = portTarget(parts, now);
  if (from?.endpoint.endpointId === to?.endpoint.endpointId) return now.ports;
  await parts.ports.unpublish(now.id);
  if (!to) return {};
  return from ? await parts.ports.publish(to.target, wishesOf(now.ports)) : await publishPorts(parts, now);
}

/** Takes a container's network away. @returns its endpoints without addresses */
export async function tearDownNetwork(
  parts: ContainerParts,
  record: ContainerRecord,
): Promise<ContainerRecord['networks']> {
  if (networkKind(record) !== 'sandbox') return record.networks;
  parts.names.close(record.id);
  await parts.ports.unpublish(record.id);
  parts.sandboxes.release(record.id);
  const idle: Record<string, Endpoint> = {};
  for (const [name, endpoint] of Object.entries(record.networks)) idle[name] = releaseEndpoint(parts.bridges, endpoint);
  return idle;
}

/**
 * After the engine's start, with the networks up: what running containers have is theirs again (addresses, ports, names),
 * links that no record speaks of go, and an interface that a crash took between its end and its record comes back.
 */
export async function restoreNetworks(parts: ContainerParts): Promise<void> {
  const running = parts.registry.all().filter(({ record }) => isRunning(record) && networkKind(record) === 'sandbox');
  const live = running.flatMap(({ record }) => Object.values(record.networks).filter((endpoint) => endpoint.ipAddress));
  for (const endpoint of live) reserveEndpoint(parts.bridges, endpoint);
  const veths = live.map((endpoint) => outerName(endpoint.endpointId));
  const there = sweepLinks(parts.bridges.group, new Set([...parts.networks.links(), ...veths]));
  for (const { record } of running) {
    try {
      for (const endpoint of sandboxEndpoints(parts.bridges, record.networks)) {
        if (endpoint.link.kind === 'veth' && !there.has(endpoint.link.outer.name)) {
          parts.sandboxes.connect(record.id, endpoint);
        }
      }
      openNames(parts, record);
      const found = portTarget(parts, record);
      if (found) await parts.ports.adopt(found.target, record.ports);
    } catch (error) {
      log.warn('network not taken over', { container: record.id, error: messageOf(error) });
    }
  }
}
