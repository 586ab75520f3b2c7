import { invalidParameter, systemError } from '../errors.ts';
import { contains, type Subnet, sizeOf, subnetText, toNumber, toText } from './subnet.ts';

/**
 * Addresses of one network. Nothing is written: which addresses are taken follows from the containers' own records, so the
 * pool is filled again at start and can't disagree with them.
 */
export class AddressPool {
  readonly #subnet: Subnet;
  readonly #range: Subnet;
  readonly #taken = new Set<number>();

  /** @param range part of the subnet that addresses are given from */
  constructor(subnet: Subnet, range: Subnet = subnet) {
    this.#subnet = subnet;
    this.#range = range;
    this.#taken.add(subnet.base);
    if (subnet.prefix < 31) this.#taken.add(subnet.base + sizeOf(subnet) - 1);
  }

  /** The lowest free address, or the one asked for. Throws in Docker's words when it is taken, foreign, or none is left. */
  allocate(wanted?: string): string {
    if (wanted !== undefined) return this.#allocateExact(wanted);
    const end = this.#range.base + sizeOf(this.#range);
    for (let ip = this.#range.base; ip < end; ip++) {
      if (this.#taken.has(ip)) continue;
      this.#taken.add(ip);
      return toText(ip);
    }
    throw systemError("no available IPv4 addresses on this network's address pools");
  }

  #allocateExact(wanted: string): string {
    const ip = toNumber(wanted);
    if (!contains(this.#subnet, ip)) {
      throw invalidParameter(
        `invalid config for network: invalid endpoint settings:\nno configured subnet or ip-range contain the IP address ${wanted} (${subnetText(this.#subnet)})`,
      );
    }
    if (this.#taken.has(ip)) throw systemError('Address already in use');
    this.#taken.add(ip);
    return wanted;
  }

  /** Marks an address that a record says is in use. */
  reserve(ip: string): void {
    this.#taken.add(toNumber(ip));
  }

  release(ip: string): void {
    this.#taken.delete(toNumber(ip));
  }
}
