import { conflict, forbidden, invalidParameter } from '../../errors.ts';
import type { EndpointSettings } from '../../model/container.ts';
import {
  allocateEndpoint,
  checkEndpoint,
  defaultEndpoint,
  idleEndpoint,
  releaseEndpoint,
  sandboxEndpoint,
} from '../networks/endpoints.ts';
import type { NetworkRecord } from '../networks/record.ts';
import type { Container } from './container.ts';
import { networkKind } from './networking.ts';
import type { ContainerParts } from './parts.ts';
import { isRunning } from './record.ts';

/** POST /networks/{id}/connect: live when the container runs. The caller holds the mutex. */
export function connectContainer(
  parts: ContainerParts,
  container: Container,
  network: NetworkRecord,
  settings: EndpointSettings,
): void {
  const { record } = container;
  if (networkKind(record) !== 'sandbox') {
    throw invalidParameter(
      'container sharing network namespace with another container or host cannot be connected to any other network',
    );
  }
  if (record.networks[network.name]) {
    throw forbidden(`endpoint with name ${record.name} already exists in network ${network.name}`);
  }
  checkEndpoint(network, settings);
  const used = Object.values(record.networks).map((endpoint) => endpoint.index);
  let index = 0;
  while (used.includes(index)) index++;
  let endpoint = idleEndpoint(network, settings, index);
  if (isRunning(record)) {
    endpoint = allocateEndpoint(parts.bridges, network, endpoint);
    try {
      const first = defaultEndpoint({ ...record.networks, [network.name]: endpoint }) === network.name;
      parts.sandboxes.connect(container.id, sandboxEndpoint(parts.bridges, endpoint, first));
    } catch (error) {
      releaseEndpoint(parts.bridges, endpoint);
      throw error;
    }
  }
  parts.registry.update(container, { networks: { ...record.networks, [network.name]: endpoint } });
  parts.events.publish('network', 'connect', network.id, {
    container: container.id,
    name: network.name,
    type: network.driver,
  });
}

/** POST /networks/{id}/disconnect. The caller holds the mutex. */
export function disconnectContainer(
  parts: ContainerParts,
  container: Container,
  network: NetworkRecord,
  force: boolean,
): void {
  const { record } = container;
  const endpoint = record.networks[network.name];
  if (!endpoint) {
    if (force) return;
    throw forbidden(`container ${container.id} is not connected to network ${network.name}`);
  }
  if (record.hostConfig.NetworkMode === 'host') {
    throw conflict('container cannot be disconnected from host network or connected to host network');
  }
  if (isRunning(record)) {
    parts.sandboxes.disconnect(container.id, endpoint.index);
    releaseEndpoint(parts.bridges, endpoint);
  }
  const { [network.name]: _gone, ...networks } = record.networks;
  parts.registry.update(container, { networks });
  parts.events.publish('network', 'disconnect', network.id, {
    container: container.id,
    name: network.name,
    type: network.driver,
  });
}
