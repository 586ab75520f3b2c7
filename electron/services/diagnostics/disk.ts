import { statfs } from 'node:fs/promises';
import type { Finding } from '../../contract/troubleshoot.ts';
import type { Machine } from '../../machine/types.ts';
import { findings } from './finding.ts';

const found = findings('disk');
const NEARLY_FULL = 0.85;
const HOST_SPARE_BYTES = 5e9;

/** Room in the data disk, and room for its file on this computer. */
export async function checkDisk(machine: Pick<Machine, 'state' | 'stats'>, home: string): Promise<Finding> {
  const { bavail, bsize } = await statfs(home);
  const freeBytes = bavail * bsize;
  if (freeBytes < HOST_SPARE_BYTES) return found('bad', 'hostFull', { freeBytes, folder: home }, 'prune', 'compact');
  const { kind } = machine.state;
  const up = kind === 'running' || kind === 'degraded';
  // One that stops just now has no figures any more.
  const stats = up ? await machine.stats().catch(() => undefined) : undefined;
  if (!stats) return found('unknown', 'notRunning', { freeBytes });
  const { diskRealBytes: usedBytes, diskVirtualBytes: totalBytes } = stats;
  const values = { usedBytes, totalBytes, freeBytes };
  if (usedBytes > totalBytes * NEARLY_FULL) return found('warning', 'full', values, 'prune', 'compact', 'grow');
  return found('good', 'room', values);
}
