import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { RESOLVER_ADDRESS } from '../../network/dns/listener.ts';
import { type ResolverSettings, usesEmbeddedDns } from '../networks/names.ts';
import type { ContainerRecord, Endpoint } from './record.ts';

/** Used when the machine has no resolver a container could reach, as dockerd does. */
const FALLBACK_DNS = ['8.8.8.8', '8.8.4.4'];

const HOSTS = `127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
`;

/** What the engine's own configuration says about names. */
export interface NameSettings {
  /** host.docker.internal, and `host-gateway` too. */
  readonly hostGatewayIp: string | undefined;
  /** What `host-gateway` stands for where that is not set: the default bridge's address. */
  readonly bridgeGateway: () => string | undefined;
  /** For containers that name none; empty: the machine's. */
  readonly dns: readonly string[];
  readonly dnsSearch: readonly string[];
  readonly dnsOptions: readonly string[];
}

export interface NetworkFileOptions {
  readonly directory: string;
  readonly record: ContainerRecord;
  readonly settings: NameSettings;
  /** More lines for hosts: linked containers. */
  readonly links: readonly string[];
  /** The hosts file of a container with the machine's network comes from the machine. */
  readonly hostNetwork: boolean;
}

interface ResolvConf {
  readonly servers: readonly string[];
  readonly search: readonly string[];
  readonly options: readonly string[];
}

function parseResolvConf(text: string): ResolvConf {
  const rows = text.split('\n').map((line) => line.trim().split(/\s+/));
  const of = (keyword: string): string[] => rows.filter((row) => row[0] === keyword).flatMap((row) => row.slice(1));
  return { servers: of('nameserver'), search: of('search'), options: of('options') };
}

const isLoopback = (ip: string): boolean => ip.startsWith('127.') || ip === '::1';

/** The machine's resolvers; systemd-resolved's own file knows the real ones behind its stub. */
function machineResolver(): ResolvConf {
  let found: ResolvConf = { servers: [], search: [], options: [] };
  for (const path of ['/etc/resolv.conf', '/run/systemd/resolve/resolv.conf']) {
    try {
      const conf = parseResolvConf(readFileSync(path, 'utf8'));
      if (conf.servers.some((server) => !isLoopback(server))) return conf;
      if (found.servers.length === 0) found = conf;
    } catch {
      // Not there: the next one.
    }
  }
  return found;
}

/** Writes hosts, hostname and resolv.conf of a container about to run. */
export function writeNetworkFiles(options: NetworkFileOptions): void {
  const { directory, record, settings, hostNetwork } = options;
  writeFileSync(join(directory, 'hostname'), `${record.config.Hostname ?? ''}\n`);
  writeFileSync(join(directory, 'hosts'), hostsText(options));
  writeFileSync(join(directory, 'resolv.conf'), resolvConfText(record, settings, hostNetwork));
}

function hostsText({ record, settings, hostNetwork, links }: NetworkFileOptions): string {
  let text = hostNetwork ? readFileSync('/etc/hosts', 'utf8') : HOSTS;
  if (!text.endsWith('\n')) text += '\n';
  const { hostGatewayIp } = settings;
  for (const entry of record.hostConfig.ExtraHosts ?? []) {
    const at = entry.search(/[:=]/);
    const ip = entry.slice(at + 1).replace(/^\[|\]$/g, '');
    const address = ip === 'host-gateway' ? (hostGatewayIp ?? settings.bridgeGateway() ?? '') : ip;
    text += `${address}\t${entry.slice(0, at)}\n`;
  }
  if (hostGatewayIp && !hostNetwork) text += `${hostGatewayIp}\thost.docker.internal gateway.docker.internal\n`;
  for (const line of links) text += `${line}\n`;
  for (const endpoint of Object.values(record.networks)) text += hostsLines(record, endpoint);
  return text;
}

/** A container's own name at its addresses on one network. */
function hostsLines(record: ContainerRecord, endpoint: Endpoint): string {
  const { Hostname = '', Domainname = '' } = record.config;
  const names = Domainname ? `${Hostname}.${Domainname} ${Hostname}` : Hostname;
  return [endpoint.ipAddress, endpoint.ipv6Address]
    .filter(Boolean)
    .map((ip) => `${ip}\t${names}\n`)
    .join('');
}

/** The files are bound into the container: they are changed where they are, never replaced. */
export function addHostsLine(directory: string, record: ContainerRecord, endpoint: Endpoint): void {
  appendFileSync(join(directory, 'hosts'), hostsLines(record, endpoint));
}

export function removeHostsLines(directory: string, endpoint: Endpoint): void {
  const path = join(directory, 'hosts');
  const gone = [endpoint.ipAddress, endpoint.ipv6Address].filter(Boolean);
  const rest = readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => !gone.some((ip) => line.startsWith(`${ip}\t`)));
  writeFileSync(path, rest.join('\n'));
}

/** A container that had no embedded resolver has come to a network with names. What its user wrote there stays. */
export function useEmbeddedResolver(directory: string, record: ContainerRecord, settings: NameSettings): void {
  const path = join(directory, 'resolv.conf');
  const plain = resolvConfText({ ...record, networks: {} }, settings, false);
  if (readFileSync(path, 'utf8') === plain) writeFileSync(path, resolvConfText(record, settings, false));
}

interface NameChoice {
  readonly servers: readonly string[];
  readonly search: readonly string[];
  readonly options: readonly string[];
  /** The user or the configuration named the servers. */
  readonly chosen: boolean;
}

/** By rank: the container's own words, the engine's configuration, the machine's. */
function choose({ hostConfig }: ContainerRecord, settings: NameSettings): NameChoice {
  const machine = machineResolver();
  const own = hostConfig.Dns?.length ? hostConfig.Dns : settings.dns;
  const search = hostConfig.DnsSearch?.length ? hostConfig.DnsSearch : settings.dnsSearch;
  const options = hostConfig.DnsOptions?.length ? hostConfig.DnsOptions : settings.dnsOptions;
  return {
    servers: own.length > 0 ? own : machine.servers,
    // A lone dot means: no search list.
    search: (search.length > 0 ? search : machine.search).filter((domain) => domain !== '.'),
    options: options.length > 0 ? options : machine.options,
    chosen: own.length > 0,
  };
}

function resolvConfText(record: ContainerRecord, settings: NameSettings, hostNetwork: boolean): string {
  const { servers, search, options, chosen } = choose(record, settings);
  const embedded = !hostNetwork && usesEmbeddedDns(record);
  const reachable = chosen || hostNetwork ? servers : servers.filter((server) => !isLoopback(server));
  const shown = embedded ? [RESOLVER_ADDRESS] : reachable.length > 0 ? reachable : FALLBACK_DNS;
  const extra = embedded && !options.some((option) => option.startsWith('ndots:')) ? [...options, 'ndots:0'] : options;
  const lines = shown.map((server) => `nameserver ${server}`);
  if (search.length > 0) lines.push(`search ${search.join(' ')}`);
  if (extra.length > 0) lines.push(`options ${extra.join(' ')}`);
  return `${lines.join('\n')}\n`;
}

/** Whom a container's embedded resolver asks about names that aren't the engine's. */
export function resolverSettings(record: ContainerRecord, settings: NameSettings, namespace: string): ResolverSettings {
  const { servers, options, chosen } = choose(record, settings);
  // Without a way out nothing is told to the world either, not even the names asked for.
  const wayOut = Object.values(record.networks).some((endpoint) => endpoint.gateway || endpoint.ipv6Gateway);
  const ndots = options.some((option) => /^ndots:[1-9]/.test(option));
  if (!wayOut) return { upstream: undefined, ndots };
  return {
    // What the user names may be an address only the container can reach; the machine's are asked from the machine.
    upstream: { servers: servers.length > 0 ? servers : FALLBACK_DNS, namespace: chosen ? namespace : undefined },
    ndots,
  };
}
