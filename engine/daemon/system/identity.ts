import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Skiff's own version; the bundler and the tests read the same file. */
export const VERSION = '0.1.0';

/** A stable id of this engine's data: made once, kept beside it. */
export function engineId(dataRoot: string): string {
  const path = join(dataRoot, 'engine-id');
  if (existsSync(path)) return readFileSync(path, 'utf8').trim();
  const id = randomUUID();
  writeFileSync(path, `${id}\n`);
  return id;
}
