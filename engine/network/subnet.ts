import { isIPv4 } from 'node:net';

import { invalidParameter } from '../errors.ts';

/** An IPv4 network; addresses are unsigned 32-bit numbers inside, text outside. */
export interface Subnet {
  readonly base: number;
  readonly prefix: number;
}

export const toNumber = (ip: string): number => ip.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);

export const toText = (value: number): string =>
  [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255].join('.');

/** Parses CIDR text; host bits are cleared. Throws invalidParameter in Docker's words. */
export function parseSubnet(cidr: string): Subnet {
  const [ip = '', bits = ''] = cidr.split('/');
  const prefix = Number(bits);
  if (!isIPv4(ip) || !/^\d+$/.test(bits) || prefix > 32) {
    throw invalidParameter(`invalid subnet ${cidr}: invalid CIDR block notation`);
  }
  return { base: networkOf(toNumber(ip), prefix), prefix };
}

const mask = (prefix: number): number => (prefix === 0 ? 0 : (0xffffffff << (32 - prefix)) >>> 0);
const networkOf = (value: number, prefix: number): number => (value & mask(prefix)) >>> 0;

export const sizeOf = (subnet: Subnet): number => 2 ** (32 - subnet.prefix);
export const subnetText = (subnet: Subnet): string => `${toText(subnet.base)}/${subnet.prefix}`;

export const contains = (subnet: Subnet, ip: number): boolean => networkOf(ip, subnet.prefix) === subnet.base;

export function overlaps(a: Subnet, b: Subnet): boolean {
  return a.prefix <= b.prefix ? contains(a, b.base) : contains(b, a.base);
}
