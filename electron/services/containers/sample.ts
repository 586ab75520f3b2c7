/** The part of GET /containers/{id}/stats (swagger: ContainerStatsResponse) that the window shows. */
export interface EngineSample {
  read: string;
  cpu_stats?: { cpu_usage?: { total_usage?: number } };
  memory_stats?: { usage?: number; limit?: number; stats?: Record<string, number> };
  networks?: Record<string, { rx_bytes: number; tx_bytes: number }>;
  blkio_stats?: { io_service_bytes_recursive?: { op: string; value: number }[] | null };
  pids_stats?: { current?: number };
}

/** Sums since the container's start, at a time. */
export interface Totals {
  time: number;
  cpuMs: number;
  memoryBytes: number;
  memoryLimitBytes: number;
  received: number;
  sent: number;
  read: number;
  written: number;
  processes: number;
}

export function totals(sample: EngineSample): Totals {
  const networks = Object.values(sample.networks ?? {});
  const blocks = sample.blkio_stats?.io_service_bytes_recursive ?? [];
  const blockBytes = (op: string) =>
    blocks.filter((entry) => entry.op.toLowerCase() === op).reduce((sum, entry) => sum + entry.value, 0);
  return {
    time: Date.parse(sample.read),
    cpuMs: (sample.cpu_stats?.cpu_usage?.total_usage ?? 0) / 1e6,
    memoryBytes: memoryInUse(sample),
    memoryLimitBytes: sample.memory_stats?.limit ?? 0,
    received: networks.reduce((sum, network) => sum + network.rx_bytes, 0),
    sent: networks.reduce((sum, network) => sum + network.tx_bytes, 0),
    read: blockBytes('read'),
    written: blockBytes('write'),
    processes: sample.pids_stats?.current ?? 0,
  };
}

/** Without the page cache that can be dropped, as `docker stats` counts (cgroup v1 and v2 name it differently). */
function memoryInUse({ memory_stats: memory }: EngineSample): number {
  const usage = memory?.usage ?? 0;
  const cache = memory?.stats?.total_inactive_file ?? memory?.stats?.inactive_file ?? 0;
  return cache < usage ? usage - cache : usage;
}

/** What happened per second between two samples; 0 when the container began anew between them. */
export function perSecond(before: Totals, after: Totals, sum: (totals: Totals) => number): number {
  const ms = after.time - before.time;
  return ms > 0 ? Math.max(0, ((sum(after) - sum(before)) * 1000) / ms) : 0;
}

export function cpuPercent(before: Totals, after: Totals): number {
  // ms of CPU per second of time
  return perSecond(before, after, (totals) => totals.cpuMs) / 10;
}
