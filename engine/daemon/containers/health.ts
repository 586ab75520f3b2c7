import type { HealthConfig } from '../../model/container.ts';
import { apiTime } from '../clock.ts';
import type { Container } from './container.ts';
import { type ContainerParts, publish } from './parts.ts';
import { isRunning } from './record.ts';

const SECOND_NS = 1e9;
const DEFAULTS = { interval: 30, timeout: 30, startInterval: 5, retries: 3 };
const KEPT_RESULTS = 5;
const OUTPUT_LIMIT = 4096;

/** One probe (swagger: HealthcheckResult). */
export interface HealthResult {
  readonly Start: string;
  readonly End: string;
  readonly ExitCode: number;
  readonly Output: string;
}

/** State.Health of inspect (swagger: Health). */
export interface HealthState {
  Status: 'starting' | 'healthy' | 'unhealthy';
  FailingStreak: number;
  Log: HealthResult[];
}

/** Runs a command in a container and gathers its output; exit code and text. */
export type Probe = (
  container: Container,
  command: readonly string[],
  timeoutMs: number,
) => Promise<{ exitCode: number; output: string }>;

/**
 *   starting ──ok──▶ healthy ◀──ok── unhealthy
 *      └──retries × failure (after the start period)──▲──┘
 */
export class HealthMonitor {
  readonly #parts: Pick<ContainerParts, 'events'>;
  readonly #probe: Probe;
  readonly #states = new WeakMap<Container, HealthState>();
  readonly #stops = new WeakMap<Container, () => void>();

  constructor(parts: Pick<ContainerParts, 'events'>, probe: Probe) {
    this.#parts = parts;
    this.#probe = probe;
  }

  stateOf(container: Container): HealthState | undefined {
    return this.#states.get(container);
  }

  /** Begins probing a container that has just been started (or found running), if it has a check. */
  watch(container: Container): void {
    this.unwatch(container);
    const config = container.record.config.Healthcheck;
    const command = probeCommand(config, container.record.config.Shell ?? undefined);
    if (!config || !command) {
      this.#states.delete(container);
      return;
    }
    const previous = this.#states.get(container)?.Log ?? [];
    this.#states.set(container, { Status: 'starting', FailingStreak: 0, Log: previous });
    const startedAt = Date.now();
    let timer: NodeJS.Timeout;
    let stopped = false;
    const schedule = (): void => {
      timer = setTimeout(() => void tick(), this.#delay(container, config, startedAt));
      timer.unref();
    };
    const tick = async (): Promise<void> => {
      await this.#run(container, config, command, startedAt);
      if (!stopped && isRunning(container.record)) schedule();
    };
    this.#stops.set(container, () => {
      stopped = true;
      clearTimeout(timer);
    });
    schedule();
  }

  unwatch(container: Container): void {
    this.#stops.get(container)?.();
    this.#stops.delete(container);
  }

  #delay(container: Container, config: HealthConfig, startedAt: number): number {
    const inStart = Date.now() - startedAt < (config.StartPeriod ?? 0) / 1e6;
    const starting = this.#states.get(container)?.Status === 'starting';
    const ns =
      inStart && starting
        ? config.StartInterval || DEFAULTS.startInterval * SECOND_NS
        : config.Interval || DEFAULTS.interval * SECOND_NS;
    return ns / 1e6;
  }

  async #run(container: Container, config: HealthConfig, command: readonly string[], startedAt: number): Promise<void> {
    const state = this.#states.get(container);
    if (!state || (container.record.state.status === 'running' && container.record.state.paused)) return;
    const timeoutMs = (config.Timeout || DEFAULTS.timeout * SECOND_NS) / 1e6;
    const Start = apiTime();
    const { exitCode, output } = await this.#probe(container, command, timeoutMs).catch((error) => ({
      exitCode: -1,
      output: String(error),
    }));
    if (this.#states.get(container) !== state) return;
    state.Log.push({ Start, End: apiTime(), ExitCode: exitCode, Output: output.slice(0, OUTPUT_LIMIT) });
    if (state.Log.length > KEPT_RESULTS) state.Log.shift();
    const before = state.Status;
    if (exitCode === 0) {
      state.FailingStreak = 0;
      state.Status = 'healthy';
    } else if (Date.now() - startedAt >= (config.StartPeriod ?? 0) / 1e6 || before !== 'starting') {
      state.FailingStreak++;
      if (state.FailingStreak >= (config.Retries || DEFAULTS.retries)) state.Status = 'unhealthy';
    }
    if (state.Status !== before) publish(this.#parts, container, `health_status: ${state.Status}`);
  }
}

function probeCommand(config: HealthConfig | null | undefined, shell: readonly string[] = ['/bin/sh', '-c']) {
  const [kind, ...rest] = config?.Test ?? [];
  if (kind === 'CMD') return rest;
  if (kind === 'CMD-SHELL') return [...shell, ...rest];
  return undefined;
}
