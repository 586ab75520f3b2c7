import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import type { HostConfig } from '../../model/container.ts';
import type { ContainerRecord } from './record.ts';

/** Used when the machine has no resolver a container could reach, as dockerd does. */
const FALLBACK_DNS = ['8.8.8.8', '8.8.4.4'];

const HOSTS = `127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
`;

export interface NetworkFileOptions {
  readonly directory: string;
  readonly record: ContainerRecord;
  /** `host-gateway` and host.docker.internal. */
  readonly hostGatewayIp: string | undefined;
  /** Resolvers the engine was configured with. */
  readonly dns: readonly string[];
  /** Address of the embedded resolver, for containers on user-defined networks. */
  readonly embeddedDns: string | undefined;
  /** Where the hosts file of a container with the machine's network comes from. */
  readonly hostNetwork: boolean;
}

export interface NetworkFiles {
  readonly hosts: string;
  readonly hostname: string;
  readonly resolvConf: string;
  /** Resolvers the embedded one forwards to. */
  readonly upstream: readonly string[];
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

function machineResolver(): ResolvConf {
  for (const path of ['/etc/resolv.conf', '/run/systemd/resolve/resolv.conf']) {
    try {
      const conf = parseResolvConf(readFileSync(path, 'utf8'));
      if (conf.servers.some((server) => !isLoopback(server))) return conf;
    } catch {
      // Not there: the next one.
    }
  }
  return { servers: [], search: [], options: [] };
}

/** Writes hosts, hostname and resolv.conf of a container about to run. */
export function writeNetworkFiles(options: NetworkFileOptions): NetworkFiles {
  const { directory, record } = options;
  const files = {
    hosts: join(directory, 'hosts'),
    hostname: join(directory, 'hostname'),
    resolvConf: join(directory, 'resolv.conf'),
  };
  writeFileSync(files.hostname, `${record.config.Hostname ?? ''}\n`);
  writeFileSync(files.hosts, hostsText(options));
  const { text, upstream } = resolvConf(options, record.hostConfig);
  writeFileSync(files.resolvConf, text);
  return { ...files, upstream };
}

function hostsText({ record, hostGatewayIp, hostNetwork }: NetworkFileOptions): string {
  let text = hostNetwork ? readFileSync('/etc/hosts', 'utf8') : HOSTS;
  if (!text.endsWith('\n')) text += '\n';
  for (const entry of record.hostConfig.ExtraHosts ?? []) {
    const at = entry.search(/[:=]/);
    const ip = entry.slice(at + 1).replace(/^\[|\]$/g, '');
    text += `${ip === 'host-gateway' ? (hostGatewayIp ?? gatewayOf(record)) : ip}\t${entry.slice(0, at)}\n`;
  }
  if (hostGatewayIp && !hostNetwork) text += `${hostGatewayIp}\thost.docker.internal gateway.docker.internal\n`;
  const { Hostname = '', Domainname = '' } = record.config;
  const names = Domainname ? `${Hostname}.${Domainname} ${Hostname}` : Hostname;
  for (const endpoint of Object.values(record.networks))
    if (endpoint.ipAddress) text += `${endpoint.ipAddress}\t${names}\n`;
  return text;
}

const gatewayOf = (record: ContainerRecord): string =>
  Object.values(record.networks).find((endpoint) => endpoint.gateway)?.gateway ?? '';

function resolvConf(options: NetworkFileOptions, host: HostConfig): { text: string; upstream: readonly string[] } {
  const machine = machineResolver();
  const own = host.Dns?.length ? host.Dns : options.dns;
  const reachable = machine.servers.filter((server) => options.hostNetwork || !isLoopback(server));
  const servers = own.length > 0 ? own : reachable.length > 0 ? reachable : FALLBACK_DNS;
  const search = host.DnsSearch?.length ? host.DnsSearch.filter((domain) => domain !== '.') : machine.search;
  const given = host.DnsOptions?.length ? host.DnsOptions : machine.options;
  const embedded = options.embeddedDns;
  const extra = embedded && !given.some((option) => option.startsWith('ndots:')) ? [...given, 'ndots:0'] : given;
  const lines = (embedded ? [embedded] : servers).map((server) => `nameserver ${server}`);
  if (search.length > 0) lines.push(`search ${search.join(' ')}`);
  if (extra.length > 0) lines.push(`options ${extra.join(' ')}`);
  return { text: `${lines.join('\n')}\n`, upstream: servers };
}
