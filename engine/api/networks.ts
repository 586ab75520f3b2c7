import type { Containers } from '../daemon/containers/containers.ts';
import type { Networks } from '../daemon/networks/networks.ts';
import type { NetworkCreateRequest, NetworkRecord } from '../daemon/networks/record.ts';
import { notFound } from '../errors.ts';
import type { EndpointSettings } from '../model/container.ts';
import { connectNetwork, createNetwork, disconnectNetwork } from './bodies.ts';
import { queryFilters } from './context.ts';
import { type Route, route } from './router.ts';

/** swagger: Network. `Containers` is filled by inspect only, as in Docker. */
function view(networks: Networks, network: NetworkRecord, withContainers: boolean): object {
  const users = withContainers ? networks.usersOf(network) : [];
  return {
    Name: network.name,
    Id: network.id,
    Created: network.created,
    Scope: 'local',
    Driver: network.driver,
    EnableIPv4: true,
    EnableIPv6: network.enableIPv6,
    IPAM: { Driver: network.ipam.driver, Options: network.ipam.options, Config: network.ipam.config },
    Internal: network.internal,
    Attachable: network.attachable,
    Ingress: false,
    ConfigFrom: { Network: network.configFrom ?? '' },
    ConfigOnly: network.configOnly ?? false,
    Containers: Object.fromEntries(
      users.map((user) => [
        user.id,
        {
          Name: user.name,
          EndpointID: user.endpointId,
          MacAddress: user.macAddress,
          IPv4Address: user.ipAddress ? `${user.ipAddress}/${user.prefix}` : '',
          IPv6Address: user.ipv6Address ? `${user.ipv6Address}/${user.ipv6Prefix}` : '',
        },
      ]),
    ),
    Options: network.options,
    Labels: network.labels,
  };
}

/** `?scope=`: a network of another scope isn't there. */
function found(query: URLSearchParams, network: NetworkRecord): NetworkRecord {
  const scope = query.get('scope');
  if (scope && scope !== 'local') throw notFound(`network ${network.name} not found`);
  return network;
}

/** Operations tagged Network in the specification. */
export function networkRoutes(networks: Networks, containers: Containers): Route[] {
  const list = route('GET', '/networks', (context) => {
    context.reply(
      200,
      networks.list(queryFilters(context.query)).map((network) => view(networks, network, false)),
    );
  });
  return [
    list,
    { ...list, path: '/networks/' },
    route('POST', '/networks/create', async (context) => {
      const network = networks.create(await context.json<NetworkCreateRequest>(createNetwork));
      context.reply(201, { Id: network.id, Warning: '' });
    }),
    route('POST', '/networks/prune', (context) => {
      context.reply(200, { NetworksDeleted: networks.prune(queryFilters(context.query)) });
    }),
    route('GET', '/networks/{id:.+}', (context) => {
      context.reply(200, view(networks, found(context.query, networks.get(context.params.id ?? '')), true));
    }),
    route('DELETE', '/networks/{id:.+}', (context) => {
      networks.remove(context.params.id ?? '');
      context.empty(204);
    }),
    route('POST', '/networks/{id}/connect', async (context) => {
      const body = await context.json<{ Container?: string; EndpointConfig?: EndpointSettings }>(connectNetwork);
      const network = networks.get(context.params.id ?? '');
      await containers.connect(body.Container ?? '', network, body.EndpointConfig ?? {});
      context.empty(200);
    }),
    route('POST', '/networks/{id}/disconnect', async (context) => {
      const body = await context.json<{ Container?: string; Force?: boolean }>(disconnectNetwork);
      await containers.disconnect(body.Container ?? '', networks.get(context.params.id ?? ''), body.Force ?? false);
      context.empty(200);
    }),
  ];
}
