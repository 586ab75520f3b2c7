import { systemError } from '../errors.ts';
import { containsIp, type Subnet, sizeOf, toNumber, toText } from './subnet.ts';

/**
 * Addresses of one network. Nothing is written: which addresses are taken follows from the containers' own records, so the
 * pool is filled again at start and can't disagree with them.
 */
export class AddressPool {
  readonly subnet: Subnet;
  readonly #range: Subnet;
  readonly #taken = new Set<bigint>();

  /** @param range part of the subnet that addresses are given from */
  constructor(subnet: Subnet, range: Subnet = subnet) {
    this.subnet = subnet;
    this.#range = range;
    const last = subnet.base + sizeOf(subnet) - 1n;
    const tiny = sizeOf(subnet) <= 2n;
    if (!tiny) this.#taken.add(subnet.base);
    if (!tiny && subnet.family === 4) this.#taken.add(last);
  }

  /** The lowest free address, or the one asked for. Throws in Docker's words when it is taken or none is left. */
  allocate(wanted?: string): string {
    const { family } = this.subnet;
    if (wanted !== undefined) {
      const ip = toNumber(wanted);
      if (!containsIp(this.subnet, wanted)) {
        throw systemError('Invalid address');
      }
      if (this.#taken.has(ip)) throw systemError('Address already in use');
      this.#taken.add(ip);
      return toText(ip, family);
    }
    const end = this.#range.base + sizeOf(this.#range);
    for (let ip = this.#range.base; ip < end; ip++) {
      if (this.#taken.has(ip)) continue;
      this.#taken.add(ip);
      return toText(ip, family);
    }
    throw systemError(`no available IPv${family} addresses on this network's address pools`);
  }

  /** Marks an address that a record says is in use. */
  reserve(ip: string): void {
    this.#taken.add(toNumber(ip));
  }

  release(ip: string): void {
    this.#taken.delete(toNumber(ip));
  }
}
