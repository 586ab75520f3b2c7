import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import type { Server } from 'node:http';
import { connect, type ListenOptions } from 'node:net';
import { dirname } from 'node:path';

import { log } from '../log.ts';
import { type Host, isLoopback, parseHost } from './hosts.ts';
import type { ApiServer } from './server.ts';
import { serverTls, type TlsSettings, wantsTls } from './tls.ts';

export interface ListenSettings extends TlsSettings {
  /** Plain TCP on an address that others reach is root for everybody there: it has to be asked for by this name. */
  readonly 'allow-insecure-tcp'?: boolean;
}

/** First descriptor that systemd and its like pass on (sd_listen_fds(3)). */
const FIRST_FD = 3;

/** Connections that wait to be accepted: a burst of clients is not refused. The kernel's own limit (somaxconn) is the same. */
const BACKLOG = 4096;

/** Every place where the API listens. Made before anything else starts, so that a bad address stops the engine at once. */
export class Listeners {
  readonly #hosts: readonly Host[];
  readonly #settings: ListenSettings;
  readonly #servers: Server[] = [];

  /** Throws for an address that can't be read or mustn't be listened on. */
  constructor(hosts: readonly string[], settings: ListenSettings) {
    this.#settings = settings;
    this.#hosts = hosts.map((text) => parseHost(text, wantsTls(settings)));
    for (const host of this.#hosts) {
      if (host.kind !== 'tcp' || isLoopback(host.address) || wantsTls(settings)) continue;
      const where = `tcp://${host.address}:${host.port}`;
      if (!settings['allow-insecure-tcp']) {
        throw new Error(
          `refusing to listen on ${where} without TLS: whoever reaches it is root on this machine. Set tlsverify with certificates, or allow-insecure-tcp if that is what you want`,
        );
      }
      log.warn('the API is open on the network without TLS: whoever reaches it is root on this machine', {
        host: where,
      });
    }
  }

  /** Rejects when another engine answers on one of the sockets: two would take over each other's containers. */
  async refuseSecond(): Promise<void> {
    for (const host of this.#hosts) {
      if (host.kind === 'unix' && (await answers(host.path))) {
        throw new Error(`another engine is listening on ${host.path}`);
      }
    }
  }

  async open(api: ApiServer): Promise<void> {
    for (const host of this.#hosts) {
      if (host.kind === 'fd') {
        const count = Number(process.env.LISTEN_FDS ?? 0);
        if (count === 0)
          throw new Error('no sockets found: fd:// needs sockets passed on by whoever starts the engine');
        for (let fd = FIRST_FD; fd < FIRST_FD + count; fd++) await this.#listen(api.create(), { fd });
      } else if (host.kind === 'unix') {
        mkdirSync(dirname(host.path), { recursive: true });
        rmSync(host.path, { force: true });
        await this.#listen(api.create(), { path: host.path });
        chmodSync(host.path, 0o660);
      } else {
        const server = wantsTls(this.#settings) ? api.createTls(serverTls(this.#settings)) : api.create();
        await this.#listen(server, { host: host.address, port: host.port });
      }
    }
  }

  close(): void {
    for (const server of this.#servers) server.close();
  }

  #listen(server: Server, options: ListenOptions | { fd: number }): Promise<void> {
    this.#servers.push(server);
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen({ ...options, backlog: BACKLOG }, () => {
        server.off('error', reject);
        resolve();
      });
    });
  }
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once('error', () => resolve(false));
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
  });
}
