import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

import { cgroupVersion } from './cgroups.ts';

/** What this machine can limit, and how much of it there is. */
export interface MachineLimits {
  readonly cpus: number;
  /** CPUs and memory nodes there are, as `0-3`. */
  readonly cpuset: string;
  readonly memoryNodes: string;
  readonly realtime: boolean;
  readonly swap: boolean;
  readonly swappiness: boolean;
  readonly oomKillDisable: boolean;
  readonly pids: boolean;
  readonly blockWeight: boolean;
}

const ROOT = '/sys/fs/cgroup';

/** @param parent the containers' parent cgroup: the root has no limits of its own on v2 */
export function readMachineLimits(parent: string): MachineLimits {
  const common = {
    cpus: availableParallelism(),
    cpuset: readFileSync('/sys/devices/system/cpu/online', 'utf8'),
    memoryNodes: readNodes(),
  };
  if (cgroupVersion() === 2) {
    const has = (file: string): boolean => existsSync(join(ROOT, parent, file));
    return {
      ...common,
      realtime: false,
      swap: has('memory.swap.max'),
      swappiness: false,
      oomKillDisable: false,
      pids: has('pids.max'),
      blockWeight: has('io.weight') || has('io.bfq.weight'),
    };
  }
  const has = (controller: string, file: string): boolean => existsSync(join(ROOT, controller, file));
  return {
    ...common,
    realtime: has('cpu', 'cpu.rt_runtime_us'),
    swap: has('memory', 'memory.memsw.limit_in_bytes'),
    swappiness: has('memory', 'memory.swappiness'),
    oomKillDisable: has('memory', 'memory.oom_control'),
    pids: existsSync(join(ROOT, 'pids')),
    blockWeight: has('blkio', 'blkio.weight') || has('blkio', 'blkio.bfq.weight'),
  };
}

function readNodes(): string {
  try {
    return readFileSync('/sys/devices/system/node/online', 'utf8');
  } catch {
    // A kernel without NUMA has one.
    return '0';
  }
}
