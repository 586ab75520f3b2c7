import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, rmSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Testbed } from '../engine/testbed.ts';

/** In the engine's network: whoever comes to the socket gets to the port. */
const INSIDE = `
const net = require('node:net');
const [path, port] = process.argv.slice(1);
net.createServer({ allowHalfOpen: true }, (here) => {
  const there = net.connect({ port: Number(port), host: '127.0.0.1', allowHalfOpen: true });
  here.pipe(there).pipe(here);
  for (const [one, other] of [[here, there], [there, here]]) {
    one.on('error', () => other.destroy()).on('close', () => other.destroy());
  }
}).listen(path);
`;

/**
 * A port of this machine's 127.0.0.1 that leads to a port of the test bed's, byte for byte: another host's engine, as far as
 * the app can tell.
 */
export class WayIn {
  /** of 127.0.0.1 */
  port = 0;
  readonly #server: Server;
  readonly #inside: ChildProcess;
  readonly #path: string;
  #open = new Set<Socket>();

  static async to(bed: Testbed, port: number): Promise<WayIn> {
    const path = join(bed.shared, `way-in-${port}`);
    rmSync(path, { force: true });
    const command = [`--target=${bed.pid}`, '--net', process.execPath, '-e', INSIDE, path, String(port)];
    const inside = spawn('nsenter', command, { stdio: ['ignore', 'ignore', 'inherit'] });
    while (!existsSync(path)) {
      if (inside.exitCode !== null) throw new Error('nobody leads into the engine’s network');
      await sleep(20);
    }
    const way = new WayIn(inside, path);
    way.#server.listen(0, '127.0.0.1');
    await once(way.#server, 'listening');
    way.port = (way.#server.address() as AddressInfo).port;
    return way;
  }

  private constructor(inside: ChildProcess, path: string) {
    this.#inside = inside;
    this.#path = path;
    this.#server = createServer({ allowHalfOpen: true }, (here) => {
      const there = connect({ path, allowHalfOpen: true });
      here.pipe(there).pipe(here);
      for (const [one, other] of [
        [here, there],
        [there, here],
      ] as const) {
        this.#open.add(one);
        one.on('error', () => other.destroy());
        one.on('close', () => {
          this.#open.delete(one);
          other.destroy();
        });
      }
    });
  }

  /** As when the host goes away; `listen` brings it back at the same port. */
  async drop(): Promise<() => Promise<void>> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#open) socket.destroy();
    await closed;
    return async () => {
      this.#server.listen(this.port, '127.0.0.1');
      await once(this.#server, 'listening');
    };
  }

  async close(): Promise<void> {
    this.#server.close();
    for (const socket of this.#open) socket.destroy();
    const ended = once(this.#inside, 'exit');
    this.#inside.kill('SIGKILL');
    await ended;
    rmSync(this.#path, { force: true });
  }
}
