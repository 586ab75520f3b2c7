import { isIPv4, isIPv6 } from 'node:net';

import { forbidden, invalidParameter, systemError } from '../../errors.ts';
import type { EndpointSettings } from '../../model/container.ts';
import type { SandboxEndpoint } from '../../network/sandbox.ts';
import { containsIp, type Family, parseSubnet } from '../../network/subnet.ts';
import type { Endpoint } from '../containers/record.ts';
import { newId } from '../ids.ts';
import { type Bridges, macOf } from './bridges.ts';
import { DRIVER_OPTION, ENDPOINT_OPTION, hasAddresses, isPredefined, type NetworkRecord } from './record.ts';

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
  const live = bridges.get(network.id);
  if (!live) throw systemError(`network ${network.name} is not up`);
  const { IPv4Address, IPv6Address } = idle.settings.IPAMConfig ?? {};
  const four = bridges.allocate(live, 4, IPv4Address || undefined);
  if (!four) throw systemError(`network ${network.name} has no IPv4 subnet`);
  try {
    const six = bridges.allocate(live, 6, IPv6Address || undefined);
    const gateway = (subnet: typeof four): string => (network.internal ? '' : (subnet.subnet.gateway ?? ''));
    return {
      ...idle,
      endpointId: newId(),
      ipAddress: four.ip,
      prefix: four.subnet.subnet.prefix,
      gateway: gateway(four),
      macAddress: idle.settings.MacAddress?.toLowerCase().replaceAll('-', ':') || macOf(four.ip),
      ...(six ? { ipv6Address: six.ip, ipv6Prefix: six.subnet.subnet.prefix, ipv6Gateway: gateway(six) } : {}),
    };
  } catch (error) {
    bridges.release(network.id, four.ip);
    throw error;
  }
}

/** Marks the addresses of a running container's endpoint as taken. */
export function reserveEndpoint(bridges: Bridges, endpoint: Endpoint): void {
  if (endpoint.ipAddress) bridges.reserve(endpoint.networkId, endpoint.ipAddress);
  if (endpoint.ipv6Address) bridges.reserve(endpoint.networkId, endpoint.ipv6Address);
}

/** Gives an endpoint's addresses back; the endpoint stays as the container's wish. */
export function releaseEndpoint(bridges: Bridges, endpoint: Endpoint): Endpoint {
  if (endpoint.ipAddress) bridges.release(endpoint.networkId, endpoint.ipAddress);
  if (endpoint.ipv6Address) bridges.release(endpoint.networkId, endpoint.ipv6Address);
  const { networkId, settings, index } = endpoint;
  return { networkId, settings, endpointId: '', ipAddress: '', prefix: 0, gateway: '', macAddress: '', index };
}

/** What the kernel must set up for each endpoint with addresses; the default routes go to the ones that win. */
export function sandboxEndpoints(bridges: Bridges, endpoints: Readonly<Record<string, Endpoint>>): SandboxEndpoint[] {
  const four = defaultEndpoint(endpoints, 4);
  const six = defaultEndpoint(endpoints, 6);
  return Object.entries(endpoints)
    .filter(([, endpoint]) => endpoint.ipAddress)
    .map(([name, endpoint]) => sandboxEndpoint(bridges, endpoint, { four: name === four, six: name === six }));
}

function sandboxEndpoint(
  bridges: Bridges,
  endpoint: Endpoint,
  isDefault: { readonly four: boolean; readonly six: boolean },
): SandboxEndpoint {
  const live = bridges.get(endpoint.networkId);
  if (!live) throw systemError(`network ${endpoint.networkId} is not up`);
  const { ipv6Address, ipv6Prefix = 64, ipv6Gateway, settings } = endpoint;
  const local = (settings.IPAMConfig?.LinkLocalIPs ?? []).map((ip) => ({ ip, prefix: isIPv4(ip) ? 16 : 64 }));
  const gateways: { family: Family; ip: string }[] = [];
  // ipvlan's layer 3 has no gateways: everything is on the link.
  const onLink = /^l3/.test(live.record.options[DRIVER_OPTION.ipvlanMode] ?? '');
  if (isDefault.four) gateways.push({ family: 4, ip: onLink ? '' : endpoint.gateway });
  if (isDefault.six) gateways.push({ family: 6, ip: onLink ? '' : (ipv6Gateway ?? '') });
  return {
    link: bridges.linkFor(live, endpoint.endpointId),
    index: endpoint.index,
    name: interfaceName(bridges, endpoint),
    mac: endpoint.macAddress,
    mtu: live.mtu,
    addresses: [
      { ip: endpoint.ipAddress, prefix: endpoint.prefix },
      ...(ipv6Address ? [{ ip: ipv6Address, prefix: ipv6Prefix }] : []),
      ...local,
    ],
    gateways,
    sysctls: sysctlsOf(settings),
  };
}

/** Name that an endpoint's user gave its interface inside. */
export const explicitName = (settings: EndpointSettings): string | undefined =>
  settings.DriverOpts?.[ENDPOINT_OPTION.interfaceName] || undefined;

const prefixOf = (network: NetworkRecord | undefined): string => network?.options[DRIVER_OPTION.prefix] || 'eth';

/** Name of an endpoint's interface inside. */
export function interfaceName(bridges: Bridges, endpoint: Endpoint): string {
  const prefix = prefixOf(bridges.get(endpoint.networkId)?.record);
  return explicitName(endpoint.settings) ?? `${prefix}${endpoint.index}`;
}

/** Numbers of interfaces with names of their own: out of the way of those that are counted. */
const NAMED = 1000;

/**
 * A number for a new interface of a container: the lowest whose name is free.
 * @param used numbers of its others
 * @param named names that users gave its others
 */
export function freeIndex(
  network: NetworkRecord,
  settings: EndpointSettings,
  used: readonly number[],
  named: readonly (string | undefined)[],
): number {
  let index = explicitName(settings) ? NAMED : 0;
  while (used.includes(index) || named.includes(`${prefixOf(network)}${index}`)) index++;
  return index;
}

/** moby refuses it when the container starts; this engine at once. */
export function refuseConfigOnly(network: NetworkRecord): void {
  if (network.configOnly) throw forbidden('cannot create endpoint on configuration-only network');
}

/** Name of the endpoint whose gateway is used: the highest priority, then the first by name, as Docker has it. */
export function defaultEndpoint(endpoints: Readonly<Record<string, Endpoint>>, family: Family): string | undefined {
  return Object.entries(endpoints)
    .filter(([, endpoint]) => (family === 4 ? endpoint.gateway : endpoint.ipv6Gateway))
    .sort(
      ([nameA, a], [nameB, b]) =>
        (b.settings.GwPriority ?? 0) - (a.settings.GwPriority ?? 0) || (nameA < nameB ? -1 : 1),
    )[0]?.[0];
}

/** Settings of an endpoint that can't be, in the words of moby's validateEndpointSettings. */
export function checkEndpoint(network: NetworkRecord, settings: EndpointSettings): void {
  const { IPv4Address, IPv6Address, LinkLocalIPs } = settings.IPAMConfig ?? {};
  const errors: string[] = [];
  if (IPv4Address && !isIPv4(IPv4Address)) errors.push(`invalid IPv4 address: ${IPv4Address}`);
  if (IPv6Address && !isIPv6(IPv6Address)) errors.push(`invalid IPv6 address: ${IPv6Address}`);
  for (const ip of LinkLocalIPs ?? []) {
    if (!isIPv4(ip) && !isIPv6(ip)) errors.push(`invalid link-local IP address: ${ip}`);
  }
  const wanted = [IPv4Address ?? '', IPv6Address ?? ''].filter((ip) => ip !== '');
  if (isPredefined(network.name)) {
    if (wanted.length > 0) errors.push('user specified IP address is supported on user defined networks only');
    if (settings.Aliases?.length) {
      errors.push('network-scoped aliases are only supported for user-defined networks');
    }
  } else if (wanted.length > 0 && errors.length === 0) errors.push(...checkAddresses(network, wanted));
  if (settings.MacAddress && !/^([0-9a-f]{2}[:-]){5}[0-9a-f]{2}$/i.test(settings.MacAddress)) {
    throw invalidParameter(`invalid MAC address: ${settings.MacAddress}`);
  }
  errors.push(...sysctlsOf(settings).flatMap(checkSysctl));
  if (errors.length > 0) {
    const text = errors.length === 1 ? errors[0] : errors.map((error) => `* ${error}`).join('\n');
    throw invalidParameter(`invalid config for network ${network.name}: invalid endpoint settings:\n${text}`);
  }
  if (settings.MacAddress && network.driver === 'ipvlan') {
    throw invalidParameter('ipvlan interfaces do not support custom mac address assignment');
  }
}

/** `net.ipv4.conf.IFNAME.log_martians=1` and others, joined by commas; IFNAME is the interface, whatever its name will be. */
const sysctlsOf = (settings: EndpointSettings): string[] =>
  settings.DriverOpts?.[ENDPOINT_OPTION.sysctls]?.split(',') ?? [];

function checkSysctl(sysctl: string): string[] {
  const [, family = '', , place = '', rest] = sysctl.split('.');
  if (rest !== undefined && ['ipv4', 'ipv6', 'mpls'].includes(family) && /^(IFNAME|ifname)$/.test(place)) return [];
  return [
    `unrecognised network interface sysctl '${sysctl}'; represent 'net.X.Y.ethN.Z=V' as 'net.X.Y.IFNAME.Z=V', 'X' must be 'ipv4', 'ipv6' or 'mpls'`,
  ];
}

function checkAddresses(network: NetworkRecord, wanted: readonly string[]): string[] {
  if (!hasAddresses(network)) return [];
  if (network.ownSubnets === false) {
    return ['user specified IP address is supported only when connecting to networks with user configured subnets'];
  }
  const subnets = network.ipam.config.map((config) => parseSubnet(config.Subnet));
  return wanted
    .filter((ip) => !subnets.some((subnet) => containsIp(subnet, ip)))
    .map((ip) => `no configured subnet or ip-range contain the IP address ${ip}`);
}
