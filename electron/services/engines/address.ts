import { isAbsolute } from 'node:path';
import type { EngineAddress, EngineWish } from '../../contract/engines.ts';
import { ServiceError } from '../errors.ts';

const TCP_PORT = 2375;
const TLS_PORT = 2376;
const SSH_PORT = 22;

/** Where the certificates for a `tcp://` host lie; each may be empty. */
export interface TlsFiles {
  ca: string;
  cert: string;
  key: string;
}

/**
 * A value of DOCKER_HOST or of a context's endpoint (`unix://`, `npipe://`, `tcp://`, `http://`, `https://`, `ssh://`); `tls` when the
 * connection is to be encrypted. Undefined for what is none of them.
 */
export function addressOf(dockerHost: string, tls: TlsFiles | undefined): EngineAddress | undefined {
  const [, scheme, rest = ''] = /^([a-z]+):\/\/(.*)$/i.exec(dockerHost.trim()) ?? [];
  if (scheme === 'unix') return rest.startsWith('/') ? { kind: 'unix', path: rest } : undefined;
  if (scheme === 'npipe') return rest ? { kind: 'unix', path: rest.replaceAll('/', '\\') } : undefined;
  const url = URL.canParse(`ssh://${rest}`) ? new URL(`ssh://${rest}`) : undefined;
  const host = url?.hostname.replace(/^\[|\]$/g, '');
  if (!url || !host) return undefined;
  const port = url.port ? Number(url.port) : undefined;
  if (scheme === 'ssh') {
    const user = decodeURIComponent(url.username);
    return { kind: 'ssh', host, port: port ?? SSH_PORT, user, key: '', hostKey: '' };
  }
  if (scheme === 'https' || (scheme === 'tcp' && tls)) {
    return { kind: 'tls', host, port: port ?? TLS_PORT, ...(tls ?? { ca: '', cert: '', key: '' }) };
  }
  if (scheme === 'tcp' || scheme === 'http') return { kind: 'tcp', host, port: port ?? TCP_PORT };
  return undefined;
}

/** What a shell sent, checked. Throws ServiceError 'invalid'. */
export function checkedAddress(value: unknown): EngineAddress {
  const given = (value ?? {}) as Record<string, unknown>;
  switch (given.kind) {
    case 'unix':
      return { kind: 'unix', path: file(given.path, 'socket') };
    case 'tcp':
      return { kind: 'tcp', ...hostAndPort(given, TCP_PORT) };
    case 'tls': {
      const [ca, cert, key] = [
        optional(given.ca, 'CA'),
        optional(given.cert, 'certificate'),
        optional(given.key, 'key'),
      ];
      if ((cert === '') !== (key === '')) throw bad('A certificate and its key belong together: give both or neither.');
      return { kind: 'tls', ...hostAndPort(given, TLS_PORT), ca, cert, key };
    }
    case 'ssh': {
      const user = String(given.user ?? '').trim();
      // No option of a command, nor anything else than a name.
      if (!/^[^\s@:/-][^\s@:/]*$|^$/.test(user)) throw bad('That is not the name of a user.');
      const hostKey = String(given.hostKey ?? '').trim();
      if (!/^([a-z0-9@.-]+ [A-Za-z0-9+/]+=*)?$/.test(hostKey)) throw bad('That is not the key of a host.');
      return { kind: 'ssh', ...hostAndPort(given, SSH_PORT), user, key: optional(given.key, 'key'), hostKey };
    }
    default:
      throw bad('That is not a kind of engine.');
  }
}

/** As checkedAddress, with the name. */
export function checkedWish(value: unknown): EngineWish {
  const { name, address } = (value ?? {}) as Record<string, unknown>;
  const said = typeof name === 'string' ? name.trim() : '';
  if (said === '' || said.length > 60) throw bad('Give the engine a name of at most 60 letters.');
  return { name: said, address: checkedAddress(address) };
}

/** On which computer the published ports of an engine's containers are. */
export function portHost(address: EngineAddress | undefined): string {
  return !address || address.kind === 'unix' ? 'localhost' : address.host;
}

/** The address as DOCKER_HOST would say it. Two engines with the same one are the same. */
export function asDockerHost(address: EngineAddress): string {
  if (address.kind === 'unix') return `unix://${address.path}`;
  const host = address.host.includes(':') ? `[${address.host}]` : address.host;
  const user = address.kind === 'ssh' && address.user ? `${address.user}@` : '';
  return `${address.kind === 'ssh' ? 'ssh' : 'tcp'}://${user}${host}:${address.port}`;
}

function hostAndPort(given: Record<string, unknown>, usual: number): { host: string; port: number } {
  const host = String(given.host ?? '')
    .trim()
    .replace(/^\[|\]$/g, '');
  if (!/^[a-zA-Z0-9_:%][a-zA-Z0-9_.:%-]*$/.test(host)) throw bad('Give the name or the address of a host.');
  const port = given.port === undefined || given.port === '' ? usual : Number(given.port);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw bad('Give a port from 1 to 65535.');
  return { host, port };
}

function file(value: unknown, what: string): string {
  const path = typeof value === 'string' ? value.trim() : '';
  if (path.includes('\0') || !(isAbsolute(path) || path.startsWith('\\\\'))) {
    throw bad(`Give the absolute path of the ${what}.`);
  }
  return path;
}

const optional = (value: unknown, what: string) => (value === undefined || value === '' ? '' : file(value, what));

const bad = (message: string) => new ServiceError('invalid', message);
