import { EngineError, forbidden, invalidParameter } from '../../errors.ts';
import {
  canonicalIp,
  containsIp,
  type Family,
  familyOf,
  isIp,
  overlaps,
  parseCidr,
  parseSubnet,
  type Subnet,
  subnetText,
  toText,
} from '../../network/subnet.ts';
import type { DefaultPools } from './default-pools.ts';
import type { IpamConfig } from './record.ts';

type Wanted = Partial<IpamConfig>;

/** Refuses an address configuration that can't be, in the words of moby's network.ValidateIPAM. */
function check(wanted: Wanted, enableIPv6: boolean): string[] {
  const { Subnet: cidr = '', IPRange, Gateway, AuxiliaryAddresses } = wanted;
  const parsed = parseCidr(cidr);
  if (!parsed) return [`invalid subnet ${cidr}: invalid CIDR block notation`];
  const subnet = parseSubnet(cidr);
  const { family } = subnet;
  const errors: string[] = [];
  if (family === 6 && !enableIPv6) errors.push(`invalid subnet ${cidr}: IPv6 has not been enabled for this network`);
  if (parsed.ip !== subnet.base) errors.push(`invalid subnet ${cidr}: it should be ${subnetText(subnet)}`);
  if (IPRange) errors.push(...checkRange(IPRange, subnet).map((reason) => `invalid ip-range ${IPRange}: ${reason}`));
  const address = (what: string, ip: string): void => {
    if (!isIp(ip)) errors.push(`invalid ${what} ${ip}: invalid address`);
    else if (familyOf(ip) !== family) errors.push(`invalid ${what} ${ip}: parent subnet is an IPv${family} block`);
    else if (!containsIp(subnet, ip)) {
      errors.push(`invalid ${what} ${ip}: parent subnet ${subnetText(subnet)} doesn't contain this address`);
    }
  };
  if (Gateway) address('gateway', Gateway);
  for (const ip of Object.values(AuxiliaryAddresses ?? {})) address('auxiliary address', ip);
  return errors;
}

function checkRange(text: string, subnet: Subnet): string[] {
  const parsed = parseCidr(text);
  if (!parsed) return ['invalid CIDR block notation'];
  if (parsed.family !== subnet.family) return [`parent subnet is an IPv${subnet.family} block`];
  const range = parseSubnet(text);
  const errors: string[] = [];
  if (range.prefix < subnet.prefix) errors.push(`CIDR block is bigger than its parent subnet ${subnetText(subnet)}`);
  if (parsed.ip !== range.base) errors.push(`it should be ${subnetText(range)}`);
  if (!overlaps(range, subnet)) errors.push(`parent subnet ${subnetText(subnet)} doesn't contain ip-range`);
  return errors;
}

/** Refuses a configuration that can't be; throws with everything that is wrong with it. @returns what is asked for */
export function checkIpam(wanted: readonly Wanted[], enableIPv6: boolean): Wanted[] {
  const given = wanted.filter((config) => config.Subnet || config.IPRange || config.Gateway);
  const errors = given.filter((config) => config.Subnet).flatMap((config) => check(config, enableIPv6));
  if (errors.length > 0) {
    const text = errors.length === 1 ? errors[0] : errors.map((error) => `* ${error}`).join('\n');
    throw invalidParameter(`invalid network config:\n${text}`);
  }
  return given;
}

/** Fills in what the client leaves open: subnets from the pools, and gateways (none where `gateway` says so). */
export function completeIpam(
  wanted: readonly Wanted[],
  options: { enableIPv6: boolean; pools: DefaultPools; used: readonly Subnet[]; gateway: boolean },
): IpamConfig[] {
  const { enableIPv6, pools } = options;
  const given = checkIpam(wanted, enableIPv6);
  const used = [...options.used];
  const configs: IpamConfig[] = [];
  const add = (config: Wanted, subnet: Subnet): void => {
    if (used.some((other) => overlaps(other, subnet))) {
      throw forbidden('invalid pool request: Pool overlaps with other one on this address space');
    }
    used.push(subnet);
    configs.push(complete(config, subnet, options.gateway));
  };
  const fromPool = (family: Family, config: Wanted): void => {
    const subnet = pools.free(family, used);
    if (!subnet) throw new EngineError('system', 'all predefined address pools have been fully subnetted');
    add(config, subnet);
  };
  for (const config of given.filter(({ Subnet }) => Subnet)) add(config, parseSubnet(config.Subnet!));
  // A gateway or a range without a subnet has nothing to be checked against.
  if (given.some(({ Subnet }) => !Subnet))
    throw invalidParameter('invalid network config:\nno configured subnet contains the gateway or ip-range');
  const has = (family: Family): boolean => configs.some(({ Subnet }) => parseSubnet(Subnet).family === family);
  if (!has(4)) fromPool(4, {});
  if (enableIPv6 && !has(6)) fromPool(6, {});
  return configs;
}

function complete(wanted: Wanted, subnet: Subnet, gateway: boolean): IpamConfig {
  const first = wanted.IPRange ? parseSubnet(wanted.IPRange) : subnet;
  const start = subnet.base === first.base ? subnet.base + 1n : first.base;
  const config: { -readonly [key in keyof IpamConfig]: IpamConfig[key] } = { Subnet: subnetText(subnet) };
  if (wanted.IPRange) config.IPRange = wanted.IPRange;
  if (wanted.Gateway) config.Gateway = canonicalIp(wanted.Gateway);
  else if (gateway) config.Gateway = toText(start, subnet.family);
  if (wanted.AuxiliaryAddresses && Object.keys(wanted.AuxiliaryAddresses).length > 0) {
    config.AuxiliaryAddresses = wanted.AuxiliaryAddresses;
  }
  return config;
}
