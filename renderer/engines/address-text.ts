import type { EngineAddress } from '../../electron/contract/engines.ts';

/** An address in one line, as DOCKER_HOST would say it. */
export function addressText(address: EngineAddress | undefined): string {
  if (!address) return '';
  if (address.kind === 'unix') return `unix://${address.path}`;
  const host = `${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`;
  if (address.kind === 'ssh') return `ssh://${address.user ? `${address.user}@` : ''}${host}`;
  return `tcp://${host}${address.kind === 'tls' ? ' (TLS)' : ''}`;
}
