import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import type { Duplex } from 'node:stream';
import tls from 'node:tls';

import { isLoopback } from './hosts.ts';

const CONNECT_TIMEOUT_MS = 30_000;
const IDLE_TIMEOUT_MS = 15_000;

export interface DialOptions {
  /** Dialled at the same port when the VM's own loopback refuses: what runs on the user's machine. */
  readonly hostLoopback: string | undefined;
  readonly proxy: URL | undefined;
}

type Callback = (error: Error | null, socket: Duplex) => void;

const fail = (callback: Callback | undefined, error: Error) => callback?.(error, undefined as unknown as Duplex);

function connect(host: string, port: number): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host, port, autoSelectFamily: true });
    const timer = setTimeout(() => {
      socket.destroy(Object.assign(new Error('i/o timeout'), { code: 'ETIMEDOUT', address: host, port }));
    }, CONNECT_TIMEOUT_MS);
    socket.once('connect', () => {
      clearTimeout(timer);
      socket.removeAllListeners('error');
      resolve(socket);
    });
    socket.once('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
  });
}

/** A TCP connection to a registry's host: directly, through the machine's loopback, or through a proxy's tunnel. */
async function dial(host: string, port: number, options: DialOptions, tunnel: boolean): Promise<net.Socket> {
  if (options.proxy) {
    const proxyPort = Number(options.proxy.port || (options.proxy.protocol === 'https:' ? 443 : 80));
    const socket = await connect(options.proxy.hostname, proxyPort);
    if (tunnel) await openTunnel(socket, `${host.includes(':') ? `[${host}]` : host}:${port}`, options.proxy);
    return socket;
  }
  try {
    return await connect(host, port);
  } catch (error) {
    if (!options.hostLoopback || !isLoopback(host) || !isRefused(error)) throw error;
    return connect(options.hostLoopback, port);
  }
}

const isRefused = (error: unknown): boolean => {
  const { code, errors } = error as NodeJS.ErrnoException & { errors?: NodeJS.ErrnoException[] };
  return code === 'ECONNREFUSED' || errors?.some((inner) => inner.code === 'ECONNREFUSED') === true;
};

export const proxyAuthorization = (proxy: URL): string | undefined =>
  proxy.username
    ? `Basic ${Buffer.from(`${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`).toString('base64')}`
    : undefined;

function openTunnel(socket: net.Socket, target: string, proxy: URL): Promise<void> {
  return new Promise((resolve, reject) => {
    const authorization = proxyAuthorization(proxy);
    socket.write(
      `CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n${authorization ? `Proxy-Authorization: ${authorization}\r\n` : ''}\r\n`,
    );
    let answer = '';
    const onData = (chunk: Buffer) => {
      answer += chunk.toString('latin1');
      const end = answer.indexOf('\r\n\r\n');
      if (end < 0 && answer.length < 16_384) return;
      socket.off('data', onData);
      socket.removeAllListeners('error');
      const status = /^HTTP\/1\.[01] (\d+)/.exec(answer)?.[1];
      if (status === '200') {
        const rest = Buffer.from(answer.slice(end + 4), 'latin1');
        if (rest.length > 0) socket.unshift(rest);
        resolve();
      } else {
        socket.destroy();
        reject(new Error(`proxy ${proxy.host} answered ${status ?? 'nonsense'} to CONNECT ${target}`));
      }
    };
    socket.on('data', onData);
    socket.once('error', reject);
    socket.once('end', () => reject(new Error(`proxy ${proxy.host} closed the connection`)));
  });
}

/** The agent of plain HTTP. Behind a proxy the request line names the whole URL, so no tunnel is needed. */
export class PlainAgent extends http.Agent {
  readonly #options: DialOptions;

  constructor(options: DialOptions) {
    super({ keepAlive: true, timeout: IDLE_TIMEOUT_MS });
    this.#options = options;
  }

  override createConnection(options: http.ClientRequestArgs, callback?: Callback): undefined {
    dial(String(options.host ?? options.hostname), Number(options.port ?? 80), this.#options, false).then(
      (socket) => callback?.(null, socket),
      (error: Error) => fail(callback, error),
    );
    return undefined;
  }
}

export class TlsAgent extends https.Agent {
  readonly #options: DialOptions;
  readonly #tls: tls.ConnectionOptions;

  constructor(options: DialOptions, tlsOptions: tls.ConnectionOptions) {
    super({ keepAlive: true, timeout: IDLE_TIMEOUT_MS });
    this.#options = options;
    this.#tls = tlsOptions;
  }

  override createConnection(options: https.RequestOptions, callback?: Callback): undefined {
    const host = String(options.host ?? options.hostname);
    dial(host, Number(options.port ?? 443), this.#options, true).then(
      (socket) => {
        const secure = tls.connect({ ...this.#tls, socket, ...(net.isIP(host) ? { host } : { servername: host }) });
        const onError = (error: Error) => fail(callback, error);
        secure.once('error', onError);
        secure.once('secureConnect', () => {
          secure.off('error', onError);
          callback?.(null, secure);
        });
      },
      (error: Error) => fail(callback, error),
    );
    return undefined;
  }
}
