import type { PublishedPort } from '../../../electron/contract/engine.ts';

/** Where a browser finds this port, on the engine's host; undefined when it can't: not TCP, or open only inside that host. */
export function portAddress({ protocol, hostPort, hostIp }: PublishedPort, host: string): string | undefined {
  if (protocol !== 'tcp' || hostPort === undefined) return undefined;
  const inside = hostIp?.startsWith('127.') || hostIp === '::1';
  if (inside && !/^(localhost|127\..*|::1)$/.test(host)) return undefined;
  return `http://${host.includes(':') ? `[${host}]` : host}:${hostPort}`;
}
