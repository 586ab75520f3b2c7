import { invalidParameter } from '../../errors.ts';
import type { HostConfig, Resources } from '../../model/container.ts';
import type { MachineLimits } from '../../runtime/runtime.ts';

/** `0-2,4` → 0, 1, 2, 4; undefined when it isn't such a list. */
function parseSet(text: string): number[] | undefined {
  const found: number[] = [];
  for (const part of text.split(',')) {
    const match = /^\s*(\d+)(?:-(\d+))?\s*$/.exec(part);
    if (!match) return undefined;
    const [from, to] = [Number(match[1]), Number(match[2] ?? match[1])];
    if (to < from || to > 8192) return undefined;
    for (let n = from; n <= to; n++) found.push(n);
  }
  return found;
}

function checkSet(text: string | undefined, available: string, field: string, what: string): void {
  if (!text) return;
  const wanted = parseSet(text);
  if (!wanted) throw invalidParameter(`Invalid value ${text} for cpuset ${field}`);
  const there = new Set(parseSet(available.trim()) ?? []);
  if (wanted.some((n) => !there.has(n))) {
    throw invalidParameter(`Requested ${what} are not available - requested ${text}, available: ${available.trim()}`);
  }
}

/** Limits that this machine hasn't room for. */
export function checkAgainstMachine(limits: Resources, machine: MachineLimits): void {
  const nano = limits.NanoCpus ?? 0;
  if (nano < 0 || nano > machine.cpus * 1e9) {
    throw invalidParameter(
      `range of CPUs is from 0.01 to ${machine.cpus}.00, as there are only ${machine.cpus} CPUs available`,
    );
  }
  checkSet(limits.CpusetCpus, machine.cpuset, 'cpus', 'CPUs');
  checkSet(limits.CpusetMems, machine.memoryNodes, 'mems', 'memory nodes');
  if ((limits.CpuRealtimePeriod || limits.CpuRealtimeRuntime) && !machine.realtime) {
    throw invalidParameter('Your kernel does not support CPU real-time scheduler');
  }
}

const NOT_MOUNTED = 'or the cgroup is not mounted.';

/** Takes away what this kernel can't limit and says so, as dockerd does. @returns warnings for the client */
export function discardUnsupported(host: HostConfig, machine: MachineLimits): string[] {
  const warnings: string[] = [];
  const drop = (given: boolean, supported: boolean, name: keyof HostConfig, words: string): void => {
    if (!given || supported) return;
    delete host[name];
    warnings.push(words);
  };
  const memory = host.Memory ?? 0;
  if (memory > 0 && host.MemorySwap !== -1 && !machine.swap) {
    warnings.push(`Your kernel does not support swap limit capabilities ${NOT_MOUNTED} Memory limited without swap.`);
    host.MemorySwap = -1;
  }
  drop(
    host.MemorySwappiness != null && host.MemorySwappiness !== -1,
    machine.swappiness,
    'MemorySwappiness',
    `Your kernel does not support memory swappiness capabilities ${NOT_MOUNTED} Memory swappiness discarded.`,
  );
  drop(
    host.OomKillDisable ?? false,
    machine.oomKillDisable,
    'OomKillDisable',
    'Your kernel does not support OomKillDisable. OomKillDisable discarded.',
  );
  if (host.OomKillDisable && memory === 0) {
    warnings.push(
      'OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.',
    );
  }
  drop(
    (host.PidsLimit ?? 0) > 0,
    machine.pids,
    'PidsLimit',
    `Your kernel does not support PIDs limit capabilities ${NOT_MOUNTED} PIDs limit discarded.`,
  );
  drop(
    (host.BlkioWeight ?? 0) > 0,
    machine.blockWeight,
    'BlkioWeight',
    `Your kernel does not support Block I/O weight ${NOT_MOUNTED} Weight discarded.`,
  );
  drop(
    (host.BlkioWeightDevice?.length ?? 0) > 0,
    machine.blockWeight,
    'BlkioWeightDevice',
    `Your kernel does not support Block I/O weight_device ${NOT_MOUNTED} Weight-device discarded.`,
  );
  return warnings;
}
