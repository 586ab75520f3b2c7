import { rmSync, writeFileSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { join } from 'node:path';

import { killProcess } from '../linux/processes.ts';
import { OciRuntime } from './oci-runtime.ts';
import type {
  AttachRequest,
  ExecRequest,
  LogTarget,
  ProcessExit,
  ProcessInfo,
  ProcessKey,
  RunRequest,
  ShimEvent,
  StdioOptions,
} from './protocol.ts';
import { Reaper } from './reaper.ts';
import { StdioHub } from './stdio-hub.ts';

interface Supervised {
  info: ProcessInfo;
  readonly hub: StdioHub;
}

/**
 * All container processes of the machine, alive and dead, until skiffd says `forget`.
 *
 * Durable when: an exit is on disk (exec-root, which is RAM in the VM: exits needn't outlive the kernel) before its event
 * goes out, so that neither skiffd's death nor the shim's loses an exit code.
 */
export class Supervisor {
  readonly #processes = new Map<ProcessKey, Supervised>();
  readonly #hubs = new Map<ProcessKey, StdioHub>();
  readonly #reaper = new Reaper();
  /** Starts that a runtime is working on. */
  readonly #starting = new Set<Promise<unknown>>();
  readonly #runtime: OciRuntime;
  readonly #exits: string;
  readonly #emit: (event: ShimEvent) => void;
  #counter = 0;

  constructor(directories: { scratch: string; exits: string }, emit: (event: ShimEvent) => void) {
    this.#runtime = new OciRuntime(this.#reaper, directories.scratch);
    this.#exits = directories.exits;
    this.#emit = emit;
  }

  run(request: RunRequest): Promise<ProcessInfo> {
    const { key, bundle } = request;
    return this.#note(
      this.#start(request, key, request.log, (options) => ['run', ...options, '--bundle', bundle, key]),
    );
  }

  exec(request: ExecRequest): Promise<ProcessInfo> {
    const { container, processFile } = request;
    const args = (options: readonly string[]) => ['exec', ...options, '--process', processFile, container];
    return this.#note(this.#start(request, container, { driver: 'none' }, args));
  }

  async #note(start: Promise<ProcessInfo>): Promise<ProcessInfo> {
    this.#starting.add(start);
    try {
      return await start;
    } finally {
      this.#starting.delete(start);
    }
  }

  async #start(
    request: { readonly key: ProcessKey; readonly runtime: readonly string[]; readonly stdio: StdioOptions },
    container: ProcessKey,
    log: LogTarget,
    args: (options: readonly string[]) => readonly string[],
  ): Promise<ProcessInfo> {
    const { key, stdio } = request;
    if (this.#processes.has(key)) throw new Error(`process ${key} exists`);
    const hub = this.#hub(key);
    if (hub.started) throw new Error(`process ${key} is being started`);
    // Before the runtime is asked: no line of output may be older than its process, for clients that follow since then.
    const startedAt = Date.now();
    let started: Awaited<ReturnType<OciRuntime['start']>>;
    try {
      started = await this.#runtime.start(request.runtime, `p${++this.#counter}`, args, stdio);
    } catch (error) {
      this.#hubs.delete(key);
      hub.abandon();
      throw error;
    }
    const info: ProcessInfo = { key, container, pid: started.pid, startedAt };
    this.#processes.set(key, { info, hub });
    hub.open(started.ends, log, (lines, reason) => this.#emit({ event: 'logLoss', key, lines, reason }));
    if (stdio.size) hub.resize(...stdio.size);
    void this.#awaitExit(info, hub);
    return info;
  }

  async #awaitExit(info: ProcessInfo, hub: StdioHub): Promise<void> {
    const { code, at } = await this.#reaper.exitOf(info.pid);
    await hub.drain();
    const exit: ProcessExit = { code, at };
    const ended = { ...info, exit };
    this.#processes.set(info.key, { info: ended, hub });
    this.#hubs.delete(info.key);
    writeFileSync(join(this.#exits, `${info.key}.json`), JSON.stringify(ended));
    this.#emit({ event: 'exit', process: ended });
  }

  attach(client: Socket, request: AttachRequest): void {
    const hub = this.#hub(request.key);
    hub.attach(client, request);
    client.on('close', () => {
      if (hub.unused) this.#hubs.delete(request.key);
    });
  }

  #hub(key: ProcessKey): StdioHub {
    const ended = this.#processes.get(key);
    if (ended) return ended.hub;
    let hub = this.#hubs.get(key);
    if (!hub) {
      hub = new StdioHub();
      this.#hubs.set(key, hub);
    }
    return hub;
  }

  /** Sends a signal to a process that is certainly still ours: a dead one keeps its pid until it is reaped here. */
  signal(key: ProcessKey, signal: number): boolean {
    const process = this.#processes.get(key);
    if (!process || process.info.exit) return false;
    return killProcess(process.info.pid, signal);
  }

  resize(key: ProcessKey, rows: number, columns: number): void {
    this.#processes.get(key)?.hub.resize(rows, columns);
  }

  invoke(argv: readonly string[]): Promise<{ code: number; output: string }> {
    return this.#runtime.invoke(argv);
  }

  /**
   * Everything known, including exits an earlier shim recorded and nobody has taken note of yet. Waits for starts that are
   * under way: a skiffd that comes back would otherwise never hear of what its predecessor asked for.
   */
  async processes(): Promise<ProcessInfo[]> {
    await Promise.allSettled(this.#starting);
    const found = new Map<ProcessKey, ProcessInfo>();
    for (const name of await readdir(this.#exits)) {
      const info = JSON.parse(await readFile(join(this.#exits, name), 'utf8')) as ProcessInfo;
      found.set(info.key, info);
    }
    for (const [key, process] of this.#processes) found.set(key, process.info);
    return [...found.values()];
  }

  /** skiffd has noted the exit: nothing of the process is kept. Clients of one that never started get the end. */
  forget(key: ProcessKey): void {
    const process = this.#processes.get(key);
    if (process && !process.info.exit) return;
    this.#processes.delete(key);
    rmSync(join(this.#exits, `${key}.json`), { force: true });
    const hub = this.#hubs.get(key);
    this.#hubs.delete(key);
    hub?.abandon();
  }

  get alive(): number {
    let count = 0;
    for (const process of this.#processes.values()) if (!process.info.exit) count++;
    return count;
  }
}
