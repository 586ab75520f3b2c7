import { readFileSync, writeFileSync } from 'node:fs';

import { AddressPool } from '../../network/address-pool.ts';
import { type FirewalledBridge, type PublishedPort, resetFirewall } from '../../network/firewall.ts';
import { deleteLink, ensureBridge } from '../../network/links.ts';
import { overlaps, parseSubnet, type Subnet, toText } from '../../network/subnet.ts';
import { BRIDGE_OPTION, bridgeName, type NetworkRecord } from './record.ts';

/** Pools that subnets are taken from when the client names none (Docker's default-address-pools). */
const DEFAULT_POOLS = [
  ...Array.from({ length: 15 }, (_unused, n) => `172.${17 + n}.0.0/16`),
  ...Array.from({ length: 16 }, (_unused, n) => `192.168.${n * 16}.0/20`),
];

const DEFAULT_MTU = 1500;

export interface LiveBridge {
  readonly index: number;
  readonly pool: AddressPool;
  readonly subnet: Subnet;
  readonly gateway: string;
  readonly mtu: number;
}

const flag = (network: NetworkRecord, option: string, fallback: boolean): boolean => {
  const value = network.options[option];
  return value === undefined ? fallback : value === 'true' || value === '1';
};

/** A MAC made of the address, so that it is unique where the address is (02:42 + IPv4, as Docker's). */
export function macOf(ip: string): string {
  const bytes = ip.split('.').map((part) => Number(part).toString(16).padStart(2, '0'));
  return `02:42:${bytes.join(':')}`;
}

/** The kernel's side of bridge networks: bridges, address pools, and the firewall over all of them. */
export class Bridges {
  readonly #live = new Map<string, LiveBridge>();
  readonly #networks = new Map<string, NetworkRecord>();
  readonly #published: () => readonly PublishedPort[];

  /** @param published every port that is published now, for rewriting the firewall whole */
  constructor(published: () => readonly PublishedPort[]) {
    this.#published = published;
  }

  /** Makes the bridge of a network and lets traffic through. */
  up(network: NetworkRecord, options: { firewall: boolean } = { firewall: true }): void {
    const config = network.ipam.config[0];
    if (!config) return;
    const subnet = parseSubnet(config.Subnet);
    const pool = new AddressPool(subnet, config.IPRange ? parseSubnet(config.IPRange) : subnet);
    const gateway = config.Gateway ?? toText(subnet.base + 1);
    pool.reserve(gateway);
    for (const ip of Object.values(config.AuxiliaryAddresses ?? {})) pool.reserve(ip);
    const mtu = Number(network.options[BRIDGE_OPTION.mtu] ?? DEFAULT_MTU);
    const name = bridgeName(network);
    const index = ensureBridge(name, [{ ip: gateway, prefix: subnet.prefix }], mtu, macOf(gateway));
    // Lets this machine reach published ports through its own loopback addresses.
    writeFileSync(`/proc/sys/net/ipv4/conf/${name}/route_localnet`, '1');
    this.#live.set(network.id, { index, pool, subnet, gateway, mtu });
    this.#networks.set(network.id, network);
    if (options.firewall) this.writeFirewall();
  }

  down(network: NetworkRecord): void {
    this.#live.delete(network.id);
    this.#networks.delete(network.id);
    deleteLink(bridgeName(network));
    this.writeFirewall();
  }

  get(networkId: string): LiveBridge | undefined {
    return this.#live.get(networkId);
  }

  writeFirewall(): void {
    const bridges = [...this.#networks.values()].map(
      (network): FirewalledBridge => ({
        name: bridgeName(network),
        subnet: network.ipam.config[0]!.Subnet,
        masquerade: flag(network, BRIDGE_OPTION.masquerade, true),
        internal: network.internal,
        interContainer: flag(network, BRIDGE_OPTION.icc, true),
      }),
    );
    resetFirewall(bridges, this.#published());
  }

  /** A free pool: none that overlaps with a network of ours or with a route of this machine. */
  freeSubnet(): string | undefined {
    const used = [...[...this.#live.values()].map((bridge) => bridge.subnet), ...machineRoutes()];
    return DEFAULT_POOLS.find((pool) => !used.some((subnet) => overlaps(subnet, parseSubnet(pool))));
  }

  /** A network of ours that a subnet would overlap with. */
  overlapping(cidr: string): NetworkRecord | undefined {
    const subnet = parseSubnet(cidr);
    for (const [id, bridge] of this.#live) if (overlaps(bridge.subnet, subnet)) return this.#networks.get(id);
    return undefined;
  }
}

/** IPv4 routes of this network namespace, the default route aside (/proc/net/route: little-endian hex). */
function machineRoutes(): Subnet[] {
  const routes: Subnet[] = [];
  for (const line of readFileSync('/proc/self/net/route', 'utf8').split('\n').slice(1)) {
    const fields = line.split('\t');
    const [destination, mask] = [fields[1], fields[7]];
    if (!destination || !mask || destination === '00000000') continue;
    const swap = (hex: string): number => Buffer.from(hex, 'hex').readUInt32LE();
    const prefix = swap(mask).toString(2).replace(/0/g, '').length;
    routes.push({ base: swap(destination), prefix });
  }
  return routes;
}
