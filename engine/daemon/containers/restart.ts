import type { RestartPolicy } from '../../model/container.ts';
import type { ContainerRecord, Ended } from './record.ts';

const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 60_000;
/** A run this long counts as healthy: the delay starts over. */
const HEALTHY_RUN_MS = 10_000;

/** Whether the policy brings a container back after this exit. */
export function wantsRestart(record: ContainerRecord, ended: Ended): boolean {
  const policy: RestartPolicy = record.hostConfig.RestartPolicy ?? {};
  if (record.manuallyStopped) return false;
  switch (policy.Name) {
    case 'always':
    case 'unless-stopped':
      return true;
    case 'on-failure':
      return ended.exitCode !== 0 && (!policy.MaximumRetryCount || record.restartCount < policy.MaximumRetryCount);
    default:
      return false;
  }
}

/** Whether the policy brings a container back when the engine starts. */
export function wantsStartWithEngine(record: ContainerRecord): boolean {
  const name = record.hostConfig.RestartPolicy?.Name;
  if (record.state.status === 'created') return false;
  if (name === 'always') return true;
  if (name === 'unless-stopped') return !record.manuallyStopped;
  if (name !== 'on-failure' || record.manuallyStopped) return false;
  return record.state.status !== 'running' && record.state.exitCode !== 0;
}

/** The growing pause before a restart: 100 ms, doubled each time, at most a minute (dockerd's restartmanager). */
export class RestartDelay {
  #next = FIRST_DELAY_MS;

  /** @param ranMs how long the run that just ended lasted */
  next(ranMs: number): number {
    if (ranMs >= HEALTHY_RUN_MS) this.#next = FIRST_DELAY_MS;
    const delay = this.#next;
    this.#next = Math.min(delay * 2, LONGEST_DELAY_MS);
    return delay;
  }
}
