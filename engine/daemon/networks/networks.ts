import {
  conflict,
  forbidden,
  invalidParameter,
  messageOf,
  notFound,
  notImplemented,
  unavailable,
} from '../../errors.ts';
import { log } from '../../log.ts';
import { removeFirewall } from '../../network/firewall.ts';
import { parseSubnet } from '../../network/subnet.ts';
import type { DocumentStore } from '../../store/documents.ts';
import { apiTime } from '../clock.ts';
import type { Events } from '../events.ts';
import { booleanFilter, checkFilters, type Filters, matchesLabels, matchesPruneLabels } from '../filters.ts';
import { newId } from '../ids.ts';
import { parseUntil } from '../times.ts';
import type { Bridges } from './bridges.ts';
import { checkConfiguration, withConfiguration } from './config-networks.ts';
import type { DefaultPools } from './default-pools.ts';
import { checkBridgeOptions, vlanMode } from './driver-options.ts';
import { checkIpam, completeIpam } from './ipam.ts';
import { type NetworkConfig, predefinedNetworks } from './predefined.ts';
import { DRIVER_OPTION, hasAddresses, isPredefined, type NetworkCreateRequest, type NetworkRecord } from './record.ts';

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
  readonly ipv6Address?: string;
  readonly ipv6Prefix?: number;
}

const VALID_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
const DRIVERS = ['bridge', 'macvlan', 'ipvlan'];
const LIST_FILTERS = ['dangling', 'driver', 'id', 'label', 'name', 'scope', 'type'];

/** The networks (swagger: Network operations): rules and records; bridges themselves are engine/network's. */
export class Networks {
  readonly #store: DocumentStore<NetworkRecord>;
  readonly #bridges: Bridges;
  readonly #events: Events;
  readonly #users: NetworkUsers;
  readonly #byId = new Map<string, NetworkRecord>();

  readonly #config: NetworkConfig;
  readonly #pools: DefaultPools;

  constructor(parts: {
    store: DocumentStore<NetworkRecord>;
    bridges: Bridges;
    events: Events;
    users: NetworkUsers;
    config: NetworkConfig;
    pools: DefaultPools;
  }) {
    this.#store = parts.store;
    this.#bridges = parts.bridges;
    this.#events = parts.events;
    this.#users = parts.users;
    this.#config = parts.config;
    this.#pools = parts.pools;
  }

  /** Brings up every network there is a record of, making the predefined ones first. Rules are the caller's to write. */
  start(): void {
    for (const network of this.#store.all()) this.#byId.set(network.id, network);
    const used = [...this.#byId.values()]
      .filter((network) => !isPredefined(network.name) && hasAddresses(network))
      .flatMap((network) => network.ipam.config.map((config) => parseSubnet(config.Subnet)));
    for (const network of predefinedNetworks(this.#config, this.#pools, (name) => this.#find(name), used)) {
      const before = this.#byId.get(network.id);
      if (before && JSON.stringify(before.ipam) !== JSON.stringify(network.ipam)) this.#bridges.down(before);
      this.#store.put(network);
      this.#byId.set(network.id, network);
    }
    for (const network of this.#byId.values()) {
      try {
        this.#bridges.up(network, { firewall: false });
      } catch (error) {
        if (isPredefined(network.name)) throw error;
        log.error('network is not up', { network: network.name, error: messageOf(error) });
      }
    }
  }

  /** Names of every link on the machine that belongs to a network. */
  links(): string[] {
    return [...this.#byId.values()].flatMap((network) => this.#bridges.linksOf(network));
  }

  /** The default bridge's own address: what `host-gateway` stands for unless it is set. */
  hostGateway(): string | undefined {
    return this.#find('bridge')?.ipam.config[0]?.Gateway;
  }

  /** Takes the bridges and the firewall away; records stay. */
  stop(): void {
    for (const network of this.#byId.values()) this.#bridges.down(network);
    removeFirewall();
  }

  #find(name: string): NetworkRecord | undefined {
    return [...this.#byId.values()].find((network) => network.name === name);
  }

  /** By its whole id. */
  byId(id: string): NetworkRecord | undefined {
    return this.#byId.get(id);
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

  /** POST /networks/create. Whatever of the request this engine can't do is refused. */
  create(request: NetworkCreateRequest): NetworkRecord {
    const name = request.Name ?? '';
    if (name.trim() === '') throw invalidParameter('invalid name: name is empty');
    if (!VALID_NAME.test(name)) throw invalidParameter(`invalid network name: ${name}`);
    if (isPredefined(name)) throw forbidden(`operation is not permitted on predefined ${name} network`);
    if (this.#find(name)) throw conflict(`network with name ${name} already exists`);
    checkConfiguration(request);
    refuseUnsupported(request);
    const network = request.ConfigOnly ? configOnly(name, request) : this.#make(name, this.#completed(request));
    this.#bridges.up(network);
    try {
      this.#store.put(network);
    } catch (error) {
      this.#bridges.down(network);
      throw error;
    }
    this.#byId.set(network.id, network);
    this.#events.publish('network', 'create', network.id, { name, type: network.driver });
    return network;
  }

  /** With what the configuration-only network says that it names. */
  #completed(request: NetworkCreateRequest): NetworkCreateRequest {
    const reference = request.ConfigFrom?.Network;
    if (!reference) return request;
    const from = this.#find(reference);
    if (!from?.configOnly) throw notFound(`configuration network ${JSON.stringify(reference)} does not exist`);
    return withConfiguration(request, from);
  }

  #make(name: string, request: NetworkCreateRequest): NetworkRecord {
    const driver = (request.Driver || 'bridge') as 'bridge' | 'macvlan' | 'ipvlan';
    const configFrom = request.ConfigFrom?.Network;
    const defaults = configFrom ? {} : this.#config['default-network-opts']?.[driver];
    const options = { ...defaults, ...request.Options };
    const wanted = request.IPAM?.Config ?? [];
    const enableIPv6 = request.EnableIPv6 ?? false;
    const internal = request.Internal ?? false;
    const isolated = driver !== 'bridge' && (internal || !options[DRIVER_OPTION.parent]);
    if (driver === 'bridge') checkBridgeOptions(options, this.#byId.values(), internal);
    else vlanMode({ driver, options });
    const network: NetworkRecord = {
      ...common(name, request),
      driver,
      internal: internal || isolated,
      attachable: request.Attachable ?? false,
      ipam: {
        driver: 'default',
        options: request.IPAM?.Options ?? {},
        config: completeIpam(wanted, {
          enableIPv6,
          pools: this.#pools,
          used: this.#bridges.usedSubnets(),
          gateway: true,
        }),
      },
      options,
      ownSubnets: wanted.some((config) => config.Subnet),
      ...(configFrom ? { configFrom } : {}),
    };
    if (driver === 'bridge') checkSubnetCount(network);
    return network;
  }

  remove(reference: string): void {
    const network = this.get(reference);
    if (isPredefined(network.name)) throw forbidden(`${network.name} is a pre-defined network and cannot be removed`);
    if (network.configOnly && [...this.#byId.values()].some((other) => other.configFrom === network.name)) {
      throw forbidden(`configuration network ${JSON.stringify(network.name)} is in use`);
    }
    const active = this.#activeOn(network);
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
    const dangling = booleanFilter(filters, 'dangling');
    for (const type of filters.get('type') ?? []) {
      if (type !== 'custom' && type !== 'builtin') throw invalidParameter(`invalid filter: 'type'='${type}'`);
    }
    const any = (name: string, test: (value: string) => boolean): boolean =>
      !filters.has(name) || filters.get(name)!.some(test);
    return [...this.#byId.values()].filter(
      (network) =>
        any('name', (value) => network.name.includes(value)) &&
        any('id', (value) => network.id.startsWith(value)) &&
        any('driver', (value) => network.driver === value) &&
        any('scope', (value) => value === 'local') &&
        any('type', (value) => (value === 'builtin') === isPredefined(network.name)) &&
        (dangling === undefined || dangling === this.#isDangling(network)) &&
        matchesLabels(filters, network.labels),
    );
  }

  #isDangling(network: NetworkRecord): boolean {
    return !isPredefined(network.name) && this.#activeOn(network).length === 0;
  }

  /** Who has addresses of it: as in moby, a container that doesn't run is no user. */
  #activeOn(network: NetworkRecord): readonly NetworkUser[] {
    return this.#users.usersOfNetwork(network.id).filter((user) => user.endpointId !== '');
  }

  /** Removes networks nobody is on. @returns their names */
  prune(filters: Filters): string[] {
    checkFilters(filters, ['label', 'label!', 'until']);
    const until = filters.get('until')?.[0];
    const limit = until === undefined ? Date.now() : parseUntil(until);
    const names: string[] = [];
    for (const network of [...this.#byId.values()]) {
      if (network.configOnly || !this.#isDangling(network) || Date.parse(network.created) > limit) continue;
      if (!matchesPruneLabels(filters, network.labels)) continue;
      this.remove(network.id);
      names.push(network.name);
    }
    this.#events.publish('network', 'prune', '', { reclaimed: '0' });
    return names;
  }

  usersOf(network: NetworkRecord): readonly NetworkUser[] {
    return this.#activeOn(network);
  }
}

const common = (name: string, request: NetworkCreateRequest) => ({
  id: newId(),
  name,
  created: apiTime(),
  enableIPv6: request.EnableIPv6 ?? false,
  labels: request.Labels ?? {},
});

/** Nothing is made and nothing is taken for it; what its user left open stays open for those made from it. */
function configOnly(name: string, request: NetworkCreateRequest): NetworkRecord {
  const wanted = request.IPAM?.Config ?? [];
  checkIpam(wanted, request.EnableIPv6 ?? false);
  const config = wanted.map((one) => ({ ...one, Subnet: one.Subnet ?? '' }));
  return {
    ...common(name, request),
    driver: 'null',
    internal: false,
    attachable: false,
    ipam: { driver: 'default', options: request.IPAM?.Options ?? {}, config },
    options: request.Options ?? {},
    configOnly: true,
  };
}

function refuseUnsupported(request: NetworkCreateRequest): void {
  const driver = request.Driver || 'bridge';
  if (driver === 'host' || driver === 'null') {
    throw forbidden(`only one instance of "${driver}" network is allowed`);
  }
  if (request.Ingress || driver === 'overlay' || request.Scope === 'swarm') {
    throw unavailable(
      'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.',
    );
  }
  if (!DRIVERS.includes(driver)) {
    throw notFound(`could not find plugin ${driver} in v1 plugin registry: plugin not found`);
  }
  const ipam = request.IPAM?.Driver || 'default';
  if (ipam !== 'default') throw notFound(`could not find plugin ${ipam} in v1 plugin registry: plugin not found`);
  if (request.EnableIPv4 === false) throw notImplemented('networks without IPv4 are not supported by this engine');
  for (const option of Object.keys(request.IPAM?.Options ?? {})) {
    throw notImplemented(`IPAM option ${option} is not supported by this engine`);
  }
}

function checkSubnetCount(network: NetworkRecord): void {
  const families = network.ipam.config.map(({ Subnet }) => parseSubnet(Subnet).family);
  if (new Set(families).size < families.length) throw forbidden("bridge driver doesn't support multiple subnets");
}
