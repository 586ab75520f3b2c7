import type { Finding } from '../../contract/troubleshoot.ts';
import { SYSTEM_SOCKET, socketOwner } from '../system/socket-owner.ts';
import { findings } from './finding.ts';

const found = findings('socket');

/** Whose is the socket that tools use which know nothing of contexts. Windows has none. */
export async function checkSocket(ours: string, path = SYSTEM_SOCKET): Promise<Finding | undefined> {
  if (process.platform === 'win32') return undefined;
  const { owner, product, target } = await socketOwner(ours, path);
  if (owner === 'none' || owner === 'ours') return found('good', owner, { path });
  if (owner === 'dangling') return found('warning', 'dangling', { path, target });
  return owner === 'other' ? found('note', 'other', { path, product }) : found('note', 'unknown', { path, target });
}
