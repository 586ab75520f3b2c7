import { setTimeout as delay } from 'node:timers/promises';

import { conflict, invalidParameter, notModified, systemError } from '../../errors.ts';
import { parseSignal } from '../../runtime/signals.ts';
import type { Container } from './container.ts';
import { type ContainerParts, publish } from './parts.ts';
import { isRunning } from './record.ts';

const SIGKILL = 9;
const DEFAULT_STOP_SECONDS = 10;
/** How long a killed process may take to go. */
const KILL_LIMIT_MS = 10_000;

export function signalNumber(text: string): number {
  const number = parseSignal(text);
  if (number === undefined) throw invalidParameter(`invalid signal: ${text}`);
  return number;
}

const notRunning = (container: Container) => conflict(`container ${container.id} is not running`);

/**
 * POST /containers/{id}/kill. As with dockerd, the restart policy is given up: after any signal, unless the container has a stop signal
 * of its own; then after that one and KILL, and `unless-stopped` after any.
 */
export async function killContainer(parts: ContainerParts, container: Container, signal = 'SIGKILL'): Promise<void> {
  const number = signalNumber(signal);
  const { record } = container;
  if (record.state.status === 'restarting') {
    endRestarting(parts, container);
    publish(parts, container, 'kill', { signal: String(number) });
    return;
  }
  if (record.state.status !== 'running') {
    throw conflict(`cannot kill container: ${container.id}: container ${container.id} is not running`);
  }
  const { StopSignal } = record.config;
  const ends = number === SIGKILL || !StopSignal || number === signalNumber(StopSignal);
  const stopped = ends || record.hostConfig.RestartPolicy?.Name === 'unless-stopped';
  if (stopped) parts.registry.update(container, { manuallyStopped: true });
  await deliver(parts, container, number, ends);
  publish(parts, container, 'kill', { signal: String(number) });
}

/** Sends a signal; a paused container is thawed for one that is to end it, or it would never get it. */
async function deliver(parts: ContainerParts, container: Container, signal: number, thaw: boolean): Promise<void> {
  await parts.runtime.signal(container.id, signal);
  const { state } = container.record;
  if (thaw && state.status === 'running' && state.paused) unpauseContainer(parts, container);
}

/** A container between two runs of its restart policy has ended for good. */
function endRestarting(parts: ContainerParts, container: Container): void {
  const { state } = container.record;
  if (state.status !== 'restarting') return;
  container.cancelRestart?.();
  parts.registry.update(container, { manuallyStopped: true, state: { ...state, status: 'exited' } });
}

/** Seconds a container gets between its stop signal and KILL; negative: for ever. */
function stopSeconds(container: Container, given: number | undefined): number {
  return given ?? container.record.config.StopTimeout ?? DEFAULT_STOP_SECONDS;
}

export interface StopOptions {
  readonly signal?: string;
  /** Seconds; negative waits for ever. */
  readonly timeout?: number;
}

/** Stops a running container and resolves when it has ended. Called without the mutex: the exit needs it. */
export async function stopContainer(
  parts: ContainerParts,
  container: Container,
  options: StopOptions = {},
): Promise<void> {
  const { record } = container;
  if (record.state.status === 'restarting') {
    endRestarting(parts, container);
    return;
  }
  if (!isRunning(record)) throw notModified();
  const first = signalNumber(options.signal || record.config.StopSignal || 'SIGTERM');
  const seconds = stopSeconds(container, options.timeout);
  const ended = container.waitFor('exit').then(() => true);
  parts.registry.update(container, { manuallyStopped: true });
  await deliver(parts, container, first, true);
  publish(parts, container, 'kill', { signal: String(first) });
  if (!(await withinMs(ended, seconds < 0 ? Number.POSITIVE_INFINITY : seconds * 1000))) {
    await deliver(parts, container, SIGKILL, true);
    publish(parts, container, 'kill', { signal: String(SIGKILL) });
    if (!(await withinMs(ended, KILL_LIMIT_MS))) {
      throw systemError(
        `cannot stop container: ${container.id}: tried to kill container, but did not receive an exit event`,
      );
    }
  }
  publish(parts, container, 'stop');
}

async function withinMs(event: Promise<boolean>, limit: number): Promise<boolean> {
  if (limit === Number.POSITIVE_INFINITY) return event;
  const timer = new AbortController();
  const late = delay(limit, false, { signal: timer.signal }).catch(() => false);
  const result = await Promise.race([event, late]);
  timer.abort();
  return result;
}

export function pauseContainer(parts: ContainerParts, container: Container): void {
  const { state, hostConfig } = container.record;
  if (state.status !== 'running') throw notRunning(container);
  if (state.paused) throw conflict(`container ${container.id} is already paused`);
  parts.runtime.setFrozen(container.id, hostConfig.CgroupParent, true);
  parts.registry.update(container, { state: { ...state, paused: true } });
  publish(parts, container, 'pause');
}

export function unpauseContainer(parts: ContainerParts, container: Container): void {
  const { state, hostConfig } = container.record;
  if (state.status !== 'running' || !state.paused) throw conflict(`container ${container.id} is not paused`);
  parts.runtime.setFrozen(container.id, hostConfig.CgroupParent, false);
  parts.registry.update(container, { state: { ...state, paused: false } });
  publish(parts, container, 'unpause');
}
