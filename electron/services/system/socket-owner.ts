import { lstat, readlink, realpath } from 'node:fs/promises';
import type { SystemSocket } from '../../contract/system.ts';

export const SYSTEM_SOCKET = '/var/run/docker.sock';

/** By where their sockets are. */
const PRODUCTS: [RegExp, string][] = [
  [/\.orbstack\//, 'OrbStack'],
  [/\.docker\/(run|desktop)\//, 'Docker Desktop'],
  [/\.colima\//, 'Colima'],
  [/\.rd\//, 'Rancher Desktop'],
  [/podman/, 'Podman'],
  [/\/run\/docker\.sock$/, 'Docker Engine'],
];

export async function socketOwner(ours: string, path: string): Promise<SystemSocket> {
  const none: SystemSocket = { path, owner: 'none', product: '', target: '' };
  if (!(await lstat(path).catch(() => undefined))) return none;
  const real = await realpath(path).catch(() => undefined);
  if (real === undefined) return { ...none, owner: 'dangling', target: await readlink(path).catch(() => '?') };
  if (real === (await realpath(ours).catch(() => ours))) return { ...none, owner: 'ours', target: real };
  const product = PRODUCTS.find(([pattern]) => pattern.test(real))?.[1];
  return product ? { ...none, owner: 'other', product, target: real } : { ...none, owner: 'unknown', target: real };
}
