import type Dockerode from 'dockerode';
import type { Implementation } from '../contract/contract.ts';
import type { NetworkMember, NetworkRow } from '../contract/networks.ts';
import type { EngineLink } from './engine-link.ts';
import { containerName, networkName, text, textRecord, texts } from './inputs.ts';

const BUILTIN = ['bridge', 'host', 'none'];

export function networksServices(link: EngineLink): Implementation['networks'] {
  const { docker, http } = link;
  const up = (signal: AbortSignal) => ({ abortSignal: link.whileUp(signal) });
  return {
    async list(signal) {
      const [networks, containers] = await Promise.all([
        docker.listNetworks(up(signal)),
        docker.listContainers({ all: true, ...up(signal) }),
      ]);
      return networks.map((network) => row(network, containers));
    },
    async create(wish, signal) {
      const subnet = text(wish?.subnet);
      const gateway = text(wish?.gateway);
      const config = { ...(subnet && { Subnet: subnet }), ...(gateway && { Gateway: gateway }) };
      const made = await http.json<{ Id: string }>('POST', '/networks/create', {
        json: {
          Name: text(wish?.name),
          Driver: text(wish?.driver) || 'bridge',
          Internal: wish?.internal === true,
          EnableIPv6: wish?.ipv6 === true,
          Labels: textRecord(wish?.labels),
          IPAM: { Config: subnet || gateway ? [config] : [] },
        },
        signal: link.whileUp(signal),
      });
      return made.Id;
    },
    async remove(id, signal) {
      await docker.getNetwork(networkName(id)).remove(up(signal));
    },
    async prune(signal) {
      const gone = await http.json<{ NetworksDeleted: string[] | null }>('POST', '/networks/prune', {
        signal: link.whileUp(signal),
      });
      return gone.NetworksDeleted ?? [];
    },
    async connect(id, container, options, signal) {
      const ipv4 = text(options?.ipv4);
      await http.json('POST', `/networks/${encodeURIComponent(networkName(id))}/connect`, {
        json: {
          Container: containerName(container),
          EndpointConfig: { Aliases: texts(options?.aliases), ...(ipv4 && { IPAMConfig: { IPv4Address: ipv4 } }) },
        },
        signal: link.whileUp(signal),
      });
    },
    async disconnect(id, container, signal) {
      await http.json('POST', `/networks/${encodeURIComponent(networkName(id))}/disconnect`, {
        json: { Container: containerName(container), Force: false },
        signal: link.whileUp(signal),
      });
    },
  };
}

function row(network: Dockerode.NetworkInspectInfo, containers: Dockerode.ContainerInfo[]): NetworkRow {
  return {
    id: network.Id,
    name: network.Name,
    driver: network.Driver,
    scope: network.Scope,
    internal: network.Internal,
    ipv6: network.EnableIPv6,
    subnets: (network.IPAM?.Config ?? []).map((one) => ({ subnet: one.Subnet ?? '', gateway: one.Gateway ?? '' })),
    createdAt: Date.parse(network.Created),
    labels: network.Labels ?? {},
    builtin: BUILTIN.includes(network.Name),
    members: containers
      .flatMap((container) => member(container, network.Name) ?? [])
      .sort((a, b) => a.name.localeCompare(b.name)),
  };
}

function member(container: Dockerode.ContainerInfo, network: string): NetworkMember | undefined {
  const end = container.NetworkSettings?.Networks?.[network] as
    | (Dockerode.NetworkInfo & { Aliases?: string[] | null; DNSNames?: string[] | null })
    | undefined;
  if (!end) return undefined;
  const name = (container.Names[0] ?? container.Id).replace(/^\//, '');
  const names = [...new Set([...(end.Aliases ?? []), ...(end.DNSNames ?? [])])];
  return {
    id: container.Id,
    name,
    status: container.State,
    ipv4: end.IPAddress ?? '',
    ipv6: end.GlobalIPv6Address ?? '',
    mac: end.MacAddress ?? '',
    // Its own name and id are no news.
    aliases: names.filter((alias) => alias !== name && !container.Id.startsWith(alias)),
  };
}
