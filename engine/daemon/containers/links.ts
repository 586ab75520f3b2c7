import { invalidParameter } from '../../errors.ts';
import type { HostConfig } from '../../model/container.ts';
import type { ContainerParts } from './parts.ts';
import { type ContainerRecord, isRunning } from './record.ts';

/** What a container of the default bridge hears of the ones it is linked to (`--link`). */
export interface LinkedContainers {
  /** Lines for its hosts file. */
  readonly hosts: readonly string[];
  readonly environment: readonly string[];
}

const NONE: LinkedContainers = { hosts: [], environment: [] };

const parse = (link: string): { target: string; alias: string } => {
  const [target = '', alias = target] = link.split(':');
  return { target: target.replace(/^\//, ''), alias: alias.replace(/^.*\//, '') };
};

/** Links count on the default bridge only; elsewhere names are the resolver's. */
const linksOf = (host: HostConfig): readonly string[] =>
  ['', 'default', 'bridge'].includes(host.NetworkMode ?? '') ? (host.Links ?? []) : [];

/** Refuses links to what isn't there, when a container is made. */
export function checkLinks(parts: ContainerParts, host: HostConfig): void {
  for (const link of host.Links ?? []) {
    const { target } = parse(link);
    if (!target) throw invalidParameter(`invalid link: ${link}`);
    const found = parts.registry.find(target);
    if (!found) throw invalidParameter(`could not get container for ${target}: No such container: ${target}`);
    if (found.record.hostConfig.NetworkMode === 'host') {
      throw invalidParameter(
        "conflicting options: host type networking can't be used with links. This would result in undefined behavior",
      );
    }
  }
}

/** Throws Docker's words when a linked container doesn't run. */
export function linkedContainers(parts: ContainerParts, record: ContainerRecord): LinkedContainers {
  const links = linksOf(record.hostConfig);
  if (links.length === 0) return NONE;
  const hosts: string[] = [];
  const environment: string[] = [];
  for (const link of links) {
    const { target, alias } = parse(link);
    const other = parts.registry.get(target).record;
    if (!isRunning(other)) {
      throw invalidParameter(`Cannot link to a non running container: /${other.name} AS /${record.name}/${alias}`);
    }
    const ip = other.networks.bridge?.ipAddress;
    if (!ip) {
      throw invalidParameter(`Cannot link to /${other.name}, as it does not belong to the default network`);
    }
    const names = [alias, other.config.Hostname ?? '', ...(alias === other.name ? [] : [other.name])];
    hosts.push(`${ip}\t${[...new Set(names.filter(Boolean))].join(' ')}`);
    environment.push(...linkEnvironment(record, other, alias, ip));
  }
  return { hosts, environment };
}

/** The variables that Docker has given linked containers since its beginnings. */
function linkEnvironment(record: ContainerRecord, other: ContainerRecord, alias: string, ip: string): string[] {
  const prefix = alias.toUpperCase().replaceAll('-', '_');
  const out: string[] = [];
  const ports = Object.keys(other.config.ExposedPorts ?? {})
    .map((name) => {
      const [port = '', protocol = 'tcp'] = name.split('/');
      return { port, protocol };
    })
    .sort((a, b) => Number(a.port) - Number(b.port));
  const url = ({ port, protocol }: { port: string; protocol: string }): string => `${protocol}://${ip}:${port}`;
  if (ports[0]) out.push(`${prefix}_PORT=${url(ports[0])}`);
  for (const one of ports) {
    const base = `${prefix}_PORT_${one.port}_${one.protocol.toUpperCase()}`;
    out.push(`${base}=${url(one)}`, `${base}_ADDR=${ip}`, `${base}_PORT=${one.port}`, `${base}_PROTO=${one.protocol}`);
  }
  out.push(`${prefix}_NAME=/${record.name}/${alias}`);
  for (const entry of other.config.Env ?? []) {
    const at = entry.indexOf('=');
    const name = entry.slice(0, at);
    if (at > 0 && name !== 'HOME' && name !== 'PATH') out.push(`${prefix}_ENV_${entry}`);
  }
  return out;
}

/** The record with its links' variables, which the container's own override. */
export function withLinkEnvironment(record: ContainerRecord, links: LinkedContainers): ContainerRecord {
  if (links.environment.length === 0) return record;
  const own = record.config.Env ?? [];
  const names = new Set(own.map((entry) => entry.split('=')[0]));
  const added = links.environment.filter((entry) => !names.has(entry.split('=')[0]));
  return { ...record, config: { ...record.config, Env: [...added, ...own] } };
}
