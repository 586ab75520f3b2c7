import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { invalidParameter } from '../errors.ts';
import { type CgroupStats, machineCpu, readCgroupStats } from '../linux/cgroup-stats.ts';
import { Cgroup, prepareCgroupParent } from '../linux/cgroups.ts';
import { FilesRoot } from '../linux/files-root.ts';
import { type MachineLimits, readMachineLimits } from '../linux/machine-limits.ts';
import { MS, mount, mountsUnder, unmount } from '../linux/mount.ts';
import type { AttachRequest, LogTarget, ProcessInfo, StdioOptions } from '../shim/protocol.ts';
import type { RuntimeChoice } from './choice.ts';
import { mountInRoot } from './mount-view.ts';
import type { ShimClient } from './shim-client.ts';
import { type ContainerSpec, type OciMount, ociProcess, ociSpec, type ProcessSpec } from './spec.ts';

export type { CgroupStats } from '../linux/cgroup-stats.ts';
export type { FilesRoot } from '../linux/files-root.ts';
export type { MachineLimits } from '../linux/machine-limits.ts';
export type { AttachRequest, LogTarget, ProcessExit, ProcessInfo, ShimEvent, StdioOptions } from '../shim/protocol.ts';

/** Where containers' cgroups are, when nothing else is asked for. */
const CGROUP_PARENT = '/skiff';

export interface RuntimeOptions {
  readonly execRoot: string;
  readonly shim: ShimClient;
  /** Asked each time: a reload may change it. */
  readonly choice: () => RuntimeChoice;
}

/**
 * A container's processes: bundles, the OCI runtime, cgroups. What lies under exec-root lives as long as the machine is up.
 *
 *   exec-root/containers/<id>/{config.json, rootfs/}   the OCI bundle
 *   exec-root/runtimes/<name>/<id>                     the OCI runtime's own state
 */
export class Runtime {
  readonly #options: RuntimeOptions;
  readonly #limits: MachineLimits;

  constructor(options: RuntimeOptions) {
    this.#options = options;
    mkdirSync(join(options.execRoot, 'containers'), { recursive: true, mode: 0o711 });
    prepareCgroupParent(CGROUP_PARENT);
    this.#limits = readMachineLimits(CGROUP_PARENT);
  }

  get names(): ReadonlyMap<string, string> {
    return this.#options.choice().runtimes;
  }

  get defaultName(): string {
    return this.#options.choice().defaultRuntime;
  }

  /** What this machine can limit. */
  limits(): MachineLimits {
    return this.#limits;
  }

  /** A /dev/shm that other containers can join. */
  sharedMemoryOf(id: string): string {
    return join(this.bundleOf(id), 'shm');
  }

  /** Mounts it, for the length of the run. @param size bytes */
  makeSharedMemory(id: string, size: number): string {
    const path = this.sharedMemoryOf(id);
    mkdirSync(path, { recursive: true, mode: 0o711 });
    mount('shm', path, 'tmpfs', MS.nosuid | MS.nodev | MS.noexec, `mode=1777,size=${size}`);
    return path;
  }

  /** Makes the place for the n-th image that a container mounts; the caller mounts it, for the length of the run. */
  imagePlace(id: string, n: number): string {
    const path = join(this.#imagesOf(id), String(n));
    mkdirSync(path, { recursive: true, mode: 0o711 });
    return path;
  }

  #imagesOf(id: string): string {
    return join(this.bundleOf(id), 'images');
  }

  #unmountImages(id: string): void {
    const base = this.#imagesOf(id);
    if (existsSync(base)) for (const name of readdirSync(base)) unmount(join(base, name));
  }

  bundleOf(id: string): string {
    return join(this.#options.execRoot, 'containers', id);
  }

  /** Mount point of a running container's root. */
  rootfsOf(id: string): string {
    return join(this.bundleOf(id), 'rootfs');
  }

  cgroupOf(id: string, parent?: string): string {
    return join('/', parent || CGROUP_PARENT, id);
  }

  #cgroup(id: string, parent?: string): Cgroup {
    return new Cgroup(this.cgroupOf(id, parent));
  }

  /** Throws when there is no such runtime, in Docker's words. */
  checkName(name: string): void {
    if (!this.names.has(name)) throw invalidParameter(`unknown or invalid runtime name: ${name}`);
  }

  #stateRoot(name: string): string {
    return join(this.#options.execRoot, 'runtimes', name);
  }

  #command(name: string): string[] {
    const program = this.names.get(name);
    if (!program) throw invalidParameter(`unknown or invalid runtime name: ${name}`);
    return [program, '--root', this.#stateRoot(name)];
  }

  /** Makes the bundle's directories; the caller mounts the root at rootfsOf(id). */
  prepareBundle(id: string): void {
    mkdirSync(this.rootfsOf(id), { recursive: true, mode: 0o711 });
  }

  /** Starts the container's init process. Rejects with RuntimeFailed (the runtime's words). */
  start(
    id: string,
    runtime: string,
    spec: ContainerSpec,
    stdio: StdioOptions,
    log: LogTarget,
  ): Promise<{ pid: number; startedAt: number }> {
    const bundle = this.bundleOf(id);
    writeFileSync(join(bundle, 'config.json'), JSON.stringify(ociSpec(spec)));
    return this.#options.shim.request({
      op: 'run',
      key: id,
      bundle,
      runtime: this.#command(runtime || this.defaultName),
      stdio,
      log,
    });
  }

  /** Starts another process in a running container. Rejects with RuntimeFailed. */
  async exec(
    container: string,
    key: string,
    runtime: string,
    process: ProcessSpec,
    stdio: StdioOptions,
  ): Promise<{ pid: number; startedAt: number }> {
    const processFile = join(this.bundleOf(container), `exec-${key}.json`);
    writeFileSync(processFile, JSON.stringify(ociProcess(process)));
    try {
      const command = this.#command(runtime || this.defaultName);
      return await this.#options.shim.request({ op: 'exec', key, container, runtime: command, processFile, stdio });
    } finally {
      rmSync(processFile, { force: true });
    }
  }

  attach(request: Omit<AttachRequest, 'op'>): Promise<Socket> {
    return this.#options.shim.attach(request);
  }

  async signal(key: string, signal: number): Promise<boolean> {
    return (await this.#options.shim.request({ op: 'signal', key, signal })).delivered;
  }

  async resize(key: string, rows: number, columns: number): Promise<void> {
    await this.#options.shim.request({ op: 'resize', key, rows, columns });
  }

  async processes(): Promise<readonly ProcessInfo[]> {
    return (await this.#options.shim.request({ op: 'processes' })).processes;
  }

  /** The exit is noted; the shim may drop the process. Also ends clients that attached to one that never started. */
  async forget(key: string): Promise<void> {
    await this.#options.shim.request({ op: 'forget', key });
  }

  /** Changes the limits of a running container (`linux.resources` of the OCI runtime spec). */
  async update(id: string, runtime: string, resources: object): Promise<{ code: number; output: string }> {
    const file = join(this.bundleOf(id), 'resources.json');
    writeFileSync(file, JSON.stringify(resources));
    const argv = [...this.#command(runtime || this.defaultName), 'update', '--resources', file, id];
    return this.#options.shim.request({ op: 'invoke', argv });
  }

  oomKilled(id: string, parent?: string): boolean {
    return this.#cgroup(id, parent).oomKilled();
  }

  setFrozen(id: string, parent: string | undefined, frozen: boolean): void {
    this.#cgroup(id, parent).setFrozen(frozen);
  }

  stats(id: string, parent?: string): CgroupStats {
    return readCgroupStats(this.#cgroup(id, parent));
  }

  machineCpu(): ReturnType<typeof machineCpu> {
    return machineCpu();
  }

  pids(id: string, parent?: string): number[] {
    return this.#cgroup(id, parent).pids();
  }

  /**
   * Removes all that a run leaves under exec-root and in the cgroup file system. What `crun delete` would do, without a
   * process: kill what is left in the cgroup, remove it, forget the runtime's state. Safe to repeat.
   */
  cleanUp(id: string, runtime: string, parent?: string): void {
    const cgroup = this.#cgroup(id, parent);
    if (!cgroup.remove()) {
      cgroup.killAll();
      this.#removeLater(cgroup);
    }
    rmSync(join(this.#stateRoot(runtime || this.defaultName), id), { recursive: true, force: true });
    const bundle = this.bundleOf(id);
    unmount(this.rootfsOf(id));
    unmount(this.sharedMemoryOf(id));
    this.#unmountImages(id);
    rmSync(bundle, { recursive: true, force: true });
  }

  /** Killed processes leave their cgroup a moment after they die. */
  #removeLater(cgroup: Cgroup, tries = 20): void {
    setTimeout(() => {
      if (!cgroup.remove() && tries > 0) this.#removeLater(cgroup, tries - 1);
    }, 50).unref();
  }

  /** Files of a running container as its processes see them, mounts and all. The caller disposes of it. */
  liveFiles(pid: number): FilesRoot {
    return new FilesRoot(`/proc/${pid}/root`, '/');
  }

  /**
   * Files of a stopped container: its root must be mounted at rootfsOf(id); binds and volumes are added. The caller disposes
   * of it and calls `unmountFiles`. A crash leaves no more than a mount that the next start sweeps.
   */
  stoppedFiles(id: string, mounts: readonly OciMount[]): FilesRoot {
    const rootfs = this.rootfsOf(id);
    const root = new FilesRoot(rootfs, rootfs);
    try {
      for (const mount of mounts) if (mount.type === 'bind') mountInRoot(root, mount);
    } catch (error) {
      root[Symbol.dispose]();
      throw error;
    }
    return root;
  }

  unmountFiles(id: string): void {
    unmount(this.rootfsOf(id));
    this.#unmountImages(id);
    rmSync(this.bundleOf(id), { recursive: true, force: true });
  }

  /** Takes away all that a crash left of containers that don't run: mounts, processes, cgroups, bundles, runtimes' state. */
  sweep(keep: (containerId: string) => boolean): void {
    const base = join(this.#options.execRoot, 'containers');
    for (const point of mountsUnder(base)) {
      const id = point.slice(base.length + 1).split('/')[0]!;
      if (!keep(id)) unmount(point);
    }
    for (const id of readdirSync(base)) {
      if (keep(id)) continue;
      const parent = this.#cgroupParentOf(id);
      for (const name of this.names.keys()) this.cleanUp(id, name, parent);
    }
  }

  /** As the bundle says; undefined: the usual one. */
  #cgroupParentOf(id: string): string | undefined {
    try {
      const config = JSON.parse(readFileSync(join(this.bundleOf(id), 'config.json'), 'utf8'));
      return dirname(String(config.linux.cgroupsPath));
    } catch {
      // The start was cut short before it was written: nothing ran.
      return undefined;
    }
  }
}
