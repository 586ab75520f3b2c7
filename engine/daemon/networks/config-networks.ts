import { forbidden } from '../../errors.ts';
import type { NetworkCreateRequest, NetworkRecord } from './record.ts';

const any = (value: object | null | undefined): boolean => Object.keys(value ?? {}).length > 0;

/** Refuses what configuration-only networks and those made from one can't have, in the words of moby's validateConfiguration. */
export function checkConfiguration(request: NetworkCreateRequest): void {
  const { ConfigOnly, ConfigFrom, IPAM, Options, Labels } = request;
  if (ConfigOnly && (request.Ingress || request.Internal || request.Attachable || request.Scope)) {
    throw forbidden(
      'configuration network can only contain network specific fields. Network operator fields like [ ingress | internal | attachable | scope ] are not supported.',
    );
  }
  if (!ConfigFrom?.Network) return;
  if (ConfigOnly) throw forbidden('a configuration network cannot depend on another configuration network');
  const ipam = (IPAM?.Driver && IPAM.Driver !== 'default') || any(IPAM?.Options) || any(IPAM?.Config);
  if (ipam || request.EnableIPv6 || any(Labels)) {
    throw forbidden(
      'user specified configurations are not supported if the network depends on a configuration network',
    );
  }
  if (any(Options)) {
    throw forbidden('network driver options are not supported if the network depends on a configuration network');
  }
}

/** What is asked for with the configuration filled in. */
export function withConfiguration(request: NetworkCreateRequest, from: NetworkRecord): NetworkCreateRequest {
  return {
    ...request,
    EnableIPv6: from.enableIPv6,
    IPAM: { Driver: from.ipam.driver, Options: from.ipam.options, Config: from.ipam.config },
    Options: from.options,
    Labels: from.labels,
  };
}
