import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';

import { invalidParameter, systemError } from '../../errors.ts';
import { AddressPool } from '../../network/address-pool.ts';
import { type FirewalledBridge, type PublishedPort, resetFirewall } from '../../network/firewall.ts';
import { deleteLink, ensureBridge, ensureParent, type LinkKind, linkExists } from '../../network/links.ts';
import { outerName } from '../../network/sandbox.ts';
import { containsIp, type Family, parseSubnet, type Subnet } from '../../network/subnet.ts';
import { vlanMode } from './driver-options.ts';
import {
  bridgeName,
  DRIVER_OPTION,
  flagOf,
  gatewayModeOf,
  hasAddresses,
  type NetworkRecord,
  trustedOf,
} from './record.ts';

/** One subnet of a network that is up. */
export interface LiveSubnet {
  readonly pool: AddressPool;
  readonly subnet: Subnet;
  /** Undefined on a network without one. */
  readonly gateway: string | undefined;
}

export interface LiveNetwork {
  readonly record: NetworkRecord;
  /** Bridge, or macvlan's and ipvlan's parent. */
  readonly index: number;
  readonly subnets: readonly LiveSubnet[];
  readonly mtu: number;
}

/** A MAC made of the address, so that it is unique where the address is (02:42 + IPv4, as Docker's). */
export function macOf(ip: string): string {
  const bytes = ip.split('.').map((part) => Number(part).toString(16).padStart(2, '0'));
  return `02:42:${bytes.join(':')}`;
}

/** The kernel's side of networks: bridges and parents, address pools, and the firewall over all of them. */
export class Bridges {
  readonly #live = new Map<string, LiveNetwork>();
  readonly #published: () => readonly PublishedPort[];
  readonly #defaultMtu: number;
  /** Marks this engine's links: 31 bits made of where its records are. */
  readonly group: number;

  /** @param published every port that is published now, for rewriting the firewall whole */
  constructor(published: () => readonly PublishedPort[], options: { readonly dataRoot: string; readonly mtu: number }) {
    this.#published = published;
    this.#defaultMtu = options.mtu;
    this.group = createHash('sha256').update(options.dataRoot).digest().readUInt32BE(0) >>> 1 || 1;
  }

  /** Makes the links of a network and lets traffic through. */
  up(network: NetworkRecord, options: { firewall: boolean } = { firewall: true }): void {
    if (!hasAddresses(network)) return;
    const subnets = network.ipam.config.map((config): LiveSubnet => {
      const subnet = parseSubnet(config.Subnet);
      const pool = new AddressPool(subnet, config.IPRange ? parseSubnet(config.IPRange) : subnet);
      for (const ip of Object.values(config.AuxiliaryAddresses ?? {})) pool.reserve(ip);
      if (config.Gateway) pool.reserve(config.Gateway);
      return { pool, subnet, gateway: config.Gateway };
    });
    const mtu = Number(network.options[DRIVER_OPTION.mtu] || this.#defaultMtu);
    const index = network.driver === 'bridge' ? this.#bridge(network, subnets, mtu) : this.#parent(network);
    this.#live.set(network.id, { record: network, index, subnets, mtu });
    if (options.firewall) this.writeFirewall();
  }

  #bridge(network: NetworkRecord, subnets: readonly LiveSubnet[], mtu: number): number {
    const name = bridgeName(network);
    const addresses = subnets.flatMap(({ gateway, subnet }) =>
      gateway && hasOwnAddress(network, subnet.family) ? [{ ip: gateway, prefix: subnet.prefix }] : [],
    );
    const mac = macOf(addresses.find(({ ip }) => !ip.includes(':'))?.ip ?? '0.0.0.0');
    const index = ensureBridge({ name, group: this.group, addresses, mtu, mac });
    // Lets this machine reach published ports through its own loopback addresses.
    writeFileSync(`/proc/sys/net/ipv4/conf/${name}/route_localnet`, '1');
    if (network.enableIPv6) writeFileSync('/proc/sys/net/ipv6/conf/all/forwarding', '1');
    return index;
  }

  #parent(network: NetworkRecord): number {
    const parent = network.options[DRIVER_OPTION.parent];
    if (!parent) return ensureParent({ name: dummyName(network), group: this.group });
    const vlan = /^(.+)\.(\d+)$/.exec(parent);
    const exists = linkExists(parent);
    if (!exists && !(vlan && linkExists(vlan[1]!))) {
      throw invalidParameter(`invalid subinterface vlan name ${parent}, example formatting is eth0.10`);
    }
    return ensureParent(
      { name: parent, group: this.group },
      !exists && vlan ? { of: vlan[1]!, id: Number(vlan[2]) } : undefined,
    );
  }

  down(network: NetworkRecord): void {
    this.#live.delete(network.id);
    for (const name of this.linksOf(network)) deleteLink(name);
    if (network.driver === 'bridge') this.writeFirewall();
  }

  /** Names of the links that this network has of the engine's own. A VLAN of a parent stays while another network needs it. */
  linksOf(network: NetworkRecord): string[] {
    if (network.driver === 'bridge') return [bridgeName(network)];
    if (!hasAddresses(network)) return [];
    return network.options[DRIVER_OPTION.parent] ? [] : [dummyName(network)];
  }

  get(networkId: string): LiveNetwork | undefined {
    return this.#live.get(networkId);
  }

  /** How a container is plugged into a network. */
  linkFor(live: LiveNetwork, endpointId: string): LinkKind {
    const { record, index } = live;
    if (record.driver === 'macvlan' || record.driver === 'ipvlan') {
      return { kind: record.driver, parent: index, ...vlanMode(record), firstName: `vl${endpointId.slice(0, 8)}` };
    }
    const isolated = !flagOf(record, DRIVER_OPTION.icc, true);
    return { kind: 'veth', bridge: index, isolated, outer: { name: outerName(endpointId), group: this.group } };
  }

  /** Addresses of one family: the one asked for, or the first free one of the network's subnets. */
  allocate(live: LiveNetwork, family: Family, wanted?: string): { ip: string; subnet: LiveSubnet } | undefined {
    const own = live.subnets.filter(({ subnet }) => subnet.family === family);
    if (own.length === 0) return undefined;
    const fitting = wanted ? own.filter(({ subnet }) => containsIp(subnet, wanted)) : own;
    let failure: unknown = systemError('Invalid address');
    for (const subnet of fitting) {
      try {
        return { ip: subnet.pool.allocate(wanted), subnet };
      } catch (error) {
        failure = error;
      }
    }
    throw failure;
  }

  /** Marks an address that a record says is in use. */
  reserve(networkId: string, ip: string): void {
    this.#poolOf(networkId, ip)?.reserve(ip);
  }

  release(networkId: string, ip: string): void {
    this.#poolOf(networkId, ip)?.release(ip);
  }

  #poolOf(networkId: string, ip: string): AddressPool | undefined {
    return this.#live.get(networkId)?.subnets.find(({ subnet }) => containsIp(subnet, ip))?.pool;
  }

  writeFirewall(): void {
    const bridges = [...this.#live.values()]
      .filter(({ record }) => record.driver === 'bridge')
      .map(
        ({ record, subnets }): FirewalledBridge => ({
          name: bridgeName(record),
          subnets: subnets.map(({ subnet }, index) => ({
            family: subnet.family,
            cidr: record.ipam.config[index]!.Subnet,
            mode: gatewayModeOf(record, subnet.family),
            sourceIp:
              record.options[subnet.family === 4 ? DRIVER_OPTION.sourceIp4 : DRIVER_OPTION.sourceIp6] || undefined,
          })),
          trusted: trustedOf(record),
          masquerade: flagOf(record, DRIVER_OPTION.masquerade, true),
          internal: record.internal,
          interContainer: flagOf(record, DRIVER_OPTION.icc, true),
        }),
      );
    resetFirewall(bridges, this.#published());
  }

  /** Every subnet in use. */
  usedSubnets(): Subnet[] {
    return [...this.#live.values()].flatMap(({ subnets }) => subnets.map(({ subnet }) => subnet));
  }
}

/** Whether the bridge itself has the gateway's address. */
function hasOwnAddress(network: NetworkRecord, family: Family): boolean {
  if (gatewayModeOf(network, family) === 'isolated') return false;
  return family === 6 || !flagOf(network, DRIVER_OPTION.inhibit4, false);
}

/** The parent of a macvlan or ipvlan network that names none: it leads nowhere. */
const dummyName = (network: NetworkRecord): string => `dm-${network.id.slice(0, 12)}`;
