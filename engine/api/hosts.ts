import { isIP } from 'node:net';

/** Where the API listens (dockerd's `-H`). */
export type Host =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly address: string; readonly port: number }
  /** Sockets that whoever started the engine has opened (sd_listen_fds): descriptors from 3 on. */
  | { readonly kind: 'fd' };

/** IANA's ports of Docker's API, without and with TLS. */
const PLAIN_PORT = 2375;
const TLS_PORT = 2376;

/** Throws for what isn't an address. @param tls decides the port of a tcp:// host that names none */
export function parseHost(text: string, tls: boolean): Host {
  if (text.startsWith('unix://')) {
    const path = text.slice('unix://'.length);
    if (!path.startsWith('/')) throw new Error(`invalid host ${text}: a unix socket needs an absolute path`);
    return { kind: 'unix', path };
  }
  if (/^fd:\/\/\*?$/.test(text)) return { kind: 'fd' };
  const tcp = /^tcp:\/\/(\[[0-9a-fA-F:.]+\]|[^:/[\]]*)(?::(\d+))?\/?$/.exec(text);
  if (!tcp) throw new Error(`invalid host ${text}: expected unix:///path, tcp://address:port or fd://`);
  const port = tcp[2] === undefined ? (tls ? TLS_PORT : PLAIN_PORT) : Number(tcp[2]);
  if (port > 65_535) throw new Error(`invalid host ${text}: no such port`);
  return { kind: 'tcp', address: tcp[1]?.replace(/^\[|\]$/g, '') || '0.0.0.0', port };
}

/** Whether only this machine reaches the address. */
export function isLoopback(address: string): boolean {
  if (address === 'localhost' || address === '::1') return true;
  return isIP(address) === 4 && address.startsWith('127.');
}
