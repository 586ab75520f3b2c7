import { readFileSync } from 'node:fs';

import { type EngineError, hasCode, systemError } from '../../errors.ts';
import type { PortMap } from '../../model/container.ts';
import { type PublishedPort, publishPorts, unpublishPorts } from '../../network/firewall.ts';
import type { HostChannel } from '../../network/host-channel.ts';
import { type PortReservation, reservePort } from '../../network/port-reservation.ts';

interface Lease {
  /** As this machine translates it. */
  readonly port: PublishedPort;
  /** The address the user asked for. */
  readonly hostIp: string;
  readonly reservation: PortReservation;
  readonly containerId: string;
}

export interface PortWish {
  readonly protocol: PublishedPort['protocol'];
  readonly containerPort: number;
  readonly hostIp: string;
  /** A free one of this range is taken; [0, 0] is any. */
  readonly range: readonly [number, number];
}

const ANY = '0.0.0.0';

/** Ports of the machine that belong to containers: reserved, translated, and opened on the host. */
export class Ports {
  readonly #leases: Lease[] = [];
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
    return this.#leases.map((lease) => lease.port);
  }

  /** Publishes all of a container's ports, or none. Throws in Docker's words when one can't be had. */
  async publish(containerId: string, containerIp: string, wishes: readonly PortWish[]): Promise<PortMap> {
    const leases: Lease[] = [];
    try {
      for (const wish of wishes) {
        const reservation = await this.#reserve(wish);
        const { protocol, hostIp, containerPort } = wish;
        const port = this.#translated({ protocol, hostIp, hostPort: reservation.port, containerIp, containerPort });
        const lease = { port, hostIp, reservation, containerId };
        leases.push(lease);
        this.#leases.push(lease);
      }
      publishPorts(leases.map((lease) => lease.port));
      for (const lease of leases) await this.#openOnHost(lease);
    } catch (error) {
      await this.unpublish(containerId);
      throw error;
    }
    const map: Record<string, { HostIp: string; HostPort: string }[]> = {};
    for (const { port, hostIp } of leases) {
      const name = `${port.containerPort}/${port.protocol}`;
      map[name] ??= [];
      map[name].push({ HostIp: hostIp, HostPort: String(port.hostPort) });
    }
    return map;
  }

  /**
   * In a VM the address a user asks for is one of the machine around it, which listens there; what it forwards comes in at
   * the VM's own address, so here the port is translated on every address.
   */
  #translated(port: PublishedPort): PublishedPort {
    return this.#host ? { ...port, hostIp: ANY } : port;
  }

  #reservePort(wish: PortWish, port: number): Promise<PortReservation> {
    return reservePort(wish.protocol, this.#host ? ANY : wish.hostIp, port);
  }

  async #reserve(wish: PortWish): Promise<PortReservation> {
    const [first, last] = wish.range;
    if (first === 0) return this.#reserveAny(wish);
    for (let port = first; ; port++) {
      const taken = this.#conflict(wish, port);
      if (!taken) {
        try {
          return await this.#reservePort(wish, port);
        } catch (error) {
          if (port === last) throw bindError(wish, port, error);
          continue;
        }
      }
      if (port === last) throw systemError(`Bind for ${wish.hostIp}:${port} failed: port is already allocated`);
    }
  }

  async #reserveAny(wish: PortWish): Promise<PortReservation> {
    const [low, high] = this.#ephemeral;
    for (let tries = 0; tries <= high - low; tries++) {
      const port = this.#next;
      this.#next = port >= high ? low : port + 1;
      if (this.#conflict(wish, port)) continue;
      try {
        return await this.#reservePort(wish, port);
      } catch (error) {
        if (!hasCode(error, 'EADDRINUSE')) throw bindError(wish, port, error);
      }
    }
    throw systemError('all ports are allocated');
  }

  #conflict(wish: PortWish, hostPort: number): boolean {
    return this.#leases.some(
      ({ port }) =>
        port.protocol === wish.protocol &&
        port.hostPort === hostPort &&
        (port.hostIp === wish.hostIp || port.hostIp === ANY || wish.hostIp === ANY),
    );
  }

  async #openOnHost({ port, hostIp }: Lease): Promise<void> {
    if (port.protocol === 'sctp') return;
    await this.#host?.expose({ proto: port.protocol, hostIp, hostPort: port.hostPort });
  }

  /** Gives back everything a container has; fine when it has nothing. */
  async unpublish(containerId: string): Promise<void> {
    const leases = this.#leases.filter((lease) => lease.containerId === containerId);
    if (leases.length === 0) return;
    for (const lease of leases) {
      this.#leases.splice(this.#leases.indexOf(lease), 1);
      lease.reservation.release();
      try {
        unpublishPorts([lease.port]);
      } catch {
        // Not in the map: publishing it had failed.
      }
    }
    for (const { port, hostIp } of leases) {
      if (port.protocol === 'sctp') continue;
      await this.#host?.unexpose({ proto: port.protocol, hostIp, hostPort: port.hostPort });
    }
  }

  /** Takes over what a container published before the engine was restarted; the firewall is written by the caller. */
  async adopt(containerId: string, containerIp: string, ports: PortMap): Promise<void> {
    for (const [name, bindings] of Object.entries(ports)) {
      const [containerPort = '', protocol = 'tcp'] = name.split('/');
      for (const { HostIp = ANY, HostPort = '0' } of bindings ?? []) {
        const port = this.#translated({
          protocol: protocol as PublishedPort['protocol'],
          hostIp: HostIp,
          hostPort: Number(HostPort),
          containerIp,
          containerPort: Number(containerPort),
        });
        const none: PortReservation = { port: port.hostPort, release: () => {} };
        const reservation = await reservePort(port.protocol, port.hostIp, port.hostPort).catch(() => none);
        const lease = { port, hostIp: HostIp, reservation, containerId };
        this.#leases.push(lease);
        await this.#openOnHost(lease).catch(() => {});
      }
    }
  }
}

function bindError(wish: PortWish, port: number, cause: unknown): EngineError {
  const reason = hasCode(cause, 'EADDRINUSE')
    ? 'address already in use'
    : hasCode(cause, 'EADDRNOTAVAIL')
      ? 'cannot assign requested address'
      : String(cause);
  return systemError(
    `failed to bind host port for ${wish.hostIp}:${port}:${wish.containerPort}/${wish.protocol}: ${reason}`,
    cause,
  );
}
