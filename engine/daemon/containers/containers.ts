import type { Duplex } from 'node:stream';

import { conflict, invalidParameter, isKind } from '../../errors.ts';
import { log } from '../../log.ts';
import type { CreateRequest, EndpointSettings, Resources, RestartPolicy } from '../../model/container.ts';
import type { ShimEvent } from '../../runtime/runtime.ts';
import { checkFilters, type Filters, matchesPruneLabels } from '../filters.ts';
import type { ImageUsers } from '../images/images.ts';
import type { NetworkUsers } from '../networks/networks.ts';
import type { NetworkRecord } from '../networks/record.ts';
import { parseUntil } from '../times.ts';
import type { VolumeUsers } from '../volumes/volumes.ts';
import {
  listDirectory,
  type PathStat,
  readArchive,
  statPath,
  type WriteArchiveOptions,
  writeArchive,
} from './archive.ts';
import { type CommitOptions, commitContainer } from './commit.ts';
import { connectContainer, disconnectContainer } from './connect.ts';
import type { Container, WaitResult } from './container.ts';
import { type CreateResult, containerDirectory, createContainer } from './create.ts';
import { parseDetachKeys } from './detach-keys.ts';
import { type Exec, Execs } from './execs.ts';
import { HealthMonitor } from './health.ts';
import { inspectContainer } from './inspect.ts';
import { Lifecycle } from './lifecycle.ts';
import { listContainers, summaryView } from './list.ts';
import { frame, type LogQuery, readLogs } from './logs/reader.ts';
import { logPath } from './logs/target.ts';
import { type ContainerParts, publish } from './parts.ts';
import { isRunning } from './record.ts';
import { type RemoveOptions, removeContainer, removeLink } from './remove.ts';
import { containerStats, type StatsOptions } from './stats.ts';
import { killContainer, pauseContainer, type StopOptions, unpauseContainer } from './stop.ts';
import { bridge } from './streams.ts';
import { containerTop, type ProcessTable } from './top.ts';
import { updateContainer } from './update.ts';
import { preparePluginVolumes } from './volume-use.ts';

export interface AttachOptions {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  /** Send what has been logged so far first. */
  readonly logs: boolean;
  /** Stay attached. */
  readonly stream: boolean;
  readonly detachKeys: string | undefined;
}

export type WaitCondition = 'not-running' | 'next-exit' | 'removed';

/** The containers (swagger: Container and Exec operations), by name or id as clients give them. */
export class Containers {
  readonly execs: Execs;
  readonly #parts: ContainerParts;
  readonly #health: HealthMonitor;
  readonly #lifecycle: Lifecycle;

  constructor(parts: ContainerParts) {
    this.#parts = parts;
    this.execs = new Execs(parts);
    this.#health = new HealthMonitor(parts, (...probe) => this.execs.probe(...probe));
    this.#lifecycle = new Lifecycle(parts, this.#health);
  }

  get(reference: string): Container {
    return this.#parts.registry.get(reference);
  }

  all(): Container[] {
    return this.#parts.registry.all();
  }

  /** @param options.platform refuses an image that can't serve it */
  async create(request: CreateRequest, options: { name?: string; platform?: string }): Promise<CreateResult> {
    await preparePluginVolumes(this.#parts, request.HostConfig ?? {});
    return createContainer(this.#parts, request, options);
  }

  async start(reference: string): Promise<void> {
    await this.#lifecycle.start(this.get(reference));
  }

  async stop(reference: string, options: StopOptions): Promise<void> {
    await this.#lifecycle.stop(this.get(reference), options);
  }

  async restart(reference: string, options: StopOptions): Promise<void> {
    await this.#lifecycle.restart(this.get(reference), options);
  }

  async kill(reference: string, signal: string | undefined): Promise<void> {
    await killContainer(this.#parts, this.get(reference), signal);
  }

  async pause(reference: string): Promise<void> {
    const container = this.get(reference);
    await container.mutex.run(() => pauseContainer(this.#parts, container));
  }

  async unpause(reference: string): Promise<void> {
    const container = this.get(reference);
    await container.mutex.run(() => unpauseContainer(this.#parts, container));
  }

  async remove(reference: string, options: RemoveOptions): Promise<void> {
    await removeContainer(this.#parts, this.get(reference), options);
  }

  removeLink(name: string): void {
    removeLink(this.#parts, name);
  }

  rename(reference: string, name: string): void {
    const container = this.get(reference);
    const bare = name.replace(/^\//, '');
    if (!bare) throw invalidParameter('Neither old nor new names may be empty');
    const old = container.record.name;
    if (bare === old) {
      throw invalidParameter('Renaming a container with the same name as its current name');
    }
    this.#parts.registry.update(container, { name: bare });
    publish(this.#parts, container, 'rename', { oldName: `/${old}` });
  }

  update(reference: string, limits: Resources & { RestartPolicy?: RestartPolicy }): Promise<string[]> {
    const container = this.get(reference);
    return container.mutex.run(() => updateContainer(this.#parts, container, limits));
  }

  /** POST /containers/{id}/wait. Answers at once when it is already so. */
  wait(reference: string, condition: WaitCondition, signal: AbortSignal): Promise<WaitResult> {
    const container = this.get(reference);
    const { state } = container.record;
    if (condition === 'not-running' && state.status !== 'running' && state.status !== 'restarting') {
      return Promise.resolve({ exitCode: state.exitCode, error: state.error || undefined });
    }
    return container.waitFor(condition === 'removed' ? 'removed' : 'exit', signal);
  }

  inspect(reference: string, size?: { rw: number; rootFs: number }): object {
    const container = this.get(reference);
    return inspectContainer(this.#parts, container, this.#health.stateOf(container), size);
  }

  /** Bytes of the container's own layer, and of everything it sees. */
  async sizeOf(container: Container): Promise<{ rw: number; rootFs: number }> {
    const { size } = await this.#parts.snapshots.usage(container.id);
    let image = 0;
    try {
      image = this.#parts.images.get(container.record.imageId).size;
    } catch (error) {
      if (!isKind(error, 'notFound')) throw error;
    }
    return { rw: size, rootFs: size + image };
  }

  async list(options: { all: boolean; limit: number | undefined; filters: Filters; size: boolean }): Promise<object[]> {
    const health = (container: Container) => this.#health.stateOf(container);
    const found = listContainers(this.#parts, { ...options, health });
    return Promise.all(
      found.map(async (container) =>
        summaryView(this.#parts, container, health(container), options.size ? await this.sizeOf(container) : undefined),
      ),
    );
  }

  /** Attaches a client until the output ends or the client goes. Works before the start: nothing is missed then. */
  async attach(reference: string, options: AttachOptions, open: () => Duplex): Promise<void> {
    const container = this.get(reference);
    const { config, state } = container.record;
    if (state.status === 'running' && state.paused) {
      throw conflict(`container ${container.id} is paused, unpause the container before attach`);
    }
    const detach = parseDetachKeys(options.detachKeys);
    const stdin = options.stdin && (config.OpenStdin ?? false);
    const { stdout, stderr } = options;
    const process = options.stream
      ? await this.#parts.runtime.attach({
          key: container.id,
          stdin,
          stdout,
          stderr,
          closeStdin: config.StdinOnce ?? false,
        })
      : undefined;
    const client = open();
    publish(this.#parts, container, 'attach');
    if (options.logs) {
      const past = { stdout, stderr, timestamps: false, details: false, follow: false };
      for await (const chunk of this.#readLogs(container, past, AbortSignal.abort())) client.write(chunk);
    }
    if (!process) {
      client.end();
      return;
    }
    const filter = config.Tty && stdin ? detach : undefined;
    const onDetach = (): void => publish(this.#parts, container, 'detach');
    await bridge(client, process, { stdin, detach: filter, onDetach });
  }

  /** Throws when the container has no log that can be read. */
  checkLogs(reference: string): Container {
    const container = this.get(reference);
    if (container.record.hostConfig.LogConfig?.Type === 'none') {
      throw invalidParameter('configured logging driver does not support reading');
    }
    return container;
  }

  logs(container: Container, query: LogQuery, signal: AbortSignal): AsyncGenerator<Buffer> {
    return this.#readLogs(container, query, signal);
  }

  async *#readLogs(container: Container, query: LogQuery, signal: AbortSignal): AsyncGenerator<Buffer> {
    const ended = new AbortController();
    if (!isRunning(container.record)) ended.abort();
    else if (query.follow)
      void container.waitFor('exit', ended.signal).then(
        () => ended.abort(),
        () => {},
      );
    const path = logPath(containerDirectory(this.#parts.settings.dataRoot, container.id), container.record);
    const reader = new AbortController();
    const stop = (): void => reader.abort();
    if (query.follow) signal.addEventListener('abort', stop);
    try {
      yield* readLogs(path, query, !container.record.config.Tty, ended.signal, reader.signal);
    } finally {
      signal.removeEventListener('abort', stop);
      ended.abort();
    }
  }

  async resize(reference: string, rows: number, columns: number): Promise<void> {
    const container = this.get(reference);
    if (!isRunning(container.record)) throw conflict(`container ${container.id} is not running`);
    await this.#parts.runtime.resize(container.id, rows, columns);
    publish(this.#parts, container, 'resize', { height: String(rows), width: String(columns) });
  }

  async resizeExec(id: string, rows: number, columns: number): Promise<void> {
    const exec = this.execs.get(id);
    await this.#parts.runtime.resize(exec.id, rows, columns);
  }

  /** Starts an exec with a client on its streams; resolves when the streams have ended. */
  async startExec(exec: Exec, size: readonly [number, number] | undefined, open: () => Duplex): Promise<void> {
    this.execs.checkStart(exec);
    const detach = parseDetachKeys(exec.request.DetachKeys);
    const process = await this.execs.attach(exec);
    const client = open();
    const stdin = exec.request.AttachStdin ?? false;
    // Why it could not start has to be in the connection before a bridge without a process ends it.
    const told = Promise.withResolvers<void>();
    const done = bridge(client, process, {
      stdin,
      detach: exec.request.Tty && stdin ? detach : undefined,
      onDetach: () => publish(this.#parts, exec.container, 'exec_detach', { execID: exec.id }),
      until: Promise.all([exec.exited, told.promise]),
    });
    try {
      await this.execs.start(exec, size);
      told.resolve();
    } catch (error) {
      // The connection has been taken over: the reason goes into it, as dockerd does.
      const reason = `${(error as Error).message}\r\n`;
      client.end(exec.request.Tty ? reason : frame('stdout', reason));
      told.resolve();
      process.destroy();
      throw error;
    }
    await done;
  }

  async connect(reference: string, network: NetworkRecord, settings: EndpointSettings): Promise<void> {
    const container = this.get(reference);
    await container.mutex.run(() => connectContainer(this.#parts, container, network, settings));
  }

  async disconnect(reference: string, network: NetworkRecord, force: boolean): Promise<void> {
    const container = this.get(reference);
    await container.mutex.run(() => disconnectContainer(this.#parts, container, network, force));
  }

  commit(reference: string, options: CommitOptions, signal: AbortSignal): Promise<string> {
    const container = this.get(reference);
    return container.mutex.run(() => commitContainer(this.#parts, container, options, signal));
  }

  changes(reference: string): Promise<object[]> {
    const container = this.get(reference);
    return this.#parts.snapshots
      .changes(container.id)
      .then((changes) => changes.map(({ path, kind }) => ({ Path: path, Kind: kind })));
  }

  exportRoot(reference: string, signal: AbortSignal): AsyncIterable<Buffer> {
    const container = this.get(reference);
    publish(this.#parts, container, 'export');
    return this.#parts.snapshots.exportTar(container.id, signal);
  }

  stats(reference: string, options: StatsOptions, signal: AbortSignal): AsyncGenerator<object> {
    return containerStats(this.#parts, this.get(reference), options, signal);
  }

  async top(reference: string, psArguments: string): Promise<ProcessTable> {
    return containerTop(this.#parts, this.get(reference), psArguments);
  }

  async statPath(reference: string, path: string): Promise<PathStat> {
    return statPath(this.#parts, reference, path);
  }

  async listDirectory(reference: string, path: string): Promise<PathStat[]> {
    return listDirectory(this.#parts, reference, path);
  }

  async readArchive(
    reference: string,
    path: string,
    signal: AbortSignal,
    send: (stat: PathStat, tar: AsyncIterable<Buffer>) => Promise<void>,
  ): Promise<void> {
    await readArchive(this.#parts, reference, path, signal, send);
  }

  async writeArchive(
    reference: string,
    path: string,
    archive: AsyncIterable<Buffer>,
    options: WriteArchiveOptions,
  ): Promise<void> {
    await writeArchive(this.#parts, reference, path, archive, options);
  }

  /** POST /containers/prune: removes what doesn't run. */
  async prune(filters: Filters): Promise<{ deleted: string[]; reclaimed: number }> {
    checkFilters(filters, ['label', 'label!', 'until']);
    const until = filters.get('until')?.[0];
    const limit = until === undefined ? Number.POSITIVE_INFINITY : parseUntil(until);
    const deleted: string[] = [];
    let reclaimed = 0;
    for (const container of this.all()) {
      const { record } = container;
      if (record.state.status === 'running' || record.state.status === 'restarting') continue;
      if (Date.parse(record.created) > limit || !matchesPruneLabels(filters, record.config.Labels ?? {})) continue;
      const { rw } = await this.sizeOf(container);
      await this.remove(container.id, {}).catch(() => {});
      if (this.#parts.registry.byId(container.id)) continue;
      deleted.push(container.id);
      reclaimed += rw;
    }
    this.#parts.events.publish('container', 'prune', '', { reclaimed: String(reclaimed) });
    return { deleted, reclaimed };
  }

  /** An event of the shim's: an init process or an exec has ended. */
  async onShimEvent(event: ShimEvent): Promise<void> {
    if (event.event === 'logLoss') {
      const { key, lines, reason } = event;
      log.warn('log lines lost', { container: key, lines, reason });
      return;
    }
    const { process } = event;
    if (process.key === process.container) await this.#lifecycle.onExit(process);
    else await this.execs.onExit(process.key, process.exit);
  }

  get lifecycle(): Lifecycle {
    return this.#lifecycle;
  }
}

/** Who uses images, networks and volumes: the containers, answered from their records. */
export function usersOf(registry: ContainerParts['registry']): ImageUsers & NetworkUsers & VolumeUsers {
  return {
    containersUsing: (imageId) =>
      registry.usersOfImage(imageId).map((container) => ({ id: container.id, running: isRunning(container.record) })),
    usersOfVolume: (name) =>
      registry
        .all()
        .filter((container) => container.record.mounts.some((mount) => mount.type === 'volume' && mount.name === name))
        .map((container) => container.id),
    usersOfNetwork: (networkId) =>
      registry.all().flatMap((container) => {
        const { record } = container;
        const endpoint = Object.values(record.networks).find((candidate) => candidate.networkId === networkId);
        return endpoint ? [{ id: container.id, name: record.name, running: isRunning(record), ...endpoint }] : [];
      }),
  };
}
