import { conflict, invalidParameter, messageOf, systemError } from '../../errors.ts';
import type { HostConfig, PortMap } from '../../model/container.ts';
import type { NamespaceChoice } from '../../runtime/spec.ts';
import { allocateEndpoint, defaultEndpoint, releaseEndpoint, sandboxEndpoint } from '../networks/endpoints.ts';
import type { PortWish } from '../networks/ports.ts';
import type { ContainerParts } from './parts.ts';
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
      allocated[name] = network.driver === 'bridge' ? allocateEndpoint(parts.bridges, network, endpoint) : endpoint;
    }
    const live = Object.values(allocated).filter((endpoint) => endpoint.ipAddress);
    const first = defaultEndpoint(allocated);
    const path = parts.sandboxes.create(
      record.id,
      live.map((endpoint) => sandboxEndpoint(parts.bridges, endpoint, endpoint === (first && allocated[first]))),
    );
    const published = first ? await publishPorts(parts, record, allocated[first]!) : {};
    return { namespace: { path }, networks: allocated, ports: published };
  } catch (error) {
    await tearDownNetwork(parts, { ...record, networks: { ...record.networks, ...allocated } });
    throw error;
  }
}

async function publishPorts(parts: ContainerParts, record: ContainerRecord, endpoint: Endpoint): Promise<PortMap> {
  const wishes = portWishes(record);
  if (wishes.length === 0) return {};
  try {
    return await parts.ports.publish(record.id, endpoint.ipAddress, wishes);
  } catch (error) {
    throw systemError(
      `driver failed programming external connectivity on endpoint ${record.name} (${endpoint.endpointId}): ${messageOf(error)}`,
      error,
    );
  }
}

/** Ports to publish: `-p` and, with `-P`, every exposed port that has no binding. */
export function portWishes(record: { config: ContainerRecord['config']; hostConfig: HostConfig }): PortWish[] {
  const wishes: PortWish[] = [];
  const bindings = record.hostConfig.PortBindings ?? {};
  const wish = (name: string, hostIp: string, range: readonly [number, number]): void => {
    const [port = '', protocol = 'tcp'] = name.split('/');
    wishes.push({ protocol: protocol as PortWish['protocol'], containerPort: Number(port), hostIp, range });
  };
  for (const [name, list] of Object.entries(bindings)) {
    for (const { HostIp = '', HostPort = '' } of list ?? []) {
      const [first = '', last = first] = HostPort.split('-');
      if (!/^\d*$/.test(first) || !/^\d*$/.test(last))
        throw invalidParameter(`invalid port specification: ${HostPort}`);
      // IPv6 bindings are dropped when a plain one stands beside them; alone they mean every address.
      wish(name, HostIp.includes(':') || HostIp === '' ? '0.0.0.0' : HostIp, [Number(first), Number(last)]);
    }
  }
  if (record.hostConfig.PublishAllPorts) {
    for (const name of Object.keys(record.config.ExposedPorts ?? {})) {
      if (!bindings[name]?.length) wish(name.includes('/') ? name : `${name}/tcp`, '0.0.0.0', [0, 0]);
    }
  }
  return unique(wishes);
}

/** `-p 80:80` comes from some clients as two bindings, IPv4 and IPv6, of one port. */
function unique(wishes: readonly PortWish[]): PortWish[] {
  const seen = new Set<string>();
  return wishes.filter((wish) => {
    const key = `${wish.protocol} ${wish.hostIp} ${wish.range[0]} ${wish.containerPort}`;
    return wish.range[0] === 0 || !seen.has(key) ? seen.add(key) : false;
  });
}

/** Takes a container's network away. @returns its endpoints without addresses */
export async function tearDownNetwork(
  parts: ContainerParts,
  record: ContainerRecord,
): Promise<ContainerRecord['networks']> {
  if (networkKind(record) !== 'sandbox') return record.networks;
  await parts.ports.unpublish(record.id);
  parts.sandboxes.release(record.id);
  const idle: Record<string, Endpoint> = {};
  for (const [name, endpoint] of Object.entries(record.networks)) idle[name] = releaseEndpoint(parts.bridges, endpoint);
  return idle;
}
