import { invalidParameter, systemError } from '../../errors.ts';
import type { EndpointSettings } from '../../model/container.ts';
import type { SandboxEndpoint } from '../../network/sandbox.ts';
import type { Endpoint } from '../containers/record.ts';
import { newId } from '../ids.ts';
import { type Bridges, macOf } from './bridges.ts';
import type { NetworkRecord } from './record.ts';

/** An endpoint without addresses: a container that is on the network but doesn't run. */
export function idleEndpoint(network: NetworkRecord, settings: EndpointSettings, index: number): Endpoint {
  return {
    networkId: network.id,
    settings,
    endpointId: '',
    ipAddress: '',
    prefix: 0,
    gateway: '',
    macAddress: '',
    index,
  };
}

/** Gives an endpoint its addresses for one run of its container. */
export function allocateEndpoint(bridges: Bridges, network: NetworkRecord, idle: Endpoint): Endpoint {
  const bridge = bridges.get(network.id);
  if (!bridge) throw systemError(`network ${network.name} is not up`);
  const wanted = idle.settings.IPAMConfig?.IPv4Address || undefined;
  const ipAddress = bridge.pool.allocate(wanted);
  return {
    ...idle,
    endpointId: newId(),
    ipAddress,
    prefix: bridge.subnet.prefix,
    gateway: network.internal ? '' : bridge.gateway,
    macAddress: idle.settings.MacAddress || macOf(ipAddress),
  };
}

/** Gives an endpoint's address back; the endpoint stays as the container's wish. */
export function releaseEndpoint(bridges: Bridges, endpoint: Endpoint): Endpoint {
  if (endpoint.ipAddress) bridges.get(endpoint.networkId)?.pool.release(endpoint.ipAddress);
  return { ...endpoint, endpointId: '', ipAddress: '', prefix: 0, gateway: '', macAddress: '' };
}

/** What the kernel must set up for it. `isDefault`: its gateway is the container's default route. */
export function sandboxEndpoint(bridges: Bridges, endpoint: Endpoint, isDefault: boolean): SandboxEndpoint {
  const bridge = bridges.get(endpoint.networkId);
  if (!bridge) throw systemError(`network ${endpoint.networkId} is not up`);
  return {
    endpointId: endpoint.endpointId,
    bridge: bridge.index,
    index: endpoint.index,
    mac: endpoint.macAddress,
    mtu: bridge.mtu,
    addresses: [{ ip: endpoint.ipAddress, prefix: endpoint.prefix }],
    gateways: isDefault && endpoint.gateway ? [endpoint.gateway] : [],
  };
}

/** Name of the endpoint whose gateway is used: the highest priority, then the first by name, as Docker has it. */
export function defaultEndpoint(endpoints: Readonly<Record<string, Endpoint>>): string | undefined {
  return Object.entries(endpoints)
    .filter(([, endpoint]) => endpoint.gateway)
    .sort(
      ([nameA, a], [nameB, b]) =>
        (b.settings.GwPriority ?? 0) - (a.settings.GwPriority ?? 0) || nameA.localeCompare(nameB),
    )[0]?.[0];
}

/** Refuses addresses where there is no subnet the user chose. */
export function checkEndpoint(network: NetworkRecord, settings: EndpointSettings): void {
  const wanted = settings.IPAMConfig?.IPv4Address;
  if (wanted && network.name === 'bridge') {
    throw invalidParameter(
      'invalid config for network bridge: invalid endpoint settings:\nuser specified IP address is supported on user defined networks only',
    );
  }
}
