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
  parent: 'parent',
  macvlanMode: 'macvlan_mode',
  ipvlanMode: 'ipvlan_mode',
  ipvlanFlag: 'ipvlan_flag',
} as const;

export const flagOf = (network: NetworkRecord, option: string, fallback: boolean): boolean => {
  const value = network.options[option];
  return value === undefined || value === '' ? fallback : TRUE_WORDS.includes(value);
};

/** What Go's strconv.ParseBool takes. */
export const TRUE_WORDS = ['1', 't', 'T', 'TRUE', 'true', 'True'];
export const FALSE_WORDS = ['0', 'f', 'F', 'FALSE', 'false', 'False'];
