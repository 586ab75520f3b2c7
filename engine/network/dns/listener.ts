import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { createServer, type Server, type Socket } from 'node:net';

import { hasCode } from '../../errors.ts';
import { closeFd } from '../../linux/descriptors.ts';
import { inNetworkNamespace } from '../../linux/namespaces.ts';
import { nftHere } from '../../linux/nftables.ts';
import { listenOn } from '../../linux/sockets.ts';
import { Frames, frame } from './tcp-frames.ts';

/** Where containers find their resolver. */
export const RESOLVER_ADDRESS = '127.0.0.11';

/**
 * The port behind it, outside of what the kernel gives out by itself. Port 53 stays free for a server of the container's
 * own; the same port after a restart of the engine keeps connections that the kernel has already translated.
 */
const PORT = 61053;
const IDLE_MS = 30_000;

/** Answers one message; undefined: silence. */
export type Answerer = (message: Buffer, transport: 'udp' | 'tcp') => Promise<Buffer | undefined>;

/** The two sockets, UDP and TCP, through which one container's namespace asks the engine for names. */
export class DnsListener {
  readonly #udp: UdpSocket;
  readonly #tcp: Server;
  readonly #connections = new Set<Socket>();

  /** Opens the sockets inside the namespace and leads port 53 of the resolver's address there. */
  constructor(namespacePath: string, answer: Answerer) {
    const fds = inNetworkNamespace(namespacePath, () => {
      const udp = openPort('udp');
      try {
        const tcp = openPort('tcp');
        nftHere(translation(udp.port, tcp.port));
        return { udp: udp.fd, tcp: tcp.fd };
      } catch (error) {
        closeFd(udp.fd);
        throw error;
      }
    });
    this.#udp = createSocket('udp4');
    this.#udp.on('error', () => {});
    this.#udp.on('message', (message, from) => {
      void answer(message, 'udp').then((reply) => {
        if (reply && !this.#closed) this.#udp.send(reply, from.port, from.address, () => {});
      });
    });
    this.#udp.bind({ fd: fds.udp });
    this.#udp.unref();
    this.#tcp = createServer((socket) => this.#serve(socket, answer));
    this.#tcp.on('error', () => {});
    this.#tcp.listen({ fd: fds.tcp });
    this.#tcp.unref();
  }

  #closed = false;

  #serve(socket: Socket, answer: Answerer): void {
    const frames = new Frames();
    this.#connections.add(socket);
    socket.setTimeout(IDLE_MS, () => socket.destroy());
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#connections.delete(socket));
    socket.on('data', (chunk) => {
      for (const message of frames.push(chunk)) {
        void answer(message, 'tcp').then((reply) => {
          if (reply && !socket.destroyed) socket.write(frame(reply));
        });
      }
    });
  }

  close(): void {
    this.#closed = true;
    this.#udp.close();
    this.#tcp.close();
    for (const socket of this.#connections) socket.destroy();
  }
}

function openPort(kind: 'tcp' | 'udp'): { fd: number; port: number } {
  for (let port = PORT; ; port++) {
    try {
      return { fd: listenOn(kind, RESOLVER_ADDRESS, port), port };
    } catch (error) {
      if (!hasCode(error, 'EADDRINUSE') || port === PORT + 100) throw error;
    }
  }
}

/** A table in the container's own namespace, made again whole each time. */
function translation(udp: number, tcp: number): string {
  return `add table ip skiff_dns
delete table ip skiff_dns
table ip skiff_dns {
  chain output {
    type nat hook output priority -100; policy accept;
    ip daddr ${RESOLVER_ADDRESS} udp dport 53 dnat to ${RESOLVER_ADDRESS}:${udp}
    ip daddr ${RESOLVER_ADDRESS} tcp dport 53 dnat to ${RESOLVER_ADDRESS}:${tcp}
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr ${RESOLVER_ADDRESS} udp sport ${udp} snat to :53
    ip saddr ${RESOLVER_ADDRESS} tcp sport ${tcp} snat to :53
  }
}
`;
}
