import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { conflict, invalidParameter, notFound, notImplemented } from '../../errors.ts';
import { measure } from '../../snapshots/changes.ts';
import type { DocumentStore } from '../../store/documents.ts';
import { apiTime } from '../clock.ts';
import type { Events } from '../events.ts';
import { booleanFilter, checkFilters, type Filters, matchesLabels, matchesPruneLabels } from '../filters.ts';
import { newId } from '../ids.ts';

/** What is kept of a volume (swagger: Volume). Its name is its id. */
export interface VolumeRecord {
  readonly id: string;
  readonly name: string;
  readonly driver: 'local';
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

/** Who uses volumes; answered by the containers. */
export interface VolumeUsers {
  usersOfVolume(name: string): readonly string[];
}

const VALID_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;
const ANONYMOUS_LABEL = 'com.docker.volume.anonymous';

/** Volumes of the local driver: a directory each, `<data-root>/volumes/<name>/_data`. */
export class Volumes {
  readonly #store: DocumentStore<VolumeRecord>;
  readonly #directory: string;
  readonly #events: Events;
  readonly #users: VolumeUsers;
  readonly #byName = new Map<string, VolumeRecord>();

  constructor(parts: { store: DocumentStore<VolumeRecord>; dataRoot: string; events: Events; users: VolumeUsers }) {
    this.#store = parts.store;
    this.#directory = join(parts.dataRoot, 'volumes');
    this.#events = parts.events;
    this.#users = parts.users;
    mkdirSync(this.#directory, { recursive: true, mode: 0o701 });
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

  /** Makes a volume; one that is there already is returned as it is, unless it is of another kind. */
  create(request: VolumeCreateRequest): VolumeRecord {
    const anonymous = !request.Name;
    const name = request.Name || newId();
    const driver = request.Driver || 'local';
    if (!VALID_NAME.test(name)) {
      throw invalidParameter(
        `create ${name}: ${JSON.stringify(name)} includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path`,
      );
    }
    if (driver !== 'local') {
      throw notFound(
        `create ${name}: error looking up volume plugin ${driver}: plugin ${JSON.stringify(driver)} not found`,
      );
    }
    const options = request.DriverOpts ?? {};
    const existing = this.#byName.get(name);
    if (existing) return existing;
    for (const key of Object.keys(options)) {
      if (!['type', 'o', 'device', 'size'].includes(key)) {
        throw invalidParameter(`create ${name}: invalid option: ${JSON.stringify(key)}`);
      }
      // Better none than a volume that quietly isn't what was asked for.
      throw notImplemented(`create ${name}: option ${JSON.stringify(key)} is not supported by this engine`);
    }
    const labels = anonymous ? { ...request.Labels, [ANONYMOUS_LABEL]: '' } : (request.Labels ?? {});
    const volume: VolumeRecord = { id: name, name, driver: 'local', created: apiTime(), labels, options, anonymous };
    mkdirSync(this.mountpointOf(name), { recursive: true });
    this.#store.put(volume);
    this.#byName.set(name, volume);
    this.#events.publish('volume', 'create', name, { driver: 'local' });
    return volume;
  }

  /** @param force a volume that isn't there is no error then */
  remove(name: string, force = false): void {
    if (!this.#byName.has(name)) {
      if (force) return;
      throw notFound(`get ${name}: no such volume`);
    }
    const users = this.#users.usersOfVolume(name);
    if (users.length > 0) throw conflict(`remove ${name}: volume is in use - [${users.join(', ')}]`);
    this.#store.delete(name);
    this.#byName.delete(name);
    this.#discard(name);
    this.#events.publish('volume', 'destroy', name, { driver: 'local' });
  }

  /** Out of the way at once, deleted in the background. */
  #discard(name: string): void {
    const trash = join(this.#directory, `.removed-${newId().slice(0, 12)}`);
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
      Mountpoint: this.mountpointOf(volume.name),
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
          Size: await measure(this.mountpointOf(volume.name)).catch(() => -1),
          RefCount: this.#users.usersOfVolume(volume.name).length,
        },
      })),
    );
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
      const size = await measure(this.mountpointOf(volume.name));
      // Taken by a new container, or removed, while it was being measured.
      if (!this.has(volume.name) || this.#users.usersOfVolume(volume.name).length > 0) continue;
      this.remove(volume.name);
      names.push(volume.name);
      reclaimed += size;
    }
    this.#events.publish('volume', 'prune', '', { reclaimed: String(reclaimed) });
    return { names, reclaimed };
  }
}
