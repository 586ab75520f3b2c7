import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import type { Testbed } from '../engine/testbed.ts';

/** What a build has only while it runs: files, mounts, network namespaces. */
export function leftovers(bed: Testbed): string[] {
  const found = (path: string): string[] => {
    const folder = join(bed.data, path);
    const names = existsSync(folder) ? readdirSync(folder) : [];
    // crun keeps compiled seccomp filters in .cache.
    return names.filter((name) => !name.startsWith('.')).map((name) => `${path}/${name}`);
  };
  const mounts = readFileSync(`/proc/${bed.pid}/mounts`, 'utf8').split('\n');
  return [
    ...['lib/builds/scratch', 'lib/builds/mounts', 'lib/snapshots/snapshots/w'].flatMap(found),
    ...['run/containers', 'run/netns', 'run/runtimes/crun'].flatMap(found),
    ...mounts.filter((line) => /\/builds\/mounts\/|\/run\/skiff\/(containers|netns)\//.test(line)),
  ];
}

/** Control groups of RUN steps, by the ids that a build's output named. */
export function cgroupsOf(output: string): string[] {
  const ids = [...output.matchAll(/Running in ([0-9a-f]{12})/g)].map((match) => match[1] as string);
  const roots = ['', ...readdirSync('/sys/fs/cgroup')].map((name) => join('/sys/fs/cgroup', name, 'skiff'));
  return roots
    .filter((root) => existsSync(root))
    .flatMap((root) => readdirSync(root).map((name) => join(root, name)))
    .filter((path) => ids.some((id) => path.includes(`/${id}`)));
}
