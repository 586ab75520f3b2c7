import { cpus, totalmem } from 'node:os';

import type { Events } from '../events.ts';

/** One metric with its samples, in the terms of Prometheus. */
export interface Metric {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge';
  readonly samples: readonly { readonly labels?: Readonly<Record<string, string>>; readonly value: number }[];
}

/** What `metrics-addr` shows. Names are dockerd's, where it has the same figure. */
export function engineMetrics(of: {
  readonly version: string;
  readonly states: { readonly running: number; readonly paused: number; readonly stopped: number };
  readonly events: Events;
}): Metric[] {
  const { states, events } = of;
  const one = (name: string, help: string, type: Metric['type'], value: number): Metric => ({
    name,
    help,
    type,
    samples: [{ value }],
  });
  const usage = process.resourceUsage();
  return [
    {
      name: 'engine_daemon_container_states_containers',
      help: 'The count of containers in various states',
      type: 'gauge',
      samples: (['paused', 'running', 'stopped'] as const).map((state) => ({
        labels: { state },
        value: states[state],
      })),
    },
    {
      name: 'engine_daemon_engine_info',
      help: 'The information related to the engine and the OS it is running on',
      type: 'gauge',
      samples: [{ labels: { version: of.version, graphdriver: 'overlay2', os_type: 'linux' }, value: 1 }],
    },
    one(
      'engine_daemon_engine_cpus_cpus',
      'The number of cpus that the host system of the engine has',
      'gauge',
      cpus().length,
    ),
    one(
      'engine_daemon_engine_memory_bytes',
      'The number of bytes of memory that the host system of the engine has',
      'gauge',
      totalmem(),
    ),
    one('engine_daemon_events_total', 'The number of events logged', 'counter', events.published),
    one(
      'engine_daemon_events_subscribers_total',
      'The number of current subscribers to events',
      'gauge',
      events.listeners,
    ),
    one(
      'process_cpu_seconds_total',
      'Total user and system CPU time spent in seconds.',
      'counter',
      (usage.userCPUTime + usage.systemCPUTime) / 1e6,
    ),
    one('process_resident_memory_bytes', 'Resident memory size in bytes.', 'gauge', process.memoryUsage.rss()),
    one(
      'process_start_time_seconds',
      'Start time of the process since unix epoch in seconds.',
      'gauge',
      Math.round(Date.now() / 1000 - process.uptime()),
    ),
  ];
}
