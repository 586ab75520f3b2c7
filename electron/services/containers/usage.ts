import { setTimeout as sleep } from 'node:timers/promises';
import type Dockerode from 'dockerode';
import type { ContainerUsage } from '../../contract/containers.ts';
import { cpuPercent, type EngineSample, type Totals, totals } from './sample.ts';

const EVERY_MS = 2_000;
/** the second sample comes sooner: before it there is no CPU to show */
const FIRST_MS = 700;
const AT_ONCE = 6;

/**
 * Figures of the rows in sight. Single samples instead of a stream per container: a page of 30 rows costs six requests at a
 * time, not 30 open connections.
 */
export async function* usageStream(
  docker: Dockerode,
  ids: readonly string[],
  signal: AbortSignal,
): AsyncGenerator<ContainerUsage[]> {
  const before = new Map<string, Totals>();
  for (let pause = FIRST_MS; !signal.aborted; pause = EVERY_MS) {
    const found: ContainerUsage[] = [];
    const waiting = [...ids];
    const worker = async () => {
      for (let id = waiting.shift(); id !== undefined && !signal.aborted; id = waiting.shift()) {
        const now = await sampleOf(docker, id, signal);
        if (!now) continue;
        const earlier = before.get(id);
        before.set(id, now);
        const { memoryBytes, memoryLimitBytes } = now;
        found.push({ id, cpuPercent: earlier ? cpuPercent(earlier, now) : 0, memoryBytes, memoryLimitBytes });
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    if (signal.aborted) return;
    yield found;
    await sleep(pause, undefined, { signal }).catch(() => {});
  }
}

/** Undefined for one that has stopped or gone meanwhile. */
async function sampleOf(docker: Dockerode, id: string, signal: AbortSignal): Promise<Totals | undefined> {
  try {
    const options = { stream: false, 'one-shot': true, abortSignal: signal } as const;
    const sample = (await docker.getContainer(id).stats(options)) as unknown as EngineSample;
    const now = totals(sample);
    return now.time > 0 && now.memoryBytes > 0 ? now : undefined;
  } catch {
    return undefined;
  }
}
