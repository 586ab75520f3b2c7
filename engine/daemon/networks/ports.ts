import { existsSync, readFileSync } from 'node:fs';

import { type EngineError, hasCode, systemError } from '../../errors.ts';
import type { PortMap } from '../../model/container.ts';
import { isAny, type PublishedPort, publishPorts, unpublishPorts } from '../../network/firewall.ts';
import type { HostChannel } from '../../network/host-channel.ts';
import { type PortReservation, reservePort } from '../../network/port-reservation.ts';
import { type Family, familyOf } from '../../network/subnet.ts';

interface Lease {
  readonly protocol: PublishedPort['protocol'];
  readonly hostPort: number;
  readonly containerPort: number;
  /** The address the user asked for. */
  readonly hostIp: string;
  /** The address that is held on this machine. */
  readonly heldIp: string;
  /** As this machine translates it; undefined where only the reservation's own socket passes connections on. */
  readonly port: PublishedPort | undefined;
  readonly reservation: PortReservation;
  readonly containerId: string;
}

export interface PortWish {
  readonly protocol: PublishedPort['protocol'];
  readonly containerPort: number;
  /** '': every address, of both families when the container has both. */
  readonly hostIp: string;
  /** A free one of this range is taken; [0, 0] is any. */
  readonly range: readonly [number, number];
}

/** Where published ports of a container lead. */
export interface PortTarget {
  readonly containerId: string;
  readonly ipv4: string;
  readonly ipv6: string | undefined;
  /** Families whose ports are reached at the container's own address, and how; see PublishedPort. */
  readonly direct: Readonly<Record<Family, PublishedPort['direct']>>;
}

const ANY = '0.0.0.0';
const ANY6 = '::';

/** Ports of the machine that belong to containers: reserved, translated, and opened on the host. */
export class Ports {
  /** By protocol and port: what may conflict. */
  readonly #leases = new Map<string, Lease[]>();
  readonly #byContainer = new Map<string, Lease[]>();
  readonly #host: HostChannel | undefined;
  readonly #ephemeral: readonly [number, number];
  #next: number;

  constructor(host: HostChannel | undefined) {
    this.#host = host;
    const [low = 32768, high = 60999] = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8')
      .split(/\s+/)
      .map(Number);
    this.#ephemeral = [low, high];
    this.#next = low;
  }

  published(): readonly PublishedPort[] {
    return [...this.#byContainer.values()].flat().flatMap(({ port }) => port ?? []);
  }

  /** Publishes all of a container's ports, or none. Throws in Docker's words when one can't be had. */
  async publish(target: PortTarget, wishes: readonly PortWish[]): Promise<PortMap> {
    const leases: Lease[] = [];
    const translated: PublishedPort[] = [];
    try {
      for (const wish of wishes) leases.push(...(await this.#lease(target, wish)));
      const ports = leases.flatMap(({ port }) => port ?? []);
      publishPorts(ports);
      translated.push(...ports);
      await Promise.all(leases.map((lease) => this.#openOnHost(lease)));
    } catch (error) {
      await this.#giveBack(target.containerId, leases, translated);
      throw error;
    }
    const map: Record<string, { HostIp: string; HostPort: string }[]> = {};
    for (const { containerPort, protocol, hostIp, hostPort } of leases) {
      const name = `${containerPort}/${protocol}`;
      map[name] ??= [];
      map[name].push({ HostIp: hostIp, HostPort: hostPort ? String(hostPort) : '' });
    }
    return map;
  }

  /** One wish becomes one lease, or two of the same port when it is for both families. */
  async #lease(target: PortTarget, wish: PortWish): Promise<Lease[]> {
    const addresses = wish.hostIp ? [wish.hostIp] : [ANY, ...(target.ipv6 && (this.#host || hasIpv6()) ? [ANY6] : [])];
    const [first, last] = wish.range[0] === 0 ? this.#ephemeral : wish.range;
    for (let tries = 0; tries <= last - first; tries++) {
      const port = wish.range[0] === 0 ? this.#nextEphemeral() : first + tries;
      const isLast = tries === last - first;
      const taken: Lease[] = [];
      try {
        for (const hostIp of addresses) taken.push(await this.#take(target, { ...wish, hostIp }, port));
        return taken;
      } catch (error) {
        await this.#giveBack(target.containerId, taken, []);
        if (isLast) throw wish.range[0] === 0 ? systemError('all ports are allocated') : error;
      }
    }
    throw systemError('all ports are allocated');
  }

  #nextEphemeral(): number {
    const port = this.#next;
    this.#next = port >= this.#ephemeral[1] ? this.#ephemeral[0] : port + 1;
    return port;
  }

  async #take(target: PortTarget, wish: PortWish, hostPort: number): Promise<Lease> {
    const { hostIp, protocol, containerPort } = wish;
    const { containerId } = target;
    const direct = target.direct[familyOf(hostIp)];
    if (direct === 'only') return this.#routed(target, wish);
    // In a VM the address a user asks for is one of the machine around it, which listens there; what it forwards comes in
    // at the VM's own address, so here the port is translated on every address.
    const heldIp = this.#host ? ANY : hostIp;
    if (this.#host && this.#isHeld(target, wish, hostPort)) return this.#sharing(containerId, wish, hostPort);
    if (this.#conflict(protocol, heldIp, hostPort)) {
      throw systemError(`Bind for ${hostIp}:${hostPort} failed: port is already allocated`);
    }
    const containerIp = familyOf(heldIp) === 6 ? target.ipv6 : target.ipv4;
    if (containerIp === undefined && protocol !== 'tcp') {
      throw systemError(
        `failed to bind host port for ${hostIp}:${hostPort}:${containerPort}/${protocol}: the container has no IPv6 address`,
      );
    }
    const passTo = { ip: containerIp ?? target.ipv4, port: containerPort };
    let reservation: PortReservation;
    try {
      reservation = await reservePort(protocol, heldIp, hostPort, passTo);
    } catch (error) {
      throw bindError(`${hostIp}:${hostPort}:${passTo.ip}:${containerPort}/${protocol}`, error);
    }
    const port = containerIp
      ? { protocol, hostIp: heldIp, hostPort, containerIp, containerPort, ...(direct ? { direct } : {}) }
      : undefined;
    const lease = { protocol, hostPort, containerPort, hostIp, heldIp, port, reservation, containerId };
    this.#add(lease);
    return lease;
  }

  /** In a VM one port here serves all addresses of the computer on which the container has it. */
  #isHeld({ containerId }: PortTarget, { protocol, hostIp, containerPort }: PortWish, hostPort: number): boolean {
    return (this.#leases.get(`${protocol} ${hostPort}`) ?? []).some(
      (lease) => lease.containerId === containerId && lease.containerPort === containerPort && lease.hostIp !== hostIp,
    );
  }

  #sharing(containerId: string, { protocol, hostIp, containerPort }: PortWish, hostPort: number): Lease {
    const reservation: PortReservation = { release: () => {} };
    const lease = { protocol, hostPort, containerPort, hostIp, heldIp: ANY, port: undefined, reservation, containerId };
    this.#add(lease);
    return lease;
  }

  /** A port of a routed network takes none of the machine's. */
  #routed({ containerId, ipv4, ipv6 }: PortTarget, { protocol, hostIp, containerPort }: PortWish): Lease {
    const containerIp = familyOf(hostIp) === 6 ? ipv6 : ipv4;
    const port = containerIp
      ? { protocol, hostIp, hostPort: 0, containerIp, containerPort, direct: 'only' as const }
      : undefined;
    const reservation: PortReservation = { release: () => {} };
    const lease = { protocol, hostPort: 0, containerPort, hostIp, heldIp: hostIp, port, reservation, containerId };
    this.#add(lease);
    return lease;
  }

  #add(lease: Lease): void {
    const key = `${lease.protocol} ${lease.hostPort}`;
    this.#leases.set(key, [...(this.#leases.get(key) ?? []), lease]);
    const own = this.#byContainer.get(lease.containerId);
    if (own) own.push(lease);
    else this.#byContainer.set(lease.containerId, [lease]);
  }

  #drop(containerId: string, leases: readonly Lease[]): void {
    const gone = new Set(leases);
    const rest = (this.#byContainer.get(containerId) ?? []).filter((lease) => !gone.has(lease));
    if (rest.length > 0) this.#byContainer.set(containerId, rest);
    else this.#byContainer.delete(containerId);
    for (const lease of leases) {
      const key = `${lease.protocol} ${lease.hostPort}`;
      const others = (this.#leases.get(key) ?? []).filter((other) => other !== lease);
      if (others.length > 0) this.#leases.set(key, others);
      else this.#leases.delete(key);
    }
  }

  #conflict(protocol: string, ip: string, hostPort: number): boolean {
    return (this.#leases.get(`${protocol} ${hostPort}`) ?? []).some(
      ({ heldIp }) => familyOf(heldIp) === familyOf(ip) && (heldIp === ip || isAny(heldIp) || isAny(ip)),
    );
  }

  async #openOnHost({ protocol, hostIp, hostPort }: Lease): Promise<void> {
    if (protocol === 'sctp' || hostPort === 0) return;
    await this.#host?.expose({ proto: protocol, hostIp, hostPort });
  }

  /** Gives back everything a container has; fine when it has nothing. */
  async unpublish(containerId: string): Promise<void> {
    const leases = this.#byContainer.get(containerId) ?? [];
    await this.#giveBack(
      containerId,
      leases,
      leases.flatMap(({ port }) => port ?? []),
    );
  }

  async #giveBack(containerId: string, leases: readonly Lease[], translated: readonly PublishedPort[]): Promise<void> {
    if (leases.length === 0) return;
    this.#drop(containerId, leases);
    for (const { reservation } of leases) reservation.release();
    try {
      unpublishPorts(translated);
    } catch {
      // Some are not in the maps: those that are go one by one.
      for (const port of translated) tryUnpublish(port);
    }
    const host = this.#host;
    if (!host) return;
    await Promise.all(
      leases.map(async ({ protocol, hostIp, hostPort }) => {
        if (protocol !== 'sctp' && hostPort !== 0) await host.unexpose({ proto: protocol, hostIp, hostPort });
      }),
    );
  }

  /** Takes over what a container published before the engine was restarted; the firewall is written by the caller. */
  async adopt(target: PortTarget, ports: PortMap): Promise<void> {
    for (const [name, bindings] of Object.entries(ports)) {
      const [containerPort = '', protocol = 'tcp'] = name.split('/');
      for (const { HostIp = ANY, HostPort = '0' } of bindings ?? []) {
        const wish: PortWish = {
          protocol: protocol as PublishedPort['protocol'],
          hostIp: HostIp,
          containerPort: Number(containerPort),
          range: [0, 0],
        };
        const lease = await this.#take(target, wish, Number(HostPort)).catch(() =>
          this.#adoptUnreserved(target, wish, Number(HostPort)),
        );
        await this.#openOnHost(lease).catch(() => {});
      }
    }
  }

  /** Another program took the port while the engine was away: the container keeps it all the same. */
  #adoptUnreserved(target: PortTarget, wish: PortWish, hostPort: number): Lease {
    const { protocol, hostIp, containerPort } = wish;
    const heldIp = this.#host ? ANY : hostIp;
    const containerIp = familyOf(heldIp) === 6 ? target.ipv6 : target.ipv4;
    const port = containerIp ? { protocol, hostIp: heldIp, hostPort, containerIp, containerPort } : undefined;
    const reservation: PortReservation = { release: () => {} };
    const lease = {
      protocol,
      hostPort,
      containerPort,
      hostIp,
      heldIp,
      port,
      reservation,
      containerId: target.containerId,
    };
    this.#add(lease);
    return lease;
  }
}

function tryUnpublish(port: PublishedPort): void {
  try {
    unpublishPorts([port]);
  } catch {
    // Not in the map: publishing it had failed.
  }
}

const hasIpv6 = (): boolean => existsSync('/proc/net/if_inet6');

function bindError(what: string, cause: unknown): EngineError {
  const reason = hasCode(cause, 'EADDRINUSE')
    ? 'address already in use'
    : hasCode(cause, 'EADDRNOTAVAIL')
      ? 'cannot assign requested address'
      : String(cause);
  return systemError(`failed to bind host port for ${what}: ${reason}`, cause);
}
