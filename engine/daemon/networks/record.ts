/** What is kept of a network (swagger: Network). */
export interface NetworkRecord {
  readonly id: string;
  readonly name: string;
  /** RFC 3339. */
  readonly created: string;
  readonly driver: 'bridge' | 'macvlan' | 'ipvlan' | 'host' | 'null';
  readonly enableIPv6: boolean;
  readonly internal: boolean;
  readonly attachable: boolean;
  readonly ipam: {
    readonly driver: string;
    readonly options: Readonly<Record<string, string>>;
    readonly config: readonly IpamConfig[];
  };
  readonly options: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  /** The user chose subnets, so addresses on them can be chosen too. */
  readonly ownSubnets?: boolean;
  /** Holds a configuration for others and is no network itself; its driver is `null`, its subnets are as its user gave them. */
  readonly configOnly?: boolean;
  /** Name of the configuration-only network that this one's configuration is from. */
  readonly configFrom?: string;
}

export interface IpamConfig {
  readonly Subnet: string;
  readonly IPRange?: string;
  readonly Gateway?: string;
  readonly AuxiliaryAddresses?: Readonly<Record<string, string>>;
}

export interface NetworkCreateRequest {
  readonly Name?: string;
  readonly Driver?: string;
  readonly Scope?: string;
  readonly Internal?: boolean;
  readonly Attachable?: boolean;
  readonly Ingress?: boolean;
  readonly EnableIPv4?: boolean | null;
  readonly EnableIPv6?: boolean | null;
  readonly ConfigOnly?: boolean;
  readonly ConfigFrom?: { readonly Network?: string } | null;
  readonly IPAM?: {
    readonly Driver?: string;
    readonly Options?: Readonly<Record<string, string>> | null;
    readonly Config?:
      | readonly (Partial<IpamConfig> & { readonly AuxAddress?: Readonly<Record<string, string>> })[]
      | null;
  } | null;
  readonly Options?: Readonly<Record<string, string>> | null;
  readonly Labels?: Readonly<Record<string, string>> | null;
}

/** Networks every engine has; they can't be made or removed. */
export const PREDEFINED = ['bridge', 'host', 'none'] as const;

export const isPredefined = (name: string): boolean => (PREDEFINED as readonly string[]).includes(name);

/** Whether containers on it get interfaces and addresses. */
export const hasAddresses = (network: NetworkRecord): boolean => network.driver !== 'host' && network.driver !== 'null';

/** Name of the Linux bridge behind a network. */
export function bridgeName(network: NetworkRecord): string {
  return network.options[DRIVER_OPTION.name] ?? `br-${network.id.slice(0, 12)}`;
}

/** Options of the drivers, as `docker network create -o` takes them. */
export const DRIVER_OPTION = {
  name: 'com.docker.network.bridge.name',
  icc: 'com.docker.network.bridge.enable_icc',
  masquerade: 'com.docker.network.bridge.enable_ip_masquerade',
  hostBinding: 'com.docker.network.bridge.host_binding_ipv4',
  isDefault: 'com.docker.network.bridge.default_bridge',
  mtu: 'com.docker.network.driver.mtu',
  prefix: 'com.docker.network.container_iface_prefix',
  gatewayMode4: 'com.docker.network.bridge.gateway_mode_ipv4',
  gatewayMode6: 'com.docker.network.bridge.gateway_mode_ipv6',
  inhibit4: 'com.docker.network.bridge.inhibit_ipv4',
  trusted: 'com.docker.network.bridge.trusted_host_interfaces',
  sourceIp4: 'com.docker.network.host_ipv4',
  sourceIp6: 'com.docker.network.host_ipv6',
  parent: 'parent',
  macvlanMode: 'macvlan_mode',
  ipvlanMode: 'ipvlan_mode',
  ipvlanFlag: 'ipvlan_flag',
} as const;

/** Options of one endpoint, as `docker network connect --driver-opt` takes them. */
export const ENDPOINT_OPTION = {
  sysctls: 'com.docker.network.endpoint.sysctls',
  interfaceName: 'com.docker.network.endpoint.ifname',
} as const;

/** How a bridge network meets the world outside, for each family (moby: gateway modes). */
export const GATEWAY_MODES = ['nat', 'nat-unprotected', 'routed', 'isolated'] as const;
export type GatewayMode = (typeof GATEWAY_MODES)[number];

export function gatewayModeOf(network: NetworkRecord, family: 4 | 6): GatewayMode {
  const mode = network.options[family === 4 ? DRIVER_OPTION.gatewayMode4 : DRIVER_OPTION.gatewayMode6];
  return (mode || 'nat') as GatewayMode;
}

/** Interfaces of the machine from which published ports are reached at the containers' own addresses. */
export const trustedOf = (network: NetworkRecord): string[] =>
  (network.options[DRIVER_OPTION.trusted] ?? '').split(':').filter(Boolean);

export const flagOf = (network: NetworkRecord, option: string, fallback: boolean): boolean => {
  const value = network.options[option];
  return value === undefined || value === '' ? fallback : TRUE_WORDS.includes(value);
};

/** What Go's strconv.ParseBool takes. */
export const TRUE_WORDS = ['1', 't', 'T', 'TRUE', 'true', 'True'];
export const FALSE_WORDS = ['0', 'f', 'F', 'FALSE', 'false', 'False'];
