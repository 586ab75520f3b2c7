import { homedir } from 'node:os';
import { join } from 'node:path';

/** The user's cache of downloads, unpacked trees and finished images; safe to delete at any time but during a build. */
export function cacheDir(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'skiff');
}

/** The checkout (or the unpacked app) that this code lies in. */
export const projectDir: string = join(import.meta.dirname, '..', '..');
