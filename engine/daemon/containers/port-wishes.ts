import { isIP } from 'node:net';

import { invalidParameter } from '../../errors.ts';
import type { HostConfig, PortMap } from '../../model/container.ts';
import type { PortWish } from '../networks/ports.ts';
import type { ContainerRecord } from './record.ts';

/**
 * Ports to publish: `-p` and, with `-P`, every exposed port that has no binding.
 * @param binding address of the network for ports whose user names none
 */
export function portWishes(
  record: { config: ContainerRecord['config']; hostConfig: HostConfig },
  binding: string,
  hasIpv6: boolean,
): PortWish[] {
  const wishes: PortWish[] = [];
  const bindings = record.hostConfig.PortBindings ?? {};
  const unnamed = binding === '0.0.0.0' ? '' : binding;
  const wish = (name: string, hostIp: string, range: readonly [number, number]): void => {
    const [port = '', protocol = 'tcp'] = name.split('/');
    wishes.push({ protocol: protocol as PortWish['protocol'], containerPort: Number(port), hostIp, range });
  };
  for (const [name, list] of Object.entries(bindings)) {
    for (const { HostIp = '', HostPort = '' } of list ?? []) {
      const [first = '', last = first] = HostPort.split('-');
      const range = [Number(first), Number(last)] as const;
      if (!/^\d*$/.test(first) || !/^\d*$/.test(last) || range[1] < range[0] || range[1] > 65535) {
        throw invalidParameter(`invalid port specification: ${JSON.stringify(HostPort)}`);
      }
      if (HostIp && isIP(HostIp) === 0) throw invalidParameter(`invalid IP address: ${HostIp}`);
      wish(name, HostIp || unnamed, range);
    }
  }
  if (record.hostConfig.PublishAllPorts) {
    for (const name of Object.keys(record.config.ExposedPorts ?? {})) {
      if (!bindings[name]?.length) wish(name.includes('/') ? name : `${name}/tcp`, unnamed, [0, 0]);
    }
  }
  return unique(wishes).filter((one, _index, all) => hasIpv6 || !isNeedless(one, all));
}

/** Exactly what is published already. */
export function wishesOf(ports: PortMap): PortWish[] {
  return Object.entries(ports).flatMap(([name, bindings]) => {
    const [port = '', protocol = 'tcp'] = name.split('/');
    return (bindings ?? []).map(({ HostIp = '', HostPort = '' }) => ({
      protocol: protocol as PortWish['protocol'],
      containerPort: Number(port),
      hostIp: HostIp,
      range: [Number(HostPort), Number(HostPort)] as const,
    }));
  });
}

/** The same port bound twice on one address. */
function unique(wishes: readonly PortWish[]): PortWish[] {
  const seen = new Set<string>();
  return wishes.filter((wish) => {
    const key = `${wish.protocol} ${wish.hostIp} ${wish.range[0]} ${wish.containerPort}`;
    return wish.range[0] === 0 || !seen.has(key) ? seen.add(key) : false;
  });
}

/** Some clients send each port for `0.0.0.0` and for `::`: the latter is empty words for UDP to a container without IPv6. */
function isNeedless(wish: PortWish, all: readonly PortWish[]): boolean {
  if (wish.protocol === 'tcp' || wish.hostIp !== '::') return false;
  return all.some(
    (other) =>
      other.protocol === wish.protocol &&
      other.containerPort === wish.containerPort &&
      ['', '0.0.0.0'].includes(other.hostIp),
  );
}
