import { connect, createServer, type Server, type Socket } from 'node:net';

/** Listens on an IPv6 address, for QEMU's user network forwards IPv4 only, and passes connections on to a port of 127.0.0.1. TCP. */
export class SixRelay {
  readonly #server: Server;
  readonly #open = new Set<Socket>();

  private constructor(target: number) {
    this.#server = createServer({ allowHalfOpen: true }, (client) => {
      const inner = connect({ host: '127.0.0.1', port: target, allowHalfOpen: true });
      for (const [one, other] of [
        [client, inner],
        [inner, client],
      ] as const) {
        this.#open.add(one);
        one.on('error', () => one.destroy());
        one.on('close', (failed) => {
          this.#open.delete(one);
          if (failed) other.destroy();
          else other.end();
        });
        one.pipe(other);
      }
    });
  }

  /** Rejects with the system's error: EADDRINUSE, EACCES, EADDRNOTAVAIL. */
  static async listen(host: string, port: number, target: number): Promise<SixRelay> {
    const relay = new SixRelay(target);
    await new Promise<void>((resolve, reject) => {
      relay.#server.once('error', reject);
      relay.#server.listen({ host, port, exclusive: true, ipv6Only: true }, resolve);
    });
    return relay;
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#open) socket.destroy();
  }
}

/** A port of 127.0.0.1 that nobody has now. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: '127.0.0.1', port: 0 }, resolve);
  });
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
