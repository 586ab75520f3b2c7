import { existsSync } from 'node:fs';

import { invalidParameter } from '../errors.ts';

/** OCI runtimes by name (name → program), and the one that containers get without a wish. */
export interface RuntimeChoice {
  readonly runtimes: ReadonlyMap<string, string>;
  readonly defaultRuntime: string;
}

const INSTALLED: readonly (readonly [string, string])[] = [
  ['crun', '/usr/bin/crun'],
  ['runc', '/usr/bin/runc'],
];

/** Those that are installed and those of daemon.json (`runtimes`, `default-runtime`). Throws for a default that is neither. */
export function chooseRuntimes(config: {
  readonly runtimes?: Readonly<Record<string, { readonly path: string }>>;
  readonly 'default-runtime'?: string;
}): RuntimeChoice {
  const runtimes = new Map(INSTALLED.filter(([, path]) => existsSync(path)));
  for (const [name, { path }] of Object.entries(config.runtimes ?? {})) runtimes.set(name, path);
  const defaultRuntime = config['default-runtime'] ?? [...runtimes.keys()][0] ?? 'crun';
  if (!runtimes.has(defaultRuntime)) {
    throw invalidParameter(`default-runtime: unknown or invalid runtime name: ${defaultRuntime}`);
  }
  return { runtimes, defaultRuntime };
}
