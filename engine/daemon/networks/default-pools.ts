import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

import { invalidParameter } from '../../errors.ts';
import { nthSubnet, overlaps, parseSubnet, type Subnet, sizeOf } from '../../network/subnet.ts';

/** daemon.json's default-address-pools: networks of `size` bits are cut from `base`. */
export interface PoolSetting {
  readonly base: string;
  readonly size: number;
}

interface Pool {
  readonly from: Subnet;
  readonly size: number;
}

/** Docker's own list for IPv4. */
const DOCKERS: readonly PoolSetting[] = [
  ...Array.from({ length: 15 }, (_unused, n) => ({ base: `172.${17 + n}.0.0/16`, size: 16 })),
  { base: '192.168.0.0/16', size: 20 },
];
const ULA_SUBNET_BITS = 64;

/** Pools that subnets are taken from when the client names none. */
export class DefaultPools {
  readonly #pools: readonly Pool[];

  /** @param seed what makes this machine's unique local IPv6 prefix (RFC 4193) its own */
  constructor(settings: readonly PoolSetting[] | undefined, seed: string) {
    const pools = (settings?.length ? settings : DOCKERS).map(parsePool);
    const own = createHash('sha256').update(seed).digest('hex').slice(0, 10);
    const ula = `fd${own.slice(0, 2)}:${own.slice(2, 6)}:${own.slice(6, 10)}::/48`;
    const six = pools.some(({ from }) => from.family === 6);
    this.#pools = six ? pools : [...pools, { from: parseSubnet(ula), size: ULA_SUBNET_BITS }];
  }

  /** The first subnet of a family that overlaps with none in use, of the engine's or among this machine's routes. */
  free(family: 4 | 6, used: readonly Subnet[]): Subnet | undefined {
    const taken = [...used, ...(family === 4 ? machineRoutes() : [])];
    for (const { from, size } of this.#pools.filter((pool) => pool.from.family === family)) {
      const count = 1n << BigInt(size - from.prefix);
      for (let n = 0n; n < count; n++) {
        const candidate = nthSubnet(from, size, n);
        const clash = taken.find((subnet) => overlaps(subnet, candidate));
        if (!clash) return candidate;
        // A large network in the way is passed in one step.
        if (clash.prefix < size) n = (clash.base + sizeOf(clash) - from.base) / sizeOf(candidate) - 1n;
      }
    }
    return undefined;
  }
}

function parsePool({ base, size }: PoolSetting): Pool {
  const from = parseSubnet(base);
  const bits = from.family === 4 ? 32 : 128;
  if (!Number.isInteger(size) || size < from.prefix || size > bits) {
    throw invalidParameter(`invalid default address pool: size ${size} of ${base}`);
  }
  return { from, size };
}

/** IPv4 routes of this network namespace, the default route aside (/proc/net/route: little-endian hex). */
function machineRoutes(): Subnet[] {
  const routes: Subnet[] = [];
  for (const line of readFileSync('/proc/self/net/route', 'utf8').split('\n').slice(1)) {
    const fields = line.split('\t');
    const [destination, mask] = [fields[1], fields[7]];
    if (!destination || !mask || mask === '00000000') continue;
    const swap = (hex: string): number => Buffer.from(hex, 'hex').readUInt32LE();
    const prefix = swap(mask).toString(2).replace(/0/g, '').length;
    routes.push({ family: 4, base: BigInt(swap(destination)), prefix });
  }
  return routes;
}
