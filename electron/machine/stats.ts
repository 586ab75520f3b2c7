/** What a running machine costs the host. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { realSize, virtualSize } from './disk.ts';
import type { MachinePaths } from './paths.ts';
import type { Session } from './session.ts';
import type { MachineStats } from './types.ts';

const run = promisify(execFile);
const TICKS_PER_SECOND = 100; // Linux reports to user space in this unit on all architectures we run on
const BALLOON = '/machine/peripheral/balloon';
const POLL_SECONDS = 2;
const POLL_KEPT_MS = 15_000;

/** Remembers the last call, from which CPU use is measured. */
export class StatsReader {
  #last: { at: number; cpuSeconds: number } | undefined;
  #polling: NodeJS.Timeout | undefined;

  async read(session: Session, paths: MachinePaths, guestMemoryBytes: number): Promise<MachineStats> {
    const [usage, guestUsedBytes, real, virtual] = await Promise.all([
      processUsage(session.record.pid),
      this.#guestUsed(session),
      realSize(paths.dataDisk),
      virtualSize(paths.dataDisk),
    ]);
    const now = { at: Date.now(), cpuSeconds: usage.cpuSeconds };
    const last = this.#last;
    this.#last = now;
    const seconds = last ? (now.at - last.at) / 1000 : (now.at - session.record.startedAt) / 1000;
    return {
      cpuPercent: seconds > 0 ? Math.max(0, ((now.cpuSeconds - (last?.cpuSeconds ?? 0)) / seconds) * 100) : 0,
      hostRssBytes: usage.rssBytes,
      guestMemoryBytes,
      guestUsedBytes,
      diskRealBytes: real,
      diskVirtualBytes: virtual ?? 0,
    };
  }

  stop(): void {
    clearTimeout(this.#polling);
    this.#polling = undefined;
    this.#last = undefined;
  }

  /** The balloon driver reports only while somebody looks: each report wakes the guest. */
  async #guestUsed(session: Session): Promise<number | undefined> {
    const setInterval = (seconds: number) =>
      session.qmp.execute('qom-set', { path: BALLOON, property: 'guest-stats-polling-interval', value: seconds });
    try {
      if (!this.#polling) await setInterval(POLL_SECONDS);
      clearTimeout(this.#polling);
      this.#polling = setTimeout(() => {
        this.#polling = undefined;
        setInterval(0).catch(() => {});
      }, POLL_KEPT_MS);
      this.#polling.unref();
      const reply = await session.qmp.execute('qom-get', { path: BALLOON, property: 'guest-stats' });
      const { stats } = reply as { stats: Record<string, number> };
      const total = stats['stat-total-memory'] ?? -1;
      const available = stats['stat-available-memory'] ?? -1;
      return total > 0 && available >= 0 ? total - available : undefined;
    } catch {
      return undefined;
    }
  }
}

async function processUsage(pid: number): Promise<{ cpuSeconds: number; rssBytes: number }> {
  if (process.platform === 'linux') {
    const [stat, status] = await Promise.all([
      readFile(`/proc/${pid}/stat`, 'latin1'),
      readFile(`/proc/${pid}/status`, 'latin1'),
    ]);
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const ticks = Number(fields[11]) + Number(fields[12]);
    const rss = Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0) * 1024;
    return { cpuSeconds: ticks / TICKS_PER_SECOND, rssBytes: rss };
  }
  if (process.platform === 'win32') {
    const script = `$p = Get-Process -Id ${pid}; "$($p.TotalProcessorTime.TotalSeconds) $($p.WorkingSet64)"`;
    const { stdout } = await run('powershell.exe', ['-NoProfile', '-Command', script], { windowsHide: true });
    const [cpu = '0', rss = '0'] = stdout.trim().replace(',', '.').split(' ');
    return { cpuSeconds: Number(cpu), rssBytes: Number(rss) };
  }
  const { stdout } = await run('ps', ['-o', 'time=,rss=', '-p', `${pid}`]);
  const [time = '0:0', rss = '0'] = stdout.trim().split(/\s+/);
  return { cpuSeconds: parseCpuTime(time), rssBytes: Number(rss) * 1024 };
}

/** `[[DD-]HH:]MM:SS[.ss]` as ps(1) prints it. */
export function parseCpuTime(text: string): number {
  const [days, clock] = text.includes('-') ? text.split('-', 2) : ['0', text];
  return clock!.split(':').reduce((sum, part) => sum * 60 + Number(part), 0) + Number(days) * 86_400;
}
