import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The folder of our package.json: the checkout, or the packaged app. */
export function projectRoot(from: string = import.meta.dirname): string {
  for (let dir = from; ; dir = dirname(dir)) {
    const manifest = join(dir, 'package.json');
    if (existsSync(manifest) && JSON.parse(readFileSync(manifest, 'utf8')).name === 'skiff') return dir;
    if (dirname(dir) === dir) throw new Error(`no Skiff around ${from}`);
  }
}

export function appVersion(): string {
  return JSON.parse(readFileSync(join(projectRoot(), 'package.json'), 'utf8')).version;
}

/** The built window. */
export function pageDir(): string {
  return join(projectRoot(), 'dist', 'renderer');
}
