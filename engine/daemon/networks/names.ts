import { messageOf } from '../../errors.ts';
import { log } from '../../log.ts';
import { forward, type Upstream } from '../../network/dns/forward.ts';
import { DnsListener } from '../../network/dns/listener.ts';
import {
  answerTo,
  formatError,
  type LocalAnswer,
  noData,
  parseQuery,
  type Query,
  serverFailure,
} from '../../network/dns/message.ts';
import type { ContainerRecord, Endpoint } from '../containers/record.ts';
import { addressOfPointer } from './pointer-names.ts';
import { isPredefined } from './record.ts';

/** Names that lead to the machine itself. */
const HOST_NAMES = ['host.docker.internal', 'gateway.docker.internal'];
/** A container may wait for this many upstream answers at a time. */
const MAX_FORWARDED = 1024;

/** How the resolver of one container works. */
export interface ResolverSettings {
  /** Undefined: nothing beyond the engine's own names, as on networks without a way out. */
  readonly upstream: Upstream | undefined;
  /** The user asked for ndots: names without a dot are never sent out. */
  readonly ndots: boolean;
}

/** Every name of a container on a network, as moby's buildEndpointDNSNames has it: lower case, each once. */
export function dnsNames(record: ContainerRecord, endpoint: Endpoint): string[] {
  const { Hostname = '' } = record.config;
  const names = [record.name, ...(endpoint.settings.Aliases ?? []), record.id.slice(0, 12), Hostname];
  return [...new Set(names.filter(Boolean))];
}

/** Whether a container has the embedded resolver: it does on every network that a user made. */
export const usesEmbeddedDns = (record: ContainerRecord): boolean =>
  Object.keys(record.networks).some((network) => !isPredefined(network));

/**
 * The embedded resolver. What a name means is read from the containers' records at the moment of the question, so that no
 * table of names can disagree with them.
 */
export class Names {
  readonly #containers: () => Iterable<ContainerRecord>;
  readonly #hostGatewayIp: string | undefined;
  readonly #listeners = new Map<string, DnsListener>();
  #forwarded = 0;

  /** @param containers all records; the one of a container that is about to run has its addresses already */
  constructor(containers: () => Iterable<ContainerRecord>, hostGatewayIp: string | undefined) {
    this.#containers = containers;
    this.#hostGatewayIp = hostGatewayIp;
  }

  /** Starts answering in a container's namespace; again, when it answers already, with new settings. */
  open(containerId: string, namespacePath: string, settings: ResolverSettings): void {
    this.close(containerId);
    const listener = new DnsListener(namespacePath, async (message, transport) => {
      try {
        return await this.#answer(containerId, message, transport, settings);
      } catch (error) {
        log.warn('a name was not answered', { container: containerId, error: messageOf(error) });
        return undefined;
      }
    });
    this.#listeners.set(containerId, listener);
  }

  isOpen(containerId: string): boolean {
    return this.#listeners.has(containerId);
  }

  close(containerId: string): void {
    this.#listeners.get(containerId)?.close();
    this.#listeners.delete(containerId);
  }

  async #answer(
    containerId: string,
    message: Buffer,
    transport: 'udp' | 'tcp',
    settings: ResolverSettings,
  ): Promise<Buffer | undefined> {
    const query = parseQuery(message);
    if (!query) return formatError(message);
    const limit = transport === 'tcp' ? 65535 : query.datagramLimit;
    const local = this.#local(containerId, query);
    if (local === 'nothing') return noData(query);
    if (local) return answerTo(query, local, limit);
    const address = query.type === 'A' || query.type === 'AAAA';
    if (settings.ndots && address && !query.name.includes('.')) return noData(query);
    if (!settings.upstream || this.#forwarded >= MAX_FORWARDED) return serverFailure(query);
    this.#forwarded++;
    try {
      return (await forward(message, transport, settings.upstream)) ?? serverFailure(query);
    } finally {
      this.#forwarded--;
    }
  }

  /** 'nothing': the name is ours, but not with a record of this type. Undefined: not ours. */
  #local(containerId: string, query: Query): LocalAnswer | 'nothing' | undefined {
    const records = [...this.#containers()];
    const asker = records.find((record) => record.id === containerId);
    if (!asker) return undefined;
    if (query.type === 'PTR') {
      const name = pointer(records, asker, query.name);
      return name ? { kind: 'pointer', name } : undefined;
    }
    const found = this.#addresses(records, asker, query.name);
    if (!found) return undefined;
    const addresses = found.filter((ip) =>
      query.type === 'AAAA' ? ip.includes(':') : query.type === 'A' && !ip.includes(':'),
    );
    return addresses.length > 0 ? { kind: 'addresses', addresses: shuffled(addresses) } : 'nothing';
  }

  #addresses(records: readonly ContainerRecord[], asker: ContainerRecord, name: string): string[] | undefined {
    for (const [network, endpoint] of Object.entries(asker.networks)) {
      if (isPredefined(network) || !endpoint.ipAddress) continue;
      const wanted = linked(records, endpoint, name) ?? name;
      const suffix = `.${network.toLowerCase()}`;
      const short = wanted.endsWith(suffix) ? wanted.slice(0, -suffix.length) : wanted;
      const found = peers(records, endpoint.networkId)
        .filter(({ record, endpoint: peer }) =>
          dnsNames(record, peer).some((own) => [wanted, short].includes(own.toLowerCase())),
        )
        .flatMap(({ endpoint: peer }) => [peer.ipAddress, peer.ipv6Address ?? ''].filter(Boolean));
      if (found.length > 0) return found;
    }
    return this.#hostGatewayIp && HOST_NAMES.includes(name) ? [this.#hostGatewayIp] : undefined;
  }
}

/** Endpoints of a network that have addresses now. */
function peers(records: readonly ContainerRecord[], networkId: string) {
  return records.flatMap((record) =>
    Object.values(record.networks)
      .filter((endpoint) => endpoint.networkId === networkId && endpoint.ipAddress)
      .map((endpoint) => ({ record, endpoint })),
  );
}

/** `--link target:alias` on this endpoint: the target's own name, when `name` is the alias. */
function linked(records: readonly ContainerRecord[], endpoint: Endpoint, name: string): string | undefined {
  for (const link of endpoint.settings.Links ?? []) {
    const [target = '', alias = target] = link.split(':');
    if (alias.toLowerCase() !== name) continue;
    const bare = target.replace(/^\//, '');
    return records.find((record) => record.name === bare || record.id.startsWith(bare))?.id.slice(0, 12);
  }
  return undefined;
}

/** `name.network` of the container that has the address, when both are on one network. */
function pointer(records: readonly ContainerRecord[], asker: ContainerRecord, name: string): string | undefined {
  const ip = addressOfPointer(name);
  if (!ip) return undefined;
  for (const [network, own] of Object.entries(asker.networks)) {
    if (isPredefined(network)) continue;
    const found = peers(records, own.networkId).find(
      ({ endpoint }) => endpoint.ipAddress === ip || endpoint.ipv6Address === ip,
    );
    if (found) return `${found.record.name}.${network}`;
  }
  return undefined;
}

/** Another order each time, so that askers who take the first spread over all. */
function shuffled<T>(list: readonly T[]): T[] {
  const out = [...list];
  for (let i = out.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [out[i], out[j]] = [out[j]!, out[i]!];
  }
  return out;
}
