import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { conflict, invalidParameter, messageOf, notFound, notImplemented, systemError } from '../../errors.ts';
import { log } from '../../log.ts';
import type { ProcessInfo, ShimEvent } from '../../runtime/runtime.ts';
import { unmountVolume } from '../../runtime/volume-mount.ts';
import type { DocumentStore } from '../../store/documents.ts';
import type { Events } from '../events.ts';
import { booleanFilter, checkFilters, type Filters } from '../filters.ts';
import { newId } from '../ids.ts';
import type { Images } from '../images/images.ts';
import { Mutex } from '../mutex.ts';
import { capabilitiesOf } from './config.ts';
import type { Keep } from './image.ts';
import { fullName } from './names.ts';
import type { ManagedEndpoint } from './plugin.ts';
import { type PluginMachine, PluginProcess } from './process.ts';
import { type PluginRecord, pluginView } from './record.ts';
import { changeSettings, initialSettings } from './settings.ts';

/** What the engine asks plugins to do. */
const KNOWN_CAPABILITIES = ['volumedriver', 'authz'];

export interface ManagedParts extends PluginMachine {
  readonly store: DocumentStore<PluginRecord>;
  readonly images: Images;
  readonly events: Events;
}

/** A plugin with its process. */
interface Entry {
  record: PluginRecord;
  readonly process: PluginProcess;
  readonly mutex: Mutex;
}

/**
 * Managed plugins: installed from registries, run by the engine (swagger: Plugin). What is enabled comes back with the engine, is
 * taken over by the next one when this one is killed, and ends with it.
 */
export class ManagedPlugins {
  readonly #parts: ManagedParts;
  readonly #byId = new Map<string, Entry>();
  #inUse: (name: string) => boolean = () => false;
  #onDisable: (name: string) => void = () => {};

  constructor(parts: ManagedParts) {
    this.#parts = parts;
    for (const record of parts.store.all()) this.#enter(record);
    const base = join(parts.dataRoot, 'plugins');
    for (const id of existsSync(base) ? readdirSync(base) : []) {
      if (this.#byId.has(id)) continue;
      // A removal or an installation that a crash cut short; never delete behind a mount.
      unmountVolume(join(base, id));
      rmSync(join(base, id), { recursive: true, force: true });
    }
  }

  /** @param hooks.inUse whether volumes of the plugin are there; @param hooks.onDisable a plugin can't be asked any more */
  connect(hooks: { inUse: (name: string) => boolean; onDisable: (name: string) => void }): void {
    this.#inUse = hooks.inUse;
    this.#onDisable = hooks.onDisable;
  }

  #enter(record: PluginRecord): Entry {
    const entry: Entry = {
      record,
      process: new PluginProcess(this.#parts, record.id, () => entry.record),
      mutex: new Mutex(),
    };
    this.#byId.set(record.id, entry);
    return entry;
  }

  /** Whether an id, of a process or a snapshot, is a plugin's. */
  has(id: string): boolean {
    return this.#byId.has(id);
  }

  list(filters: Filters): object[] {
    checkFilters(filters, ['enabled', 'capability']);
    const enabled = booleanFilter(filters, 'enabled');
    const wanted = filters.get('capability');
    return [...this.#byId.values()]
      .filter(({ process }) => enabled === undefined || enabled === process.up)
      .filter(({ record }) => !wanted || capabilitiesOf(record.config).some((one) => wanted.includes(one)))
      .map(({ record, process }) => pluginView(record, process.up));
  }

  inspect(reference: string): object {
    const { record, process } = this.#get(reference);
    return pluginView(record, process.up);
  }

  /** By name, id, or the beginning of one. Throws in dockerd's words. */
  #get(reference: string): Entry {
    const found = this.#byId.get(reference) ?? this.#byName(reference);
    if (found) return found;
    const matches = /^[0-9a-f]+$/.test(reference)
      ? [...this.#byId.values()].filter(({ record }) => record.id.startsWith(reference))
      : [];
    if (matches.length > 1) throw invalidParameter(`multiple plugins found for ${JSON.stringify(reference)}`);
    if (!matches[0]) throw notFound(`plugin ${JSON.stringify(reference)} not found`);
    return matches[0];
  }

  #byName(reference: string): Entry | undefined {
    const name = fullName(reference);
    return name === undefined ? undefined : [...this.#byId.values()].find(({ record }) => record.name === name);
  }

  /** A plugin that is to be asked, by its name with or without tag. Throws conflict when it is disabled. */
  find(name: string): ManagedEndpoint | undefined {
    const entry = this.#byName(name);
    if (!entry) return undefined;
    const { record, process } = entry;
    if (!process.up) throw conflict(`plugin ${name} found but disabled`);
    return {
      name: record.name,
      where: { socketPath: process.socket },
      capabilities: capabilitiesOf(record.config),
      timeoutMs: record.timeout > 0 ? record.timeout * 1000 : undefined,
      hostPath: (path) => process.hostPath(path),
    };
  }

  /** The full name of a plugin that is installed here; any other name as it is. */
  nameOf(name: string): string {
    return this.#byName(name)?.record.name ?? name;
  }

  isTaken(name: string): boolean {
    return this.#byName(name) !== undefined;
  }

  /** What enters a new plugin once its image is here; it is disabled. */
  keeper(name: string, reference: string, entered: (record: PluginRecord) => void): { keep: Keep; undo: () => void } {
    let undo = (): void => {};
    const keep: Keep = (image, chainId) => {
      if (this.isTaken(name)) throw conflict(`plugin ${name} already exists`);
      const id = newId();
      const settings = initialSettings(image.config);
      const record: PluginRecord = { ...image, id, name, reference, enabled: false, timeout: 0, settings };
      undo = this.#parts.snapshots.prepare(id, chainId);
      this.#parts.store.put(record);
      entered(record);
    };
    return { keep, undo: () => undo() };
  }

  /** It is durable: from now on it is known. */
  add(record: PluginRecord): void {
    this.#enter(record);
  }

  /** @param work brings the new image; what it keeps takes the place of the old one, settings stay */
  async upgrade(reference: string, source: string, work: (keep: Keep) => Promise<void>): Promise<void> {
    const entry = this.#get(reference);
    await entry.mutex.run(async () => {
      const { snapshots, store, images } = this.#parts;
      if (entry.process.up) {
        throw conflict(`plugin must be disabled before upgrading: plugin ${entry.record.name} is enabled`);
      }
      let [undo, throwAway] = [(): void => {}, (): void => {}];
      let next = entry.record;
      try {
        await work((image, chainId) => {
          next = { ...entry.record, ...image, reference: source };
          throwAway = snapshots.forget(entry.record.id);
          undo = snapshots.prepare(entry.record.id, chainId);
          store.put(next);
        });
      } catch (error) {
        undo();
        throw error;
      }
      entry.record = next;
      throwAway();
      images.collect();
    });
  }

  /** @param reference is what events name, as with dockerd; @param timeout seconds */
  async enable(reference: string, timeout: number): Promise<void> {
    const entry = this.#get(reference);
    await entry.mutex.run(async () => {
      const { record, process } = entry;
      if (process.up) throw conflict(`plugin already enabled: plugin ${record.name} is enabled`);
      refuseUnknown(record);
      await process.start();
      this.#update(entry, { enabled: true, timeout });
      this.#publish(record.id, reference, 'enable');
    });
  }

  /** @param force also while there are volumes of it */
  async disable(reference: string, force: boolean): Promise<void> {
    const entry = this.#get(reference);
    await entry.mutex.run(async () => {
      const { record } = entry;
      if (!force && this.#inUse(record.name)) throw conflict(`plugin ${record.name} is in use`);
      await this.#disable(entry);
      this.#publish(record.id, reference, 'disable');
    });
  }

  async #disable(entry: Entry): Promise<void> {
    const { record, process } = entry;
    if (!process.up && !record.enabled) {
      throw conflict(`plugin is already disabled: plugin ${record.name} found but disabled`);
    }
    this.#onDisable(record.name);
    await process.stop();
    this.#update(entry, { enabled: false });
  }

  async remove(reference: string, force: boolean): Promise<void> {
    const entry = this.#get(reference);
    await entry.mutex.run(async () => {
      const { record, process } = entry;
      const { store, snapshots, images } = this.#parts;
      if (!force && this.#inUse(record.name)) throw conflict(`plugin ${record.name} is in use`);
      if (!force && process.up) throw conflict(`plugin ${record.name} is enabled`);
      if (process.up) await this.#disable(entry);
      let throwAway = (): void => {};
      store.together(() => {
        throwAway = snapshots.forget(record.id);
        store.delete(record.id);
      });
      this.#byId.delete(record.id);
      process.discard();
      throwAway();
      images.collect();
      this.#publish(record.id, reference, 'remove');
    });
  }

  async set(reference: string, wishes: readonly string[]): Promise<void> {
    const entry = this.#get(reference);
    await entry.mutex.run(() => {
      const { record, process } = entry;
      if (process.up) throw systemError('cannot set on an active plugin, disable plugin before setting');
      this.#update(entry, { settings: changeSettings(record.config, record.settings, wishes) });
    });
  }

  /** For a push. */
  recordOf(reference: string): PluginRecord {
    return this.#get(reference).record;
  }

  #update(entry: Entry, change: Partial<PluginRecord>): void {
    const record = { ...entry.record, ...change };
    this.#parts.store.put(record);
    entry.record = record;
  }

  #publish(id: string, name: string, action: string): void {
    this.#parts.events.publish('plugin', action, id, { name });
  }

  /**
   * After the engine's start, before containers start: what still runs is taken over, what is enabled and doesn't run is started.
   * One that doesn't come up stays enabled for the next time.
   */
  async restore(known: readonly ProcessInfo[]): Promise<void> {
    const byKey = new Map(known.map((process) => [process.key, process]));
    await Promise.all(
      [...this.#byId.values()].map(async ({ record, process }) => {
        const found = byKey.get(record.id);
        try {
          if (record.enabled && found && !found.exit) return await process.adopt(found);
          await process.clear(found);
          if (record.enabled) await process.start();
        } catch (error) {
          log.error('plugin not restored', { plugin: record.name, error: messageOf(error) });
        }
      }),
    );
  }

  /** @returns whether the event was of a plugin */
  onShimEvent(event: ShimEvent): boolean {
    const entry = event.event === 'exit' ? this.#byId.get(event.process.container) : undefined;
    if (!entry || event.event !== 'exit') return false;
    void entry.process.onExit(event.process.pid, event.process.exit);
    return true;
  }

  /** The shim has died, and its plugins with it. @param known what the next shim found */
  shimLost(known: readonly ProcessInfo[]): void {
    const alive = new Set(known.flatMap(({ key, exit }) => (exit ? [] : key)));
    for (const [id, { process }] of this.#byId) if (!alive.has(id)) void process.lost();
  }

  /** Ends all of them; they stay enabled. */
  async shutDown(): Promise<void> {
    await Promise.all(
      [...this.#byId.values()].map(({ record, process }) =>
        process
          .stop()
          .catch((error) => log.warn('plugin not stopped', { plugin: record.name, error: messageOf(error) })),
      ),
    );
  }
}

/** A plugin that does what this engine asks no plugin for would never be of use. */
function refuseUnknown({ name, config }: PluginRecord): void {
  const unknown = capabilitiesOf(config).filter((one) => !KNOWN_CAPABILITIES.includes(one));
  if (unknown.length === 0) return;
  throw notImplemented(
    `plugin ${name} implements ${unknown.join(', ')}: this engine has plugins for ${KNOWN_CAPABILITIES.join(' and ')} only`,
  );
}
