import { isIPv4, isIPv6 } from 'node:net';

import { invalidParameter } from '../errors.ts';
import { addressBytes } from '../linux/sockets.ts';

export type Family = 4 | 6;

/** An IPv4 or IPv6 network; addresses are numbers inside, text outside. */
export interface Subnet {
  readonly family: Family;
  readonly base: bigint;
  readonly prefix: number;
}

const bitsOf = (family: Family): number => (family === 4 ? 32 : 128);

export const familyOf = (ip: string): Family => (isIPv6(ip) ? 6 : 4);
export const isIp = (text: string): boolean => isIPv4(text) || isIPv6(text);

export const toNumber = (ip: string): bigint => addressBytes(ip).reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);

/** Text of an address; IPv6 as RFC 5952 wants it. */
export function toText(value: bigint, family: Family): string {
  const width = bitsOf(family) / (family === 4 ? 4 : 8);
  const part = (index: number): number =>
    Number((value >> BigInt(bitsOf(family) - width * (index + 1))) & ((1n << BigInt(width)) - 1n));
  if (family === 4) return [0, 1, 2, 3].map(part).join('.');
  const groups = [0, 1, 2, 3, 4, 5, 6, 7].map((index) => part(index).toString(16));
  let best = { at: -1, length: 1 };
  for (let at = 0; at < 8; at++) {
    let length = 0;
    while (at + length < 8 && groups[at + length] === '0') length++;
    if (length > best.length) best = { at, length };
  }
  if (best.at < 0) return groups.join(':');
  return `${groups.slice(0, best.at).join(':')}::${groups.slice(best.at + best.length).join(':')}`;
}

/** One spelling for each address. */
export const canonicalIp = (ip: string): string => toText(toNumber(ip), familyOf(ip));

/** CIDR text as it stands, host bits and all; undefined when it is none. */
export function parseCidr(
  cidr: string,
): { readonly ip: bigint; readonly family: Family; readonly prefix: number } | undefined {
  const [ip = '', bits = '', ...rest] = cidr.split('/');
  if (!isIp(ip) || !/^\d+$/.test(bits) || rest.length > 0) return undefined;
  const family = familyOf(ip);
  const prefix = Number(bits);
  return prefix <= bitsOf(family) ? { ip: toNumber(ip), family, prefix } : undefined;
}

/** Parses CIDR text; host bits are cleared. Throws invalidParameter in Docker's words. */
export function parseSubnet(cidr: string): Subnet {
  const parsed = parseCidr(cidr);
  if (!parsed) throw invalidParameter(`invalid subnet ${cidr}: invalid CIDR block notation`);
  const { ip, family, prefix } = parsed;
  return { family, base: networkOf(ip, family, prefix), prefix };
}

const networkOf = (value: bigint, family: Family, prefix: number): bigint => {
  const host = BigInt(bitsOf(family) - prefix);
  return (value >> host) << host;
};

export const sizeOf = (subnet: Subnet): bigint => 1n << BigInt(bitsOf(subnet.family) - subnet.prefix);
export const subnetText = (subnet: Subnet): string => `${toText(subnet.base, subnet.family)}/${subnet.prefix}`;

export const contains = (subnet: Subnet, ip: bigint): boolean =>
  networkOf(ip, subnet.family, subnet.prefix) === subnet.base;

export const containsIp = (subnet: Subnet, ip: string): boolean =>
  isIp(ip) && familyOf(ip) === subnet.family && contains(subnet, toNumber(ip));

export function overlaps(a: Subnet, b: Subnet): boolean {
  if (a.family !== b.family) return false;
  return a.prefix <= b.prefix ? contains(a, b.base) : contains(b, a.base);
}

/** The n-th network of `prefix` bits in a pool. */
export const nthSubnet = (pool: Subnet, prefix: number, index: bigint): Subnet => ({
  family: pool.family,
  base: pool.base + (index << BigInt(bitsOf(pool.family) - prefix)),
  prefix,
});
