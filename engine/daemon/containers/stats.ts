import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

import { hasCode } from '../../errors.ts';
import type { CgroupStats, Runtime } from '../../runtime/runtime.ts';
import { apiTime, ZERO_TIME } from '../clock.ts';
import type { Container } from './container.ts';
import type { ContainerParts } from './parts.ts';

const INTERVAL_MS = 1000;

export interface StatsOptions {
  /** One answer a second until the client goes. */
  readonly stream: boolean;
  /** One answer at once, without a sample before it to compare with. */
  readonly oneShot: boolean;
}

interface Sample {
  readonly read: string;
  readonly cpu: object;
  readonly rest: object;
}

const NO_CPU = {
  cpu_usage: { total_usage: 0, usage_in_kernelmode: 0, usage_in_usermode: 0 },
  throttling_data: { periods: 0, throttled_periods: 0, throttled_time: 0 },
};

const NO_IO = {
  io_service_bytes_recursive: null,
  io_serviced_recursive: null,
  io_queue_recursive: null,
  io_service_time_recursive: null,
  io_wait_time_recursive: null,
  io_merged_recursive: null,
  io_time_recursive: null,
  sectors_recursive: null,
};

/** What is told of a container that doesn't run: its name only. */
const NOTHING: Sample = {
  read: ZERO_TIME,
  cpu: NO_CPU,
  rest: { pids_stats: {}, blkio_stats: NO_IO, memory_stats: {} },
};

/** GET /containers/{id}/stats (swagger: ContainerStatsResponse). */
export async function* containerStats(
  parts: ContainerParts,
  container: Container,
  options: StatsOptions,
  signal: AbortSignal,
): AsyncGenerator<object> {
  const running = (): boolean => container.record.state.status === 'running';
  if (options.oneShot || (!options.stream && !running())) {
    yield view(container, sample(parts, container));
    return;
  }
  let previous: Sample | undefined;
  // Without a stream only the second sample is sent: it is the first with something to compare with.
  let quiet = !options.stream;
  while (!signal.aborted && parts.registry.byId(container.id)) {
    const current = sample(parts, container);
    if (!quiet) yield view(container, current, previous);
    if (!options.stream && !quiet) return;
    quiet = false;
    previous = current;
    await delay(INTERVAL_MS, undefined, { signal }).catch(() => {});
  }
}

function view(container: Container, current: Sample, previous: Sample = NOTHING): object {
  return {
    name: `/${container.record.name}`,
    id: container.id,
    read: current.read,
    preread: previous.read,
    num_procs: 0,
    storage_stats: {},
    cpu_stats: current.cpu,
    precpu_stats: previous.cpu,
    ...current.rest,
  };
}

function sample(parts: ContainerParts, container: Container): Sample {
  const { state, hostConfig } = container.record;
  if (state.status !== 'running') return NOTHING;
  const stats = parts.runtime.stats(container.id, hostConfig.CgroupParent);
  const networks = hostConfig.NetworkMode === 'host' ? undefined : interfaces(state.pid);
  const cgroupVersion = parts.settings.cgroupVersion;
  return {
    read: apiTime(),
    cpu: cpuView(stats, parts.runtime),
    rest: {
      pids_stats: {
        ...(stats.pids.current ? { current: stats.pids.current } : {}),
        ...(stats.pids.limit ? { limit: stats.pids.limit } : {}),
      },
      blkio_stats: {
        ...NO_IO,
        io_service_bytes_recursive: stats.ioBytes.map(ioView),
        // dockerd counts operations on cgroup v1 only.
        io_serviced_recursive: cgroupVersion === 2 ? null : stats.ioOperations.map(ioView),
      },
      memory_stats: {
        usage: stats.memory.usage,
        ...(stats.memory.maxUsage === undefined ? {} : { max_usage: stats.memory.maxUsage }),
        stats: stats.memory.detail,
        ...(stats.memory.failures ? { failcnt: stats.memory.failures } : {}),
        limit: stats.memory.limit,
      },
      ...(networks && Object.keys(networks).length > 0 ? { networks } : {}),
    },
  };
}

const ioView = ({ major, minor, operation, value }: CgroupStats['ioBytes'][number]) => ({
  major,
  minor,
  op: operation,
  value,
});

function cpuView({ cpu }: CgroupStats, runtime: Runtime): object {
  const machine = runtime.machineCpu();
  return {
    cpu_usage: {
      total_usage: cpu.total,
      ...(cpu.perCpu ? { percpu_usage: cpu.perCpu } : {}),
      usage_in_kernelmode: cpu.kernel,
      usage_in_usermode: cpu.user,
    },
    system_cpu_usage: machine.total,
    online_cpus: machine.cpus,
    throttling_data: {
      periods: cpu.periods,
      throttled_periods: cpu.throttledPeriods,
      throttled_time: cpu.throttledTime,
    },
  };
}

/** Traffic of each interface of a process's network namespace, but for the loopback. */
function interfaces(pid: number): Record<string, object> | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/net/dev`, 'utf8');
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ESRCH', 'EINVAL')) return undefined;
    throw error;
  }
  const found: Record<string, object> = {};
  for (const line of text.split('\n').slice(2)) {
    const [name, rest] = line.split(':');
    if (!name || rest === undefined || name.trim() === 'lo') continue;
    const numbers = rest.trim().split(/\s+/).map(Number);
    const [rx_bytes, rx_packets, rx_errors, rx_dropped] = numbers;
    const [tx_bytes, tx_packets, tx_errors, tx_dropped] = numbers.slice(8);
    found[name.trim()] = {
      rx_bytes,
      rx_packets,
      rx_errors,
      rx_dropped,
      tx_bytes,
      tx_packets,
      tx_errors,
      tx_dropped,
    };
  }
  return found;
}
