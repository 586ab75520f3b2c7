import { readdir, readFile, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { EngineWish } from '../../contract/engines.ts';
import { addressOf, type TlsFiles } from './address.ts';

/**
 * The engines that the docker command knows: its contexts (`contexts/meta/<id>/meta.json`, certificates in
 * `contexts/tls/<id>/docker/`) and what DOCKER_HOST, DOCKER_TLS_VERIFY and DOCKER_CERT_PATH say.
 */
export async function dockerEngines(env: NodeJS.ProcessEnv = process.env): Promise<EngineWish[]> {
  const folder = env.DOCKER_CONFIG || join(homedir(), '.docker');
  const contexts = join(folder, 'contexts');
  const ids = await readdir(join(contexts, 'meta')).catch(() => []);
  const found = await Promise.all(ids.map((id) => fromContext(contexts, id)));
  found.push(await fromEnvironment(env, folder));
  return found.filter((one) => one !== undefined).sort((a, b) => a.name.localeCompare(b.name));
}

async function fromContext(contexts: string, id: string): Promise<EngineWish | undefined> {
  try {
    const meta = JSON.parse(await readFile(join(contexts, 'meta', id, 'meta.json'), 'utf8')) as {
      Name?: unknown;
      Endpoints?: { docker?: { Host?: unknown } };
    };
    const tls = await certificates(join(contexts, 'tls', id, 'docker'));
    const address = addressOf(String(meta.Endpoints?.docker?.Host ?? ''), tls);
    return address && typeof meta.Name === 'string' ? { name: meta.Name, address } : undefined;
  } catch {
    return undefined;
  }
}

async function fromEnvironment(env: NodeJS.ProcessEnv, folder: string): Promise<EngineWish | undefined> {
  const { DOCKER_HOST, DOCKER_TLS_VERIFY, DOCKER_TLS, DOCKER_CERT_PATH } = env;
  if (!DOCKER_HOST) return undefined;
  const encrypted = DOCKER_TLS_VERIFY || DOCKER_TLS;
  const tls = encrypted
    ? ((await certificates(DOCKER_CERT_PATH || folder)) ?? { ca: '', cert: '', key: '' })
    : undefined;
  const address = addressOf(DOCKER_HOST, tls);
  return address && { name: 'DOCKER_HOST', address };
}

/** ca.pem, cert.pem and key.pem as the docker command expects them; undefined when the folder has none of them. */
export async function certificates(folder: string): Promise<TlsFiles | undefined> {
  const there = async (name: string) => {
    const path = join(folder, name);
    return (await stat(path).catch(() => undefined))?.isFile() ? path : '';
  };
  const [ca, cert, key] = await Promise.all(['ca.pem', 'cert.pem', 'key.pem'].map(there));
  return ca || cert || key ? { ca: ca ?? '', cert: cert ?? '', key: key ?? '' } : undefined;
}
