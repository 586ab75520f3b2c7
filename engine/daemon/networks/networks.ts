import { isIPv4 } from 'node:net';
import { conflict, EngineError, forbidden, invalidParameter, notFound, notImplemented } from '../../errors.ts';
import { removeFirewall } from '../../network/firewall.ts';
import { contains, parseSubnet, subnetText, toNumber, toText } from '../../network/subnet.ts';
import type { DocumentStore } from '../../store/documents.ts';
import { apiTime } from '../clock.ts';
import type { Events } from '../events.ts';
import { checkFilters, type Filters, matchesLabels, matchesPruneLabels } from '../filters.ts';
import { newId } from '../ids.ts';
import { parseUntil } from '../times.ts';
import type { Bridges } from './bridges.ts';
import {
  BRIDGE_OPTION,
  type IpamConfig,
  isPredefined,
  type NetworkCreateRequest,
  type NetworkRecord,
} from './record.ts';

/** Who is on networks; answered by the containers. */
export interface NetworkUsers {
  /** Containers with an endpoint on the network; `running` ones have addresses. */
  usersOfNetwork(networkId: string): readonly NetworkUser[];
}

export interface NetworkUser {
  readonly id: string;
  readonly name: string;
  readonly running: boolean;
  readonly endpointId: string;
  readonly ipAddress: string;
  readonly prefix: number;
  readonly macAddress: string;
}

const VALID_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
const LIST_FILTERS = ['dangling', 'driver', 'id', 'label', 'name', 'scope', 'type'];

/** The networks (swagger: Network operations): rules and records; bridges themselves are engine/network's. */
export class Networks {
  readonly #store: DocumentStore<NetworkRecord>;
  readonly #bridges: Bridges;
  readonly #events: Events;
  readonly #users: NetworkUsers;
  readonly #byId = new Map<string, NetworkRecord>();

  constructor(parts: { store: DocumentStore<NetworkRecord>; bridges: Bridges; events: Events; users: NetworkUsers }) {
    this.#store = parts.store;
    this.#bridges = parts.bridges;
    this.#events = parts.events;
    this.#users = parts.users;
  }

  /** Brings up every network there is a record of, making the predefined ones first. */
  start(): void {
    for (const network of this.#store.all()) this.#byId.set(network.id, network);
    for (const network of predefined()) {
      if (this.#find(network.name)) continue;
      this.#store.put(network);
      this.#byId.set(network.id, network);
    }
    for (const network of this.#byId.values()) {
      if (network.driver === 'bridge') this.#bridges.up(network, { firewall: false });
    }
  }

  /** Takes the bridges and the firewall away; records stay. */
  stop(): void {
    for (const network of this.#byId.values()) if (network.driver === 'bridge') this.#bridges.down(network);
    removeFirewall();
  }

  #find(name: string): NetworkRecord | undefined {
    return [...this.#byId.values()].find((network) => network.name === name);
  }

  /** By name, id or unique id prefix. `default` is the bridge. */
  get(reference: string): NetworkRecord {
    const wanted = reference === 'default' ? 'bridge' : reference;
    const exact = this.#byId.get(wanted) ?? this.#find(wanted);
    if (exact) return exact;
    const matches = [...this.#byId.values()].filter((network) => network.id.startsWith(wanted));
    if (matches.length > 1) {
      throw invalidParameter(`network ${reference} is ambiguous (${matches.length} matches found based on ID prefix)`);
    }
    if (!matches[0] || wanted === '') throw notFound(`network ${reference} not found`);
    return matches[0];
  }

  create(request: NetworkCreateRequest): NetworkRecord {
    const name = request.Name ?? '';
    const driver = request.Driver || 'bridge';
    if (!VALID_NAME.test(name)) throw invalidParameter(`invalid network name: ${name}`);
    if (isPredefined(name)) throw forbidden(`operation is not permitted on predefined ${name} network`);
    if (this.#find(name)) throw conflict(`network with name ${name} already exists`);
    if (driver === 'host' || driver === 'null') {
      throw forbidden(`only one instance of "${driver}" network is allowed`);
    }
    if (driver !== 'bridge') throw notFound(`could not find plugin ${driver} in v1 plugin registry: plugin not found`);
    if (request.EnableIPv6) throw notImplemented('IPv6 networks are not supported yet');
    if (request.Ingress) throw conflict('This node is not a swarm manager.');
    const network: NetworkRecord = {
      id: newId(),
      name,
      created: apiTime(),
      driver,
      enableIPv6: false,
      internal: request.Internal ?? false,
      attachable: request.Attachable ?? false,
      ipam: {
        driver: request.IPAM?.Driver || 'default',
        options: request.IPAM?.Options ?? {},
        config: [this.#ipam(request.IPAM?.Config?.[0])],
      },
      options: request.Options ?? {},
      labels: request.Labels ?? {},
    };
    this.#bridges.up(network);
    try {
      this.#store.put(network);
    } catch (error) {
      this.#bridges.down(network);
      throw error;
    }
    this.#byId.set(network.id, network);
    this.#events.publish('network', 'create', network.id, { name, type: driver });
    return network;
  }

  /** Completes and checks a client's address configuration. */
  #ipam(wanted: Partial<IpamConfig> | undefined): IpamConfig {
    const cidr = wanted?.Subnet || this.#bridges.freeSubnet();
    if (!cidr) {
      throw new EngineError('system', 'all predefined address pools have been fully subnetted');
    }
    const subnet = parseSubnet(cidr);
    if (wanted?.Subnet && subnetText(subnet) !== wanted.Subnet) {
      throw invalidParameter(
        `invalid network config:\ninvalid subnet ${wanted.Subnet}: it should be ${subnetText(subnet)}`,
      );
    }
    if (this.#bridges.overlapping(cidr)) {
      throw forbidden('invalid pool request: Pool overlaps with other one on this address space');
    }
    for (const [what, ip] of [['gateway', wanted?.Gateway], ...Object.entries(wanted?.AuxiliaryAddresses ?? {})]) {
      if (ip && (!isIPv4(ip) || !contains(subnet, toNumber(ip)))) {
        throw invalidParameter(
          `invalid network config:\ninvalid ${what === 'gateway' ? 'gateway' : 'auxiliary address'} ${ip}: parent subnet ${cidr} doesn't contain it`,
        );
      }
    }
    if (wanted?.IPRange) {
      const range = parseSubnet(wanted.IPRange);
      if (range.prefix < subnet.prefix || !contains(subnet, range.base)) {
        throw invalidParameter(
          `invalid network config:\ninvalid ip-range ${wanted.IPRange}: parent subnet ${cidr} doesn't contain it`,
        );
      }
    }
    const first = wanted?.IPRange ? parseSubnet(wanted.IPRange) : subnet;
    return {
      Subnet: subnetText(subnet),
      IPRange: wanted?.IPRange || undefined,
      Gateway: wanted?.Gateway || toText(subnet.base === first.base ? subnet.base + 1 : first.base),
      AuxiliaryAddresses: wanted?.AuxiliaryAddresses,
    };
  }

  remove(reference: string): void {
    const network = this.get(reference);
    if (isPredefined(network.name)) throw forbidden(`${network.name} is a pre-defined network and cannot be removed`);
    const active = this.#users.usersOfNetwork(network.id).filter((user) => user.running);
    if (active.length > 0) {
      const list = active.map((user) => `name:${JSON.stringify(user.name)} id:${JSON.stringify(user.id.slice(0, 12))}`);
      throw forbidden(
        `error while removing network: network ${network.name} has active endpoints (${list.join(', ')})`,
      );
    }
    this.#store.delete(network.id);
    this.#byId.delete(network.id);
    this.#bridges.down(network);
    this.#events.publish('network', 'destroy', network.id, { name: network.name, type: network.driver });
  }

  list(filters: Filters): NetworkRecord[] {
    checkFilters(filters, LIST_FILTERS);
    const any = (name: string, test: (value: string) => boolean): boolean =>
      !filters.has(name) || filters.get(name)!.some(test);
    return [...this.#byId.values()].filter(
      (network) =>
        any('name', (value) => network.name.includes(value)) &&
        any('id', (value) => network.id.startsWith(value)) &&
        any('driver', (value) => network.driver === value) &&
        any('scope', (value) => value === 'local') &&
        any('type', (value) => (value === 'builtin') === isPredefined(network.name)) &&
        any('dangling', (value) => (value === 'true' || value === '1') === this.#isDangling(network)) &&
        matchesLabels(filters, network.labels),
    );
  }

  #isDangling(network: NetworkRecord): boolean {
    return !isPredefined(network.name) && this.#users.usersOfNetwork(network.id).length === 0;
  }

  /** Removes networks nobody is on. @returns their names */
  prune(filters: Filters): string[] {
    checkFilters(filters, ['label', 'label!', 'until']);
    const until = filters.get('until')?.[0];
    const limit = until === undefined ? Date.now() : parseUntil(until);
    const names: string[] = [];
    for (const network of [...this.#byId.values()]) {
      if (!this.#isDangling(network) || Date.parse(network.created) > limit) continue;
      if (!matchesPruneLabels(filters, network.labels)) continue;
      this.remove(network.id);
      names.push(network.name);
    }
    this.#events.publish('network', 'prune', '', { reclaimed: '0' });
    return names;
  }

  usersOf(network: NetworkRecord): readonly NetworkUser[] {
    return this.#users.usersOfNetwork(network.id);
  }
}

function predefined(): NetworkRecord[] {
  const base = {
    created: apiTime(),
    enableIPv6: false,
    internal: false,
    attachable: false,
    labels: {},
  };
  return [
    {
      ...base,
      id: newId(),
      name: 'bridge',
      driver: 'bridge',
      ipam: { driver: 'default', options: {}, config: [{ Subnet: '172.17.0.0/16', Gateway: '172.17.0.1' }] },
      options: {
        [BRIDGE_OPTION.isDefault]: 'true',
        [BRIDGE_OPTION.icc]: 'true',
        [BRIDGE_OPTION.masquerade]: 'true',
        [BRIDGE_OPTION.hostBinding]: '0.0.0.0',
        [BRIDGE_OPTION.name]: 'docker0',
        [BRIDGE_OPTION.mtu]: '1500',
      },
    },
    { ...base, id: newId(), name: 'host', driver: 'host', ipam: emptyIpam, options: {} },
    { ...base, id: newId(), name: 'none', driver: 'null', ipam: emptyIpam, options: {} },
  ];
}

const emptyIpam = { driver: 'default', options: {}, config: [] };
