import { createSocket } from 'node:dgram';
import { connect, createServer, type Socket } from 'node:net';

/** Keeps a port of the machine while a container has it, so that nothing else on the machine can take it unseen. */
export interface PortReservation {
  release(): void;
}

/**
 * Binds the port. What the firewall translates never arrives at the socket; what it can't translate (IPv6 from the
 * machine's own loopback, or to a container without IPv6) is passed on to the container from here, TCP only. Rejects with
 * EADDRINUSE when another program holds the port. SCTP has no sockets in Node: it isn't reserved.
 */
export function reservePort(
  protocol: 'tcp' | 'udp' | 'sctp',
  hostIp: string,
  port: number,
  passTo: { readonly ip: string; readonly port: number },
): Promise<PortReservation> {
  if (protocol === 'sctp') return Promise.resolve({ release: () => {} });
  return protocol === 'tcp' ? reserveTcp(hostIp, port, passTo) : reserveUdp(hostIp, port);
}

function reserveTcp(host: string, port: number, passTo: { ip: string; port: number }): Promise<PortReservation> {
  const six = host.includes(':');
  const open = new Set<Socket>();
  return new Promise((resolve, reject) => {
    const server = createServer({ allowHalfOpen: true }, (client) => {
      if (!six) {
        client.destroy();
        return;
      }
      const inner = connect({ host: passTo.ip, port: passTo.port, allowHalfOpen: true });
      for (const [one, other] of [
        [client, inner],
        [inner, client],
      ] as const) {
        open.add(one);
        one.on('error', () => one.destroy());
        one.on('close', (failed) => {
          open.delete(one);
          if (failed) other.destroy();
          else other.end();
        });
        one.pipe(other);
      }
    });
    server.once('error', reject);
    server.listen({ host, port, exclusive: true, ipv6Only: six }, () => {
      server.off('error', reject);
      server.unref();
      resolve({
        release: () => {
          server.close();
          for (const socket of open) socket.destroy();
        },
      });
    });
  });
}

function reserveUdp(address: string, port: number): Promise<PortReservation> {
  const six = address.includes(':');
  return new Promise((resolve, reject) => {
    const socket = createSocket({ type: six ? 'udp6' : 'udp4', ipv6Only: six });
    socket.once('error', reject);
    socket.bind({ address, port, exclusive: true }, () => {
      socket.off('error', reject);
      socket.unref();
      resolve({ release: () => socket.close() });
    });
  });
}
