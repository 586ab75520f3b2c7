import { setTimeout as delay } from 'node:timers/promises';

import { messageOf } from '../../errors.ts';
import { log } from '../../log.ts';
import type { ProcessExit, ProcessInfo } from '../../runtime/runtime.ts';
import type { Container } from './container.ts';
import { settleExit } from './exits.ts';
import type { HealthMonitor } from './health.ts';
import { type ContainerParts, publish } from './parts.ts';
import { isRunning } from './record.ts';
import { discard, sweepFolders } from './remove.ts';
import { RestartDelay, wantsRestart, wantsStartWithEngine } from './restart.ts';
import { startContainer } from './start.ts';
import { type StopOptions, stopContainer } from './stop.ts';

const SIGKILL = 9;
/** A killed process may still be writing out: 100 × 50 ms. */
const STRAY_TRIES = 100;
const STRAY_PAUSE_MS = 50;

/** Starts, ends and brings back containers: the one place where exits, restart policies and auto-remove meet. */
export class Lifecycle {
  readonly #parts: ContainerParts;
  readonly #health: HealthMonitor;
  readonly #delays = new WeakMap<Container, RestartDelay>();
  #shuttingDown = false;

  constructor(parts: ContainerParts, health: HealthMonitor) {
    this.#parts = parts;
    this.#health = health;
  }

  async start(container: Container): Promise<void> {
    try {
      await container.mutex.run(() => startContainer(this.#parts, container, 0));
    } catch (error) {
      const { state, hostConfig } = container.record;
      if (hostConfig.AutoRemove && state.status !== 'running' && state.error) await this.#autoRemove(container);
      throw error;
    }
    this.#health.watch(container);
  }

  stop(container: Container, options: StopOptions = {}): Promise<void> {
    return stopContainer(this.#parts, container, options);
  }

  async restart(container: Container, options: StopOptions = {}): Promise<void> {
    if (isRunning(container.record)) {
      container.restarting = true;
      try {
        await this.stop(container, options);
        // The exit is settled under the mutex; waiting for it means the container is at rest.
        await container.mutex.run(() => {});
      } finally {
        container.restarting = false;
      }
    }
    await this.start(container);
    publish(this.#parts, container, 'restart');
  }

  /** The shim says that a container's init process has ended. */
  async onExit(process: ProcessInfo & { readonly exit: ProcessExit }): Promise<void> {
    const container = this.#parts.registry.byId(process.container);
    if (!container) {
      await this.#parts.runtime.forget(process.key).catch(() => {});
      return;
    }
    await container.mutex.run(async () => {
      const { state } = container.record;
      // An exit of another run than the one the record knows is old news.
      if (state.status === 'running' && state.pid === process.pid) await this.ended(container, process.exit);
      else if (state.status !== 'running') await this.#parts.runtime.forget(process.key).catch(() => {});
    });
  }

  /** Settles an exit and decides what follows. The caller holds the mutex. */
  async ended(container: Container, exit: ProcessExit, error = ''): Promise<void> {
    this.#health.unwatch(container);
    await settleExit(this.#parts, container, exit, error);
    const { record } = container;
    if (record.state.status !== 'exited') return;
    const again = !this.#shuttingDown && !container.removing && wantsRestart(record, record.state);
    if (again) {
      this.#parts.registry.update(container, { state: { ...record.state, status: 'restarting' } });
      this.#scheduleRestart(container, Date.parse(record.state.finishedAt) - Date.parse(record.state.startedAt));
    }
    container.notify('exit', { exitCode: exit.code });
    if (!again && record.hostConfig.AutoRemove && !container.removing && !container.restarting) {
      await discard(this.#parts, container, true);
    }
  }

  #scheduleRestart(container: Container, ranMs: number): void {
    const delays = this.#delays.get(container) ?? new RestartDelay();
    this.#delays.set(container, delays);
    const timer = setTimeout(() => {
      container.cancelRestart = undefined;
      void container.mutex.run(() => this.#comeBack(container));
    }, delays.next(ranMs));
    container.cancelRestart = () => {
      clearTimeout(timer);
      container.cancelRestart = undefined;
    };
  }

  async #comeBack(container: Container): Promise<void> {
    if (container.record.state.status !== 'restarting' || container.removing) return;
    const count = container.record.restartCount + 1;
    try {
      await startContainer(this.#parts, container, count);
      this.#health.watch(container);
    } catch (error) {
      log.warn('restart failed', { container: container.id, error: messageOf(error) });
      this.#parts.registry.update(container, { restartCount: count });
      this.#retry(container);
    }
  }

  #retry(container: Container): void {
    const { state } = container.record;
    if (state.status !== 'exited' || !wantsRestart(container.record, state)) return;
    this.#parts.registry.update(container, { state: { ...state, status: 'restarting' } });
    this.#scheduleRestart(container, 0);
  }

  async #autoRemove(container: Container): Promise<void> {
    await container.mutex.run(() => discard(this.#parts, container, true));
  }

  /**
   * After the engine's own start: what ran and still runs is taken over, what ended meanwhile is settled with its own exit
   * code, what is gone without a trace (the machine was off) has ended with 255 as in Docker, and policies apply.
   */
  async restore(known: readonly ProcessInfo[]): Promise<void> {
    await this.#endStrays(known);
    const { registry, plugins } = this.#parts;
    this.#parts.runtime.sweep((id) => plugins.has(id) || registry.byId(id)?.record.state.status === 'running');
    sweepFolders(this.#parts);
    const byKey = new Map(known.map((process) => [process.key, process]));
    for (const container of this.#parts.registry.all()) {
      const { state } = container.record;
      if (state.status === 'running') {
        const process = byKey.get(container.id);
        if (process && !process.exit && process.pid === state.pid) this.#health.watch(container);
        else {
          const exit = process?.exit ?? { code: 255, at: Date.now() };
          await container.mutex.run(() => this.ended(container, exit));
        }
      } else if (state.status === 'restarting') {
        this.#parts.registry.update(container, { state: { ...state, status: 'exited' } });
      } else if (state.status === 'exited' && container.record.hostConfig.AutoRemove) {
        // The engine died between the end and the removal.
        await this.#autoRemove(container);
      }
    }
    for (const container of this.#parts.registry.all()) {
      const { record } = container;
      if (isRunning(record) || record.state.status === 'restarting' || !wantsStartWithEngine(record)) continue;
      void this.start(container).catch((error) =>
        log.warn('container not started with the engine', { container: container.id, error: messageOf(error) }),
      );
    }
  }

  /**
   * Ends processes that no record speaks of: the engine died after it had started them and before it wrote so. Nobody was
   * told of their start, so nobody misses them; what they left is removed, that the container can be started again.
   */
  async #endStrays(known: readonly ProcessInfo[]): Promise<void> {
    const { registry, runtime, plugins } = this.#parts;
    for (const process of known) {
      if (plugins.has(process.container)) continue;
      const record = registry.byId(process.container)?.record;
      const expected = record?.state.status === 'running' && record.state.pid === process.pid;
      if (process.key !== process.container || process.exit || expected) continue;
      log.warn('ending a container process that no record speaks of', { container: process.key, pid: process.pid });
      await runtime.signal(process.key, SIGKILL);
      await this.#gone(process.key);
      runtime.cleanUp(process.key, record?.hostConfig.Runtime ?? '', record?.hostConfig.CgroupParent);
      await runtime.forget(process.key).catch(() => {});
    }
  }

  /** Waits until the shim has seen a killed process end. */
  async #gone(key: string): Promise<void> {
    for (let tries = 0; tries < STRAY_TRIES; tries++) {
      const found = (await this.#parts.runtime.processes()).find((process) => process.key === key);
      if (!found || found.exit) return;
      await delay(STRAY_PAUSE_MS);
    }
  }

  /**
   * The shim has died, and every container with it that it was the parent of: ends them cleanly. Exits that it still noted
   * keep their code.
   * @param known what the next shim found
   */
  async shimLost(known: readonly ProcessInfo[]): Promise<void> {
    const byKey = new Map(known.map((process) => [process.key, process]));
    for (const container of this.#parts.registry.all()) {
      await container.mutex.run(async () => {
        const { state } = container.record;
        const process = byKey.get(container.id);
        // Started by the next shim meanwhile.
        if (state.status !== 'running' || (process && !process.exit)) return;
        if (process?.exit && process.pid === state.pid) await this.ended(container, process.exit);
        else {
          const reason = 'the shim process died; its containers were ended';
          await this.ended(container, { code: 255, at: Date.now() }, reason);
        }
      });
    }
  }

  /** Stops every container by its own rules, all at once, and keeps restart policies still. */
  async shutDown(limitSeconds: number): Promise<void> {
    this.#shuttingDown = true;
    const { registry } = this.#parts;
    for (const container of registry.all()) container.cancelRestart?.();
    await Promise.all(
      registry
        .all()
        .filter((container) => isRunning(container.record))
        .map(async (container) => {
          const wasManual = container.record.manuallyStopped;
          const timeout = Math.min(container.record.config.StopTimeout ?? limitSeconds, limitSeconds);
          await this.stop(container, { timeout }).catch((error) =>
            log.warn('container not stopped', { container: container.id, error: messageOf(error) }),
          );
          await container.mutex.run(() => {});
          // Stopped by the engine, not by a user: policies bring it back with the engine.
          if (registry.byId(container.id)) registry.update(container, { manuallyStopped: wasManual });
        }),
    );
  }
}
