import type Dockerode from 'dockerode';
import type { StatsPoint } from '../../contract/containers.ts';
import { Topic } from '../topic.ts';
import { cpuPercent, type EngineSample, perSecond, type Totals, totals } from './sample.ts';

const KEPT_MS = 10 * 60_000;
/** containers whose figures are kept at the same time; the one not looked at for longest goes first */
const MOST_KEPT = 12;

interface Kept {
  points: StatsPoint[];
  topic: Topic<StatsPoint[]>;
  readers: number;
  end: AbortController;
  timer: NodeJS.Timeout | undefined;
}

/**
 * The last ten minutes of the containers that somebody looks at or looked at a moment ago: whoever comes back to the page
 * within that time finds them without a gap.
 */
export class StatsHistory {
  #kept = new Map<string, Kept>();
  #docker: Dockerode;

  constructor(docker: Dockerode) {
    this.#docker = docker;
  }

  /** @param machineUp fires when the machine goes down, which ends what is kept */
  async *read(id: string, machineUp: AbortSignal, signal: AbortSignal): AsyncGenerator<StatsPoint[]> {
    const kept = this.#kept.get(id) ?? this.#keep(id, machineUp);
    kept.readers++;
    clearTimeout(kept.timer);
    // Put last: the order of the map is that of the last looks.
    this.#kept.delete(id);
    this.#kept.set(id, kept);
    try {
      yield* kept.topic.read(AbortSignal.any([signal, kept.end.signal]), kept.points.slice());
    } finally {
      kept.readers--;
      if (kept.readers === 0) kept.timer = setTimeout(() => this.#drop(id, kept), KEPT_MS).unref();
    }
  }

  #keep(id: string, machineUp: AbortSignal): Kept {
    const kept: Kept = {
      points: [],
      // A reader that fell behind gets what it missed in one piece.
      topic: new Topic<StatsPoint[]>(16, (queue) => [queue.flat()]),
      readers: 0,
      end: new AbortController(),
      timer: undefined,
    };
    this.#kept.set(id, kept);
    for (const [other, { readers }] of this.#kept) {
      if (this.#kept.size <= MOST_KEPT) break;
      const oldest = this.#kept.get(other);
      if (oldest && readers === 0 && other !== id) this.#drop(other, oldest);
    }
    machineUp.addEventListener('abort', () => this.#drop(id, kept), { once: true });
    void this.#follow(id, kept)
      .catch(() => {})
      .finally(() => this.#drop(id, kept));
    return kept;
  }

  #drop(id: string, kept: Kept): void {
    clearTimeout(kept.timer);
    kept.end.abort();
    if (this.#kept.get(id) === kept) this.#kept.delete(id);
  }

  async #follow(id: string, kept: Kept): Promise<void> {
    const options = { stream: true, abortSignal: kept.end.signal } as const;
    const source = (await this.#docker.getContainer(id).stats(options)) as unknown as AsyncIterable<Buffer>;
    let rest = '';
    let before: Totals | undefined;
    for await (const data of source) {
      const lines = (rest + data.toString('utf8')).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        if (!line.trim()) continue;
        const now = totals(JSON.parse(line) as EngineSample);
        // A container that does not run has no figures; its stream goes on and shows them when it starts.
        if (now.memoryBytes === 0) {
          before = undefined;
          continue;
        }
        if (before && now.time > before.time) this.#add(kept, before, now);
        before = now;
      }
    }
  }

  #add(kept: Kept, before: Totals, now: Totals): void {
    const point: StatsPoint = {
      time: now.time,
      cpuPercent: cpuPercent(before, now),
      memoryBytes: now.memoryBytes,
      memoryLimitBytes: now.memoryLimitBytes,
      receivedPerSecond: perSecond(before, now, (sum) => sum.received),
      sentPerSecond: perSecond(before, now, (sum) => sum.sent),
      readPerSecond: perSecond(before, now, (sum) => sum.read),
      writtenPerSecond: perSecond(before, now, (sum) => sum.written),
      processes: now.processes,
    };
    kept.points.push(point);
    while (kept.points[0] && kept.points[0].time < point.time - KEPT_MS) kept.points.shift();
    kept.topic.publish([point]);
  }
}
