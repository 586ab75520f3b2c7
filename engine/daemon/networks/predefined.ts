import { containsIp, parseCidr, parseSubnet, type Subnet, subnetText, toText } from '../../network/subnet.ts';
import { apiTime } from '../clock.ts';
import { newId } from '../ids.ts';
import type { DefaultPools, PoolSetting } from './default-pools.ts';
import { DRIVER_OPTION, type IpamConfig, type NetworkRecord } from './record.ts';

/** The part of daemon.json that networks follow, in its names. */
export interface NetworkConfig {
  /** The default bridge's own address with its network, as `192.168.5.1/24`. */
  readonly bip?: string;
  readonly bip6?: string;
  readonly 'fixed-cidr'?: string;
  readonly 'fixed-cidr-v6'?: string;
  readonly 'default-gateway'?: string;
  readonly 'default-gateway-v6'?: string;
  readonly ipv6?: boolean;
  readonly icc?: boolean;
  readonly 'ip-masq'?: boolean;
  /** Address that ports are published on when the user names none. */
  readonly ip?: string;
  readonly mtu?: number;
  readonly 'default-address-pools'?: readonly PoolSetting[];
  /** Driver → options of every network of it that is made. */
  readonly 'default-network-opts'?: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

export const DEFAULT_MTU = 1500;

/**
 * The three networks every engine has. Their ids stay as they were; the bridge follows the configuration of each start, as
 * in moby. `find` gives the record of an earlier start.
 */
export function predefinedNetworks(
  config: NetworkConfig,
  pools: DefaultPools,
  find: (name: string) => NetworkRecord | undefined,
  used: readonly Subnet[],
): NetworkRecord[] {
  const made = (name: string, rest: Pick<NetworkRecord, 'driver' | 'ipam' | 'options'> & Partial<NetworkRecord>) => {
    const before = find(name);
    return {
      id: before?.id ?? newId(),
      name,
      created: before?.created ?? apiTime(),
      enableIPv6: false,
      internal: false,
      attachable: false,
      labels: {},
      ownSubnets: false,
      ...rest,
    };
  };
  return [
    made('bridge', {
      driver: 'bridge',
      enableIPv6: config.ipv6 ?? false,
      ipam: { driver: 'default', options: {}, config: bridgeIpam(config, pools, find('bridge'), used) },
      options: {
        [DRIVER_OPTION.isDefault]: 'true',
        [DRIVER_OPTION.icc]: String(config.icc ?? true),
        [DRIVER_OPTION.masquerade]: String(config['ip-masq'] ?? true),
        [DRIVER_OPTION.hostBinding]: config.ip ?? '0.0.0.0',
        [DRIVER_OPTION.name]: 'docker0',
        [DRIVER_OPTION.mtu]: String(config.mtu ?? DEFAULT_MTU),
      },
    }),
    made('host', { driver: 'host', ipam: { driver: 'default', options: {}, config: [] }, options: {} }),
    made('none', { driver: 'null', ipam: { driver: 'default', options: {}, config: [] }, options: {} }),
  ];
}

function bridgeIpam(
  config: NetworkConfig,
  pools: DefaultPools,
  before: NetworkRecord | undefined,
  used: readonly Subnet[],
): IpamConfig[] {
  const configs = [
    familyIpam(4, config.bip, config['fixed-cidr'], config['default-gateway'], pools, before, used),
    ...(config.ipv6
      ? [familyIpam(6, config.bip6, config['fixed-cidr-v6'], config['default-gateway-v6'], pools, before, used)]
      : []),
  ];
  return configs;
}

function familyIpam(
  family: 4 | 6,
  own: string | undefined,
  range: string | undefined,
  gateway: string | undefined,
  pools: DefaultPools,
  before: NetworkRecord | undefined,
  used: readonly Subnet[],
): IpamConfig {
  const address = own ? parseCidr(own) : undefined;
  if (own && address?.family !== family)
    throw new Error(`invalid bridge address ${own}: an IPv${family} CIDR is wanted`);
  const earlier = before?.ipam.config.map(({ Subnet }) => parseSubnet(Subnet)).find((one) => one.family === family);
  const ranged = range ? parseSubnet(range) : undefined;
  const keep = earlier && (!ranged || containsIp(earlier, toText(ranged.base, family))) ? earlier : undefined;
  const subnet = own ? parseSubnet(own) : (keep ?? ranged ?? pools.free(family, used));
  if (!subnet) throw new Error('could not find an available subnet for the default bridge');
  return {
    Subnet: subnetText(subnet),
    ...(range ? { IPRange: range } : {}),
    Gateway: gateway ?? toText(address ? address.ip : subnet.base + 1n, family),
  };
}
