import { existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { hasCode } from './libc.ts';
import { killProcess } from './processes.ts';

/** cgroup file systems as this machine has them: v2 (unified), or v1 with a directory per controller (also hybrid). */
const ROOT = '/sys/fs/cgroup';

export const cgroupVersion = (): 1 | 2 => (existsSync(join(ROOT, 'cgroup.controllers')) ? 2 : 1);

const V1_ALL = [
  'cpu',
  'cpuacct',
  'cpuset',
  'memory',
  'devices',
  'freezer',
  'blkio',
  'pids',
  'systemd',
  'unified',
  'net_cls',
  'net_prio',
  'perf_event',
  'hugetlb',
  'rdma',
  'misc',
];

let v1Hierarchies: string[] | undefined;

/** Those that are mounted, each once: controllers that are mounted together have symlinks to one folder. */
function findHierarchies(): string[] {
  const there = V1_ALL.map((name) => join(ROOT, name)).filter((directory) =>
    existsSync(join(directory, 'cgroup.procs')),
  );
  return [...new Set(there.map((directory) => realpathSync(directory)))];
}

/** A container's cgroup, named by its path below the root, for instance `/skiff/<container id>`. */
export class Cgroup {
  readonly path: string;
  readonly version: 1 | 2;

  constructor(path: string, version: 1 | 2 = cgroupVersion()) {
    this.path = path;
    this.version = version;
  }

  #directory(controller: string): string {
    return this.version === 2 ? join(ROOT, this.path) : join(ROOT, controller, this.path);
  }

  #directories(): string[] {
    if (this.version === 2) return [join(ROOT, this.path)];
    v1Hierarchies ??= findHierarchies();
    return v1Hierarchies.map((hierarchy) => join(hierarchy, this.path));
  }

  /** Content of one control file, undefined when it isn't there. `controller` matters for v1 only. */
  read(controller: string, file: string): string | undefined {
    try {
      return readFileSync(join(this.#directory(controller), file), 'utf8');
    } catch (error) {
      if (hasCode(error, 'ENOENT', 'ENODEV', 'EOPNOTSUPP')) return undefined;
      throw error;
    }
  }

  write(controller: string, file: string, value: string): void {
    writeFileSync(join(this.#directory(controller), file), value);
  }

  /** A control file of `key value` lines (memory.stat, cpu.stat, memory.events). */
  readTable(controller: string, file: string): ReadonlyMap<string, number> {
    const table = new Map<string, number>();
    for (const line of (this.read(controller, file) ?? '').split('\n')) {
      const [key, value] = line.split(' ');
      if (key && value !== undefined) table.set(key, Number(value));
    }
    return table;
  }

  /** Pids of every process in the cgroup and below it. */
  pids(): number[] {
    const found: number[] = [];
    const visit = (directory: string): void => {
      for (const line of readFileSync(join(directory, 'cgroup.procs'), 'utf8').split('\n')) {
        if (line) found.push(Number(line));
      }
      for (const entry of readdirSync(directory, { withFileTypes: true })) {
        if (entry.isDirectory()) visit(join(directory, entry.name));
      }
    };
    try {
      visit(this.#directory('pids'));
    } catch (error) {
      if (!hasCode(error, 'ENOENT', 'ENODEV')) throw error;
    }
    return found;
  }

  /** Whether the kernel's out-of-memory killer has struck in this cgroup. */
  oomKilled(): boolean {
    const table =
      this.version === 2 ? this.readTable('memory', 'memory.events') : this.readTable('memory', 'memory.oom_control');
    return (table.get('oom_kill') ?? 0) > 0;
  }

  /** Freezes or thaws all processes. */
  setFrozen(frozen: boolean): void {
    if (this.version === 2) this.write('', 'cgroup.freeze', frozen ? '1' : '0');
    else this.write('freezer', 'freezer.state', frozen ? 'FROZEN' : 'THAWED');
  }

  isFrozen(): boolean {
    if (this.version === 2) return (this.readTable('', 'cgroup.events').get('frozen') ?? 0) === 1;
    return this.read('freezer', 'freezer.state')?.trim() === 'FROZEN';
  }

  /** Kills whatever still runs in it. */
  killAll(): void {
    for (const pid of this.pids()) killProcess(pid, 9);
  }

  /** Removes the cgroup with everything below it. False when something in it is still alive (try again later). */
  remove(): boolean {
    let gone = true;
    for (const directory of this.#directories()) gone = removeTree(directory) && gone;
    return gone;
  }
}

function removeTree(directory: string): boolean {
  try {
    rmdirSync(directory);
    return true;
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return true;
    if (!hasCode(error, 'EBUSY', 'ENOTEMPTY')) throw error;
  }
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    if (entry.isDirectory()) removeTree(join(directory, entry.name));
  }
  try {
    rmdirSync(directory);
    return true;
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return true;
    if (hasCode(error, 'EBUSY', 'ENOTEMPTY')) return false;
    throw error;
  }
}

/** v2: makes the parent cgroup and hands it every controller the machine has, so that containers can be limited. */
export function prepareCgroupParent(path: string): void {
  if (cgroupVersion() !== 2) return;
  const enable = (directory: string): void => {
    const controllers = readFileSync(join(directory, 'cgroup.controllers'), 'utf8').trim().split(' ').filter(Boolean);
    for (const name of controllers) {
      try {
        writeFileSync(join(directory, 'cgroup.subtree_control'), `+${name}`);
      } catch (error) {
        if (!hasCode(error, 'EBUSY', 'EINVAL', 'ENOENT', 'EOPNOTSUPP')) throw error;
      }
    }
  };
  enable(ROOT);
  mkdirSync(join(ROOT, path), { recursive: true });
  enable(join(ROOT, path));
}
