import { existsSync, mkdirSync, realpathSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { join, normalize } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { messageOf, systemError } from '../../errors.ts';
import { log } from '../../log.ts';
import type { ProcessExit, ProcessInfo, Runtime } from '../../runtime/runtime.ts';
import { isMounted, shareMounts, unmountVolume } from '../../runtime/volume-mount.ts';
import type { Snapshots } from '../../snapshots/snapshots.ts';
import { RestartDelay } from '../containers/restart.ts';
import { startFailure } from '../containers/start-errors.ts';
import { readFrames } from '../frames.ts';
import { Mutex } from '../mutex.ts';
import type { PluginRecord } from './record.ts';
import { pluginSpec } from './spec.ts';

const SIGTERM = 15;
const SIGKILL = 9;
/** As dockerd: how long a plugin has until it listens, and to end when told to. */
const LISTEN_LIMIT_MS = 12_500;
const STOP_LIMIT_MS = 10_000;
const POLL_MS = 20;

/** What a plugin's process needs of the machine. */
export interface PluginMachine {
  readonly runtime: Runtime;
  readonly snapshots: Snapshots;
  readonly dataRoot: string;
  readonly bounding: readonly string[];
}

/**
 *   stopped ──start──▶ running ──stop──▶ stopped
 *                       ▲    │
 *           after a pause    ends by itself
 *                       │    ▼
 *                       waiting
 */
type State =
  | { readonly status: 'stopped' }
  | { readonly status: 'running'; readonly pid: number; readonly startedAt: number }
  | { readonly status: 'waiting'; readonly timer: NodeJS.Timeout };

/** The process of one plugin: a container that no list shows. It comes back when it ends by itself. */
export class PluginProcess {
  readonly #machine: PluginMachine;
  readonly #id: string;
  readonly #record: () => PluginRecord;
  readonly #restarts = new RestartDelay();
  /** Starts and exits, so that no exit is settled before its start is known. */
  readonly #mutex = new Mutex();
  readonly #onEnd = new Set<() => void>();
  #state: State = { status: 'stopped' };
  /** Told to end: it isn't to come back. */
  #ending = false;
  /** One that was heard of before the process was known. */
  #early: { readonly pid: number; readonly exit: ProcessExit } | undefined;

  /** @param record asked at each start: settings may have changed */
  constructor(machine: PluginMachine, id: string, record: () => PluginRecord) {
    this.#machine = machine;
    this.#id = id;
    this.#record = record;
  }

  /** Running, or about to be again. */
  get up(): boolean {
    return this.#state.status !== 'stopped';
  }

  /** Where its folders are on this machine. */
  get #propagated(): string {
    return join(folderOf(this.#machine.dataRoot, this.#id), 'propagated-mount');
  }

  /** Mounted as long as the plugin is enabled: what is in use of it outlives an exit. */
  get #rootfs(): string {
    return join(folderOf(this.#machine.dataRoot, this.#id), 'rootfs');
  }

  get #sockets(): string {
    return join('/run/docker/plugins', this.#id);
  }

  get socket(): string {
    return join(this.#sockets, this.#record().config.Interface.Socket);
  }

  /** A path as the plugin sees it → on this machine. Never one outside of what the plugin has. */
  hostPath(path: string): string {
    const { PropagatedMount } = this.#record().config;
    const clean = normalize(join('/', path));
    const inside = PropagatedMount !== '' && (clean === PropagatedMount || clean.startsWith(`${PropagatedMount}/`));
    const base = inside ? this.#propagated : this.#rootfs;
    const place = join(base, inside ? clean.slice(PropagatedMount.length) : clean);
    const real = existsSync(place) ? realpathSync(place) : place;
    const top = realpathSync(base);
    if (real !== top && !real.startsWith(`${top}/`) && existsSync(place)) {
      throw systemError(`the plugin's path ${path} leads out of it`);
    }
    return place;
  }

  /** Resolves when the plugin listens; rejects, and has ended it, when it doesn't. */
  async start(): Promise<void> {
    this.#ending = false;
    await this.#mutex.run(() => this.#launch());
    try {
      await this.#listening();
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  async #launch(): Promise<void> {
    const { runtime, snapshots, bounding } = this.#machine;
    const record = this.#record();
    const id = this.#id;
    try {
      runtime.prepareBundle(id);
      mkdirSync(this.#rootfs, { recursive: true, mode: 0o711 });
      if (!isMounted(this.#rootfs)) snapshots.mount(id, this.#rootfs);
      mkdirSync(this.#sockets, { recursive: true, mode: 0o700 });
      // What is left of an earlier run would look as if it listened.
      rmSync(this.socket, { force: true });
      mkdirSync(this.#propagated, { recursive: true, mode: 0o755 });
      if (record.config.PropagatedMount) shareMounts(this.#propagated);
      const spec = pluginSpec(record, {
        rootfs: this.#rootfs,
        sockets: this.#sockets,
        propagated: this.#propagated,
        cgroupPath: runtime.cgroupOf(id),
        bounding,
      });
      await this.#follow();
      const { pid, startedAt } = await runtime.start(id, '', spec, { tty: false, stdin: false }, { driver: 'none' });
      this.#state = { status: 'running', pid, startedAt };
    } catch (error) {
      await this.#cleanUp();
      throw startFailure(error, record.config.Entrypoint?.[0] ?? '').error;
    }
  }

  /** Its output is the engine's log. */
  async #follow(): Promise<void> {
    const streams = { stdin: false, stdout: true, stderr: true, closeStdin: false };
    const output = await this.#machine.runtime.attach({ key: this.#id, ...streams });
    const rest = { 1: '', 2: '' };
    void readFrames(output, (text, from) => {
      const lines = (rest[from] + text).split('\n');
      rest[from] = lines.pop() ?? '';
      for (const line of lines) log[from === 2 ? 'error' : 'info'](line, { plugin: this.#id });
    }).catch(() => {});
  }

  async #listening(): Promise<void> {
    const deadline = Date.now() + LISTEN_LIMIT_MS;
    for (;;) {
      const failure = await dial(this.socket);
      if (!failure) return;
      if (this.#state.status !== 'running') throw systemError(`${failure}: the plugin has ended`);
      if (Date.now() > deadline) throw systemError(failure);
      await delay(POLL_MS);
    }
  }

  /** It ran before this engine did. */
  async adopt(process: ProcessInfo): Promise<void> {
    this.#ending = false;
    const { pid, startedAt } = process;
    this.#state = { status: 'running', pid, startedAt };
    if (this.#early?.pid === pid) await this.onExit(pid, this.#early.exit);
    else await this.#follow();
  }

  /** Ends what an earlier engine left running, if anything, and what it left mounted. */
  async clear(process: ProcessInfo | undefined): Promise<void> {
    if (process && !process.exit) {
      await this.adopt(process);
      await this.stop();
    } else await this.#cleanUp();
    this.#unmount();
  }

  /** Resolves when it has ended. Fine when it doesn't run. */
  async stop(): Promise<void> {
    this.#ending = true;
    if (this.#state.status === 'waiting') {
      clearTimeout(this.#state.timer);
      this.#state = { status: 'stopped' };
    }
    for (const signal of [SIGTERM, SIGKILL]) {
      if (this.#state.status !== 'running') break;
      const ended = new Promise<boolean>((resolve) => this.#onEnd.add(() => resolve(true)));
      await this.#machine.runtime.signal(this.#id, signal);
      const late = new AbortController();
      await Promise.race([ended, delay(STOP_LIMIT_MS, false, { signal: late.signal }).catch(() => false)]);
      late.abort();
    }
    if (this.#state.status === 'running') throw systemError(`the plugin ${this.#record().name} does not end`);
    this.#unmount();
  }

  #unmount(): void {
    for (const place of [this.#propagated, this.#rootfs]) unmountVolume(place);
  }

  /** The shim says that it has ended. */
  onExit(pid: number, exit: ProcessExit): Promise<void> {
    return this.#mutex.run(() => this.#settle(pid, exit));
  }

  async #settle(pid: number, exit: ProcessExit): Promise<void> {
    if (this.#state.status !== 'running' || this.#state.pid !== pid) {
      this.#early = { pid, exit };
      return;
    }
    const ranMs = exit.at - this.#state.startedAt;
    this.#state = { status: 'stopped' };
    await this.#cleanUp();
    if (!this.#ending) {
      log.warn('a plugin has ended, starting it again', { plugin: this.#record().name, code: exit.code });
      this.#comeBack(ranMs);
    }
    for (const told of this.#onEnd) told();
    this.#onEnd.clear();
  }

  /** The shim that was its parent has died, and it with it. */
  lost(): Promise<void> {
    if (this.#state.status !== 'running') return Promise.resolve();
    return this.onExit(this.#state.pid, { code: 255, at: Date.now() });
  }

  #comeBack(ranMs: number): void {
    const timer = setTimeout(() => {
      this.#mutex
        .run(() => this.#launch())
        .catch((error) => {
          log.error('a plugin does not start again', { plugin: this.#record().name, error: messageOf(error) });
          if (!this.#ending) this.#comeBack(0);
        });
    }, this.#restarts.next(ranMs));
    this.#state = { status: 'waiting', timer };
  }

  /** The cgroup, the bundle. What is mounted stays: it may be in use. */
  async #cleanUp(): Promise<void> {
    const { runtime } = this.#machine;
    runtime.cleanUp(this.#id, '');
    await runtime.forget(this.#id).catch(() => {});
  }

  /** The plugin is removed for good. */
  discard(): void {
    this.#unmount();
    rmSync(this.#sockets, { recursive: true, force: true });
    rmSync(folderOf(this.#machine.dataRoot, this.#id), { recursive: true, force: true });
  }
}

/** Everything of a plugin that isn't an image's or the machine's. */
export const folderOf = (dataRoot: string, id: string): string => join(dataRoot, 'plugins', id);

/** @returns why nobody listens there, in Go's words; undefined when somebody does */
function dial(path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(undefined);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => {
      const reason = error.code === 'ENOENT' ? 'no such file or directory' : 'connection refused';
      resolve(`dial unix ${path}: connect: ${reason}`);
    });
  });
}
