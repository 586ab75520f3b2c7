import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { BlockList, isIP } from 'node:net';
import tls from 'node:tls';

import { systemError } from '../../errors.ts';

/** Host part of `host[:port]`, brackets of IPv6 removed. */
export function splitHostPort(text: string): { host: string; port: number | undefined } {
  const match = /^(?:\[([^\]]+)\]|([^:]*))(?::(\d+))?$/.exec(text);
  if (!match) return { host: text, port: undefined };
  return { host: (match[1] ?? match[2]) as string, port: match[3] === undefined ? undefined : Number(match[3]) };
}

export const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host);

/** Whether plain HTTP and unverified TLS are allowed for a registry: loopback always, others when configured. */
export function isInsecure(domain: string, configured: readonly string[]): boolean {
  const { host } = splitHostPort(domain);
  if (isLoopback(host)) return true;
  return configured.some((entry) => entry === domain || entry === host || inRange(host, entry));
}

/** CIDR match of an address; names match no range. */
export function inRange(host: string, range: string): boolean {
  const version = isIP(host);
  const match = /^(.+)\/(\d+)$/.exec(range);
  if (!version || !match || isIP(match[1] as string) !== version) return false;
  const family = version === 6 ? 'ipv6' : 'ipv4';
  const list = new BlockList();
  try {
    list.addSubnet(match[1] as string, Number(match[2]), family);
  } catch {
    return false;
  }
  return list.check(host, family);
}

export interface Certificates {
  /** PEM; undefined: the runtime's own authorities only. */
  readonly ca?: readonly string[];
  readonly cert?: string;
  readonly key?: string;
}

/** `<certsDir>/<host>[:<port>]/`: *.crt are authorities, *.cert with *.key the client's own (moby registry.ReadCertsDirectory). */
export function readCertificates(certsDir: string, domain: string): Certificates {
  const folder = `${certsDir}/${domain}`;
  if (!existsSync(folder)) return {};
  const names = readdirSync(folder).sort();
  const authorities = names
    .filter((name) => name.endsWith('.crt'))
    .map((name) => readFileSync(`${folder}/${name}`, 'utf8'));
  const certName = names.find((name) => name.endsWith('.cert'));
  const keyName = certName?.replace(/\.cert$/, '.key');
  if (certName && keyName && !names.includes(keyName)) {
    throw systemError(
      `missing key ${keyName} for client certificate ${certName}. CA certificates must use the extension .crt`,
    );
  }
  const orphan = names.find((name) => name.endsWith('.key') && !names.includes(name.replace(/\.key$/, '.cert')));
  if (orphan) throw systemError(`missing client certificate ${orphan.replace(/\.key$/, '.cert')} for key ${orphan}`);
  return {
    ...(authorities.length > 0 ? { ca: [...tls.getCACertificates('default'), ...authorities] } : {}),
    ...(certName ? { cert: readFileSync(`${folder}/${certName}`, 'utf8') } : {}),
    ...(keyName ? { key: readFileSync(`${folder}/${keyName}`, 'utf8') } : {}),
  };
}

/** The proxy for a URL by the usual variables; loopback is never proxied (Go's http.ProxyFromEnvironment). */
export function proxyFor(url: URL, env: Readonly<Record<string, string | undefined>>): URL | undefined {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (isLoopback(host)) return undefined;
  const name = url.protocol === 'https:' ? 'HTTPS_PROXY' : 'HTTP_PROXY';
  const proxy = env[name] ?? env[name.toLowerCase()];
  if (!proxy || excluded(host, url.port, env.NO_PROXY ?? env.no_proxy ?? '')) return undefined;
  return new URL(/^[a-z]+:\/\//.test(proxy) ? proxy : `http://${proxy}`);
}

function excluded(host: string, port: string, list: string): boolean {
  return list.split(/[\s,]+/).some((entry) => {
    if (entry === '') return false;
    if (entry === '*' || inRange(host, entry)) return true;
    const wanted = splitHostPort(entry);
    if (wanted.port !== undefined && String(wanted.port) !== port) return false;
    const name = wanted.host.replace(/^\*?\./, '');
    const exact = entry.startsWith('.') || entry.startsWith('*.') ? false : host === name;
    return exact || host.endsWith(`.${name}`);
  });
}
