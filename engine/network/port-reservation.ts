import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';

/** Keeps a port of the machine while a container has it, so that nothing else on the machine can take it unseen. */
export interface PortReservation {
  readonly port: number;
  release(): void;
}

/**
 * Binds the port (0: a free one). The socket never accepts: connections are translated to the container before they would
 * reach it. Rejects with EADDRINUSE when another program holds the port. SCTP has no sockets in Node: it isn't reserved.
 */
export function reservePort(protocol: 'tcp' | 'udp' | 'sctp', hostIp: string, port: number): Promise<PortReservation> {
  if (protocol === 'sctp') return Promise.resolve({ port, release: () => {} });
  return protocol === 'tcp' ? reserveTcp(hostIp, port) : reserveUdp(hostIp, port);
}

function reserveTcp(host: string, port: number): Promise<PortReservation> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', reject);
    server.listen({ host, port, exclusive: true, backlog: 1 }, () => {
      server.off('error', reject);
      server.unref();
      const address = server.address();
      resolve({ port: typeof address === 'object' && address ? address.port : port, release: () => server.close() });
    });
  });
}

function reserveUdp(address: string, port: number): Promise<PortReservation> {
  return new Promise((resolve, reject) => {
    const socket = createSocket({ type: 'udp4' });
    socket.once('error', reject);
    socket.bind({ address, port, exclusive: true }, () => {
      socket.off('error', reject);
      socket.unref();
      resolve({ port: socket.address().port, release: () => socket.close() });
    });
  });
}
