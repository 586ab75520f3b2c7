import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import {
  conflict,
  EngineError,
  invalidParameter,
  isKind,
  messageOf,
  notFound,
  notImplemented,
  systemError,
} from '../../errors.ts';
import { isMounted, mountVolume, unmountVolume } from '../../runtime/volume-mount.ts';
import { measure } from '../../snapshots/changes.ts';
import type { DocumentStore } from '../../store/documents.ts';
import { apiTime } from '../clock.ts';
import type { Events } from '../events.ts';
import { booleanFilter, checkFilters, type Filters, matchesLabels, matchesPruneLabels } from '../filters.ts';
import { newId } from '../ids.ts';
import { Mutex } from '../mutex.ts';
import type { ManagedLookup } from '../plugins/plugin.ts';
import { checkLocalOptions, volumeSource } from './local-options.ts';
import { VolumePlugins } from './plugins.ts';

/** What is kept of a volume (swagger: Volume). Its name is its id. */
export interface VolumeRecord {
  readonly id: string;
  readonly name: string;
  /** `local`, or a plugin's name. */
  readonly driver: string;
  readonly created: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly options: Readonly<Record<string, string>>;
  readonly anonymous: boolean;
}

export interface VolumeCreateRequest {
  readonly Name?: string;
  readonly Driver?: string;
  readonly DriverOpts?: Readonly<Record<string, string>> | null;
  readonly Labels?: Readonly<Record<string, string>> | null;
}

/** A volume's place in a container. */
export interface VolumeUse {
  readonly destination: string;
  readonly rw: boolean;
  readonly propagation: string;
}

/** Who uses volumes; answered by the containers. */
export interface VolumeUsers {
  usersOfVolume(name: string): readonly string[];
}

const VALID_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;
const LOCAL = 'local';
const REMOVED = '.removed-';
const ANONYMOUS_LABEL = 'com.docker.volume.anonymous';

/** Volumes of the local driver: a directory each, `<data-root>/volumes/<name>/_data`; those with options are mounted there. */
export class Volumes {
  readonly #store: DocumentStore<VolumeRecord>;
  readonly #directory: string;
  readonly #events: Events;
  readonly #users: VolumeUsers;
  readonly #byName = new Map<string, VolumeRecord>();
  /** Volumes that containers have mounted now, and which. */
  readonly #live = new Map<string, Set<string>>();
  readonly #mutexes = new Map<string, Mutex>();
  readonly #plugins: VolumePlugins;

  constructor(parts: {
    store: DocumentStore<VolumeRecord>;
    dataRoot: string;
    events: Events;
    users: VolumeUsers;
    managed: ManagedLookup;
  }) {
    this.#plugins = new VolumePlugins(parts.managed);
    this.#store = parts.store;
    this.#directory = join(parts.dataRoot, 'volumes');
    this.#events = parts.events;
    this.#users = parts.users;
    mkdirSync(this.#directory, { recursive: true, mode: 0o701 });
    // Removals that a crash cut short.
    for (const name of readdirSync(this.#directory)) {
      if (name.startsWith(REMOVED))
        setImmediate(() => rmSync(join(this.#directory, name), { recursive: true, force: true }));
    }
    for (const volume of this.#store.all()) this.#byName.set(volume.name, volume);
  }

  mountpointOf(name: string): string {
    return join(this.#directory, name, '_data');
  }

  get(name: string): VolumeRecord {
    const volume = this.#byName.get(name);
    if (!volume) throw notFound(`get ${name}: no such volume`);
    return volume;
  }

  has(name: string): boolean {
    return this.#byName.has(name);
  }

  /** Whether there are volumes of a driver. */
  hasAnyOf(driver: string): boolean {
    return [...this.#byName.values()].some((volume) => volume.driver === driver);
  }

  /** Makes a volume; one that is there already is returned as it is, unless it is of another kind. */
  create(request: VolumeCreateRequest): VolumeRecord {
    const anonymous = !request.Name;
    const name = request.Name || newId();
    const driver = this.#plugins.nameOf(request.Driver || LOCAL);
    if (!VALID_NAME.test(name)) {
      throw invalidParameter(
        `create ${name}: ${JSON.stringify(name)} includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path`,
      );
    }
    const options = request.DriverOpts ?? {};
    const existing = this.#byName.get(name);
    if (existing) {
      if (request.Driver && existing.driver !== driver) throw conflict(`create ${name}: volume name must be unique`);
      return existing;
    }
    if (driver !== LOCAL) {
      this.#plugins.get(driver);
      throw notImplemented(`create ${name}: a volume of the plugin ${driver} needs a name`);
    }
    checkLocalOptions(name, options);
    const labels = anonymous ? { ...request.Labels, [ANONYMOUS_LABEL]: '' } : (request.Labels ?? {});
    mkdirSync(this.mountpointOf(name), { recursive: true });
    return this.#keep({ id: name, name, driver, created: apiTime(), labels, options, anonymous });
  }

  #keep(volume: VolumeRecord): VolumeRecord {
    this.#store.put(volume);
    this.#byName.set(volume.name, volume);
    this.#events.publish('volume', 'create', volume.name, { driver: volume.driver });
    return volume;
  }

  /** As create, for a volume that a plugin may have to make first. */
  async createAnywhere(request: VolumeCreateRequest): Promise<VolumeRecord> {
    const { Name: name, Driver: driver = LOCAL } = request;
    if (driver === LOCAL || driver === '' || !name || this.has(name)) return this.create(request);
    return await this.exclusive(name, async () => {
      if (this.has(name)) return this.create(request);
      const options = request.DriverOpts ?? {};
      let fullName: string;
      try {
        const plugin = this.#plugins.get(driver);
        fullName = plugin.name;
        await plugin.create(name, options);
      } catch (error) {
        const kind = isKind(error, 'notFound') || isKind(error, 'conflict') ? error.kind : 'system';
        throw new EngineError(kind, `create ${name}: ${messageOf(error)}`, error);
      }
      const labels = request.Labels ?? {};
      return this.#keep({ id: name, name, driver: fullName, created: apiTime(), labels, options, anonymous: false });
    });
  }

  /** As remove, for a volume that a plugin may have to remove first. */
  async removeAnywhere(name: string, force = false): Promise<void> {
    const volume = this.#byName.get(name);
    if (volume && volume.driver !== LOCAL) {
      this.#refuseInUse(name);
      try {
        await this.#plugins.get(volume.driver).remove(name);
      } catch (error) {
        // Forced, what the plugin has lost is forgotten here too.
        if (!force) throw systemError(`remove ${name}: ${messageOf(error)}`, error);
      }
    }
    this.remove(name, force);
  }

  #refuseInUse(name: string): void {
    const users = this.#users.usersOfVolume(name);
    if (users.length > 0) throw conflict(`remove ${name}: volume is in use - [${users.join(', ')}]`);
  }

  /** @param force a volume that isn't there is no error then */
  remove(name: string, force = false): void {
    if (!this.#byName.has(name)) {
      if (force) return;
      throw notFound(`get ${name}: no such volume`);
    }
    this.#refuseInUse(name);
    const { driver } = this.get(name);
    // Never behind a mount: what is deleted below must be the volume's own.
    unmountVolume(this.mountpointOf(name));
    this.#store.delete(name);
    this.#byName.delete(name);
    this.#discard(name);
    this.#events.publish('volume', 'destroy', name, { driver });
  }

  /**
   * A container is about to use the volume: one with options is mounted for its first user. Answered when it is there.
   * @param use what the event tells of the place
   * @returns where it is on this machine
   */
  async acquire(name: string, containerId: string, use: VolumeUse): Promise<string> {
    const { options, driver } = this.get(name);
    const source = driver === LOCAL ? volumeSource(options) : undefined;
    const users = this.#live.get(name) ?? new Set();
    this.#live.set(name, users);
    const already = users.has(containerId);
    users.add(containerId);
    if (source) {
      await this.exclusive(name, async () => {
        const target = this.mountpointOf(name);
        if (isMounted(target)) return;
        try {
          await mountVolume(source, target);
        } catch (error) {
          users.delete(containerId);
          throw systemError(`error while mounting volume '${target}': ${messageOf(error)}`, error);
        }
      });
    }
    let place = this.mountpointOf(name);
    if (driver !== LOCAL) {
      try {
        place = await this.#plugins.get(driver).mount(name, containerId);
      } catch (error) {
        users.delete(containerId);
        throw systemError(`error while mounting volume '': ${messageOf(error)}`, error);
      }
    }
    if (already) return place;
    const { destination, rw, propagation } = use;
    const attributes = { driver, container: containerId, destination, 'read/write': String(rw), propagation };
    this.#events.publish('volume', 'mount', name, attributes);
    return place;
  }

  /** A container has done with the volume; the last user's end unmounts it. Fine when it never had it. */
  async release(name: string, containerId: string): Promise<void> {
    const users = this.#live.get(name);
    if (!users?.delete(containerId)) return;
    const volume = this.#byName.get(name);
    if (!volume) return;
    this.#events.publish('volume', 'unmount', name, { driver: volume.driver, container: containerId });
    if (volume.driver !== LOCAL) await this.#plugins.get(volume.driver).unmount(name, containerId);
    if (this.isPlain(name)) return;
    await this.exclusive(name, async () => {
      if (users.size === 0) unmountVolume(this.mountpointOf(name));
    });
  }

  /** After the engine's start: running containers have their volumes already; mounts that nobody uses any more go. */
  restore(inUse: ReadonlyMap<string, readonly string[]>): void {
    for (const [name, containers] of inUse) this.#live.set(name, new Set(containers));
    for (const { name } of this.#byName.values()) {
      if (!this.isPlain(name) && !inUse.get(name)?.length) unmountVolume(this.mountpointOf(name));
    }
  }

  /** Whether a container other than this one uses it now. */
  isLive(name: string, exceptContainer: string): boolean {
    return [...(this.#live.get(name) ?? [])].some((id) => id !== exceptContainer);
  }

  /** Of the local driver and a directory of its own, or a plugin's: nothing is mounted by the engine. */
  isPlain(name: string): boolean {
    const { driver, options } = this.get(name);
    return driver !== LOCAL || volumeSource(options) === undefined;
  }

  /** Whether its folder is the engine's to replace. */
  isOwn(name: string): boolean {
    return this.isPlain(name) && this.get(name).driver === LOCAL;
  }

  /** One at a time for each volume: mounting and first filling. */
  exclusive<T>(name: string, work: () => Promise<T>): Promise<T> {
    const mutex = this.#mutexes.get(name) ?? new Mutex();
    this.#mutexes.set(name, mutex);
    return mutex.run(work);
  }

  /** Out of the way at once, deleted in the background. */
  #discard(name: string): void {
    const trash = join(this.#directory, `${REMOVED}${newId().slice(0, 12)}`);
    if (!existsSync(join(this.#directory, name))) return;
    renameSync(join(this.#directory, name), trash);
    setImmediate(() => rmSync(trash, { recursive: true, force: true }));
  }

  list(filters: Filters): VolumeRecord[] {
    checkFilters(filters, ['dangling', 'driver', 'label', 'name']);
    const dangling = booleanFilter(filters, 'dangling');
    return [...this.#byName.values()].filter(
      (volume) =>
        (!filters.has('name') || filters.get('name')!.some((value) => volume.name.includes(value))) &&
        (!filters.has('driver') || filters.get('driver')!.includes(volume.driver)) &&
        (dangling === undefined || dangling === (this.#users.usersOfVolume(volume.name).length === 0)) &&
        matchesLabels(filters, volume.labels),
    );
  }

  /** swagger: Volume */
  view(volume: VolumeRecord): object {
    const given = (record: Readonly<Record<string, string>>) => (Object.keys(record).length > 0 ? record : null);
    return {
      CreatedAt: volume.created,
      Driver: volume.driver,
      Labels: given(volume.labels),
      Mountpoint: volume.driver === LOCAL ? this.mountpointOf(volume.name) : '',
      Name: volume.name,
      Options: given(volume.options),
      Scope: 'local',
    };
  }

  /** For GET /system/df: every volume with its bytes and how many containers use it (swagger: Volume.UsageData). */
  usage(): Promise<object[]> {
    return Promise.all(
      [...this.#byName.values()].map(async (volume) => ({
        ...this.view(volume),
        UsageData: {
          // -1, as moby says it, when it went away meanwhile.
          Size: await this.#sizeOf(volume).catch(() => -1),
          RefCount: this.#users.usersOfVolume(volume.name).length,
        },
      })),
    );
  }

  /** What is mounted from elsewhere takes no room here. */
  #sizeOf(volume: VolumeRecord): Promise<number> {
    return this.isOwn(volume.name) ? measure(this.mountpointOf(volume.name)) : Promise.resolve(0);
  }

  /** Removes unused anonymous volumes, or all unused with filter all=true. @returns their names and bytes */
  async prune(filters: Filters): Promise<{ names: string[]; reclaimed: number }> {
    checkFilters(filters, ['all', 'label', 'label!']);
    const all = booleanFilter(filters, 'all') ?? false;
    const names: string[] = [];
    let reclaimed = 0;
    for (const volume of [...this.#byName.values()]) {
      if (!all && !volume.anonymous) continue;
      if (this.#users.usersOfVolume(volume.name).length > 0 || !matchesPruneLabels(filters, volume.labels)) continue;
      const size = await this.#sizeOf(volume);
      // Taken by a new container, or removed, while it was being measured.
      if (!this.has(volume.name) || this.#users.usersOfVolume(volume.name).length > 0) continue;
      await this.removeAnywhere(volume.name);
      names.push(volume.name);
      reclaimed += size;
    }
    this.#events.publish('volume', 'prune', '', { reclaimed: String(reclaimed) });
    return { names, reclaimed };
  }
}
