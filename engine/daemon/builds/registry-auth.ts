import { DEFAULT_DOMAIN } from '../../content/reference.ts';
import type { Credentials } from '../../content/registry/auth.ts';

const HUB_KEYS = ['https://index.docker.io/v1/', 'index.docker.io', 'docker.io', 'registry-1.docker.io'];

/** The credentials for one registry out of X-Registry-Config, as the X-Registry-Auth that a pull takes. */
export function registryAuth(registries: Readonly<Record<string, Credentials>>, domain: string): string | undefined {
  const keys =
    domain === DEFAULT_DOMAIN ? HUB_KEYS : [domain, `https://${domain}`, `https://${domain}/v1/`, `http://${domain}`];
  const found = keys.map((key) => registries[key]).find((credentials) => credentials !== undefined);
  return found && Buffer.from(JSON.stringify(found)).toString('base64url');
}
