import { readFileSync } from 'node:fs';

import type { Cgroup } from './cgroups.ts';

/** Counters of one device; `operation` is `read`, `write`, … in lower case. */
export interface IoCounter {
  readonly major: number;
  readonly minor: number;
  readonly operation: string;
  readonly value: number;
}

/** What a cgroup has used so far. Times in nanoseconds, sizes in bytes; undefined: the machine doesn't count it. */
export interface CgroupStats {
  readonly cpu: {
    readonly total: number;
    readonly user: number;
    readonly kernel: number;
    readonly perCpu: readonly number[] | undefined;
    readonly periods: number;
    readonly throttledPeriods: number;
    readonly throttledTime: number;
  };
  readonly memory: {
    readonly usage: number;
    readonly maxUsage: number | undefined;
    readonly failures: number | undefined;
    readonly limit: number;
    readonly detail: Readonly<Record<string, number>>;
  };
  readonly pids: { readonly current: number; readonly limit: number | undefined };
  readonly ioBytes: readonly IoCounter[];
  readonly ioOperations: readonly IoCounter[];
}

/** Nanoseconds of a clock tick (USER_HZ is 100 on every machine). */
const TICK_NS = 1e7;

export function readCgroupStats(cgroup: Cgroup): CgroupStats {
  return cgroup.version === 2 ? readUnified(cgroup) : readLegacy(cgroup);
}

const detail = (cgroup: Cgroup): Record<string, number> =>
  Object.fromEntries(cgroup.readTable('memory', 'memory.stat'));

/** A limit's file: a number, or `max` for none. */
const number = (text: string | undefined): number | undefined =>
  text === undefined || text.trim() === 'max' ? undefined : Number(text);

function readUnified(cgroup: Cgroup): CgroupStats {
  const cpu = cgroup.readTable('cpu', 'cpu.stat');
  const us = (key: string): number => (cpu.get(key) ?? 0) * 1000;
  const io = unifiedIo(cgroup.read('io', 'io.stat') ?? '');
  return {
    cpu: {
      total: us('usage_usec'),
      user: us('user_usec'),
      kernel: us('system_usec'),
      perCpu: undefined,
      periods: cpu.get('nr_periods') ?? 0,
      throttledPeriods: cpu.get('nr_throttled') ?? 0,
      throttledTime: us('throttled_usec'),
    },
    memory: {
      usage: number(cgroup.read('memory', 'memory.current')) ?? 0,
      maxUsage: undefined,
      failures: undefined,
      limit: withinMachine(number(cgroup.read('memory', 'memory.max'))),
      detail: detail(cgroup),
    },
    pids: pidsOf(cgroup),
    ioBytes: io.filter(({ operation }) => operation === 'rbytes' || operation === 'wbytes').map(named),
    ioOperations: io.filter(({ operation }) => operation === 'rios' || operation === 'wios').map(named),
  };
}

const named = (counter: IoCounter): IoCounter => ({
  ...counter,
  operation: counter.operation.startsWith('r') ? 'read' : 'write',
});

/** `8:0 rbytes=1 wbytes=2 rios=3 …` per device. */
function unifiedIo(text: string): IoCounter[] {
  return text.split('\n').flatMap((line) => {
    const [device = '', ...pairs] = line.split(' ');
    const [major = 0, minor = 0] = device.split(':').map(Number);
    return pairs.flatMap((pair) => {
      const [operation = '', value] = pair.split('=');
      return value === undefined ? [] : [{ major, minor, operation, value: Number(value) }];
    });
  });
}

function readLegacy(cgroup: Cgroup): CgroupStats {
  const throttling = cgroup.readTable('cpu', 'cpu.stat');
  const ticks = cgroup.readTable('cpuacct', 'cpuacct.stat');
  const perCpu = cgroup.read('cpuacct', 'cpuacct.usage_percpu')?.trim().split(/\s+/).map(Number);
  return {
    cpu: {
      total: number(cgroup.read('cpuacct', 'cpuacct.usage')) ?? 0,
      user: (ticks.get('user') ?? 0) * TICK_NS,
      kernel: (ticks.get('system') ?? 0) * TICK_NS,
      perCpu,
      periods: throttling.get('nr_periods') ?? 0,
      throttledPeriods: throttling.get('nr_throttled') ?? 0,
      throttledTime: throttling.get('throttled_time') ?? 0,
    },
    memory: {
      usage: number(cgroup.read('memory', 'memory.usage_in_bytes')) ?? 0,
      maxUsage: number(cgroup.read('memory', 'memory.max_usage_in_bytes')),
      failures: number(cgroup.read('memory', 'memory.failcnt')),
      limit: withinMachine(number(cgroup.read('memory', 'memory.limit_in_bytes'))),
      detail: detail(cgroup),
    },
    pids: pidsOf(cgroup),
    ioBytes: legacyIo(cgroup, 'io_service_bytes'),
    ioOperations: legacyIo(cgroup, 'io_serviced'),
  };
}

/** `8:0 Read 4096` per device and operation, and a `Total` that names no device. */
function legacyIo(cgroup: Cgroup, name: string): IoCounter[] {
  const text =
    cgroup.read('blkio', `blkio.throttle.${name}_recursive`) ?? cgroup.read('blkio', `blkio.throttle.${name}`) ?? '';
  return text.split('\n').flatMap((line) => {
    const [device = '', operation = '', value] = line.split(' ');
    if (value === undefined) return [];
    const [major = 0, minor = 0] = device.split(':').map(Number);
    return [{ major, minor, operation: operation.toLowerCase(), value: Number(value) }];
  });
}

const pidsOf = (cgroup: Cgroup): CgroupStats['pids'] => ({
  current: number(cgroup.read('pids', 'pids.current')) ?? 0,
  limit: number(cgroup.read('pids', 'pids.max')),
});

/** A container without a limit may have all there is. */
function withinMachine(limit: number | undefined): number {
  const total = Number(/^MemTotal:\s+(\d+)/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1] ?? 0) * 1024;
  return limit === undefined || limit === 0 || limit > total ? total : limit;
}

/** CPU time of the whole machine in nanoseconds, and how many CPUs it has (moby: daemon/stats_unix.go). */
export function machineCpu(): { readonly total: number; readonly cpus: number } {
  const lines = readFileSync('/proc/stat', 'utf8').split('\n');
  const ticks = (lines[0] ?? '').split(/\s+/).slice(1, 8).map(Number);
  return {
    total: ticks.reduce((sum, value) => sum + value, 0) * TICK_NS,
    cpus: lines.filter((line) => /^cpu\d/.test(line)).length,
  };
}
