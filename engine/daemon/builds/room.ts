import { statfsSync } from 'node:fs';

/** Of the free space, what a context or a download may take: a build doesn't fill the disk that everything else needs. */
const SHARE = 0.9;

/** Bytes that may be received into a folder. */
export function roomIn(folder: string): number {
  const { bavail, bsize } = statfsSync(folder);
  return Math.floor(bavail * bsize * SHARE);
}
