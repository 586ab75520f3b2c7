import { lstat, readlink, realpath } from 'node:fs/promises';
import type { Finding } from '../../contract/troubleshoot.ts';
import { findings } from './finding.ts';

const found = findings('socket');

/** By where their sockets are. */
const PRODUCTS: [RegExp, string][] = [
  [/\.orbstack\//, 'OrbStack'],
  [/\.docker\/(run|desktop)\//, 'Docker Desktop'],
  [/\.colima\//, 'Colima'],
  [/\.rd\//, 'Rancher Desktop'],
  [/podman/, 'Podman'],
  [/\/run\/docker\.sock$/, 'Docker Engine'],
];

/** Whose is the socket that tools use which know nothing of contexts. Windows has none. */
export async function checkSocket(ours: string, path = '/var/run/docker.sock'): Promise<Finding | undefined> {
  if (process.platform === 'win32') return undefined;
  const there = await lstat(path).catch(() => undefined);
  if (!there) return found('good', 'none', { path });
  const real = await realpath(path).catch(() => undefined);
  if (real === undefined) return found('warning', 'dangling', { path, target: await readlink(path).catch(() => '?') });
  if (real === (await realpath(ours).catch(() => ours))) return found('good', 'ours', { path });
  const product = PRODUCTS.find(([pattern]) => pattern.test(real))?.[1];
  return product ? found('note', 'other', { path, product }) : found('note', 'unknown', { path, target: real });
}
