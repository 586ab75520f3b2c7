import { EngineError, notFound, systemError } from '../../errors.ts';
import { type ManagedLookup, type Plugin, Plugins } from '../plugins/plugin.ts';

/** A volume driver that is a program of its own (https://docs.docker.com/engine/extend/plugins_volume/). */
export class VolumePlugin {
  readonly #plugin: Plugin;

  constructor(plugin: Plugin) {
    this.#plugin = plugin;
  }

  /** With the tag of a managed plugin. */
  get name(): string {
    return this.#plugin.name;
  }

  async create(name: string, options: Readonly<Record<string, string>>): Promise<void> {
    await this.#plugin.call('VolumeDriver.Create', { Name: name, Opts: options });
  }

  async remove(name: string): Promise<void> {
    await this.#plugin.call('VolumeDriver.Remove', { Name: name });
  }

  /** @param id names the use, so that the plugin can count them. @returns where the volume is on this machine */
  async mount(name: string, id: string): Promise<string> {
    const { Mountpoint } = await this.#plugin.call('VolumeDriver.Mount', { Name: name, ID: id });
    if (typeof Mountpoint !== 'string' || !Mountpoint.startsWith('/')) {
      throw systemError(`VolumeDriver.Mount: plugin ${this.#plugin.name} gave no mountpoint`);
    }
    return this.#plugin.hostPath(Mountpoint);
  }

  async unmount(name: string, id: string): Promise<void> {
    await this.#plugin.call('VolumeDriver.Unmount', { Name: name, ID: id });
  }
}

export class VolumePlugins {
  readonly #plugins: Plugins;

  constructor(managed: ManagedLookup) {
    this.#plugins = new Plugins('VolumeDriver', managed);
  }

  /** Throws in Docker's words when there is none that can be asked. */
  get(name: string): VolumePlugin {
    try {
      const plugin = this.#plugins.find(name);
      if (plugin) return new VolumePlugin(plugin);
    } catch (error) {
      if (!(error instanceof EngineError)) throw error;
      throw new EngineError(error.kind, `error looking up volume plugin ${name}: ${error.message}`, error);
    }
    throw notFound(`error looking up volume plugin ${name}: plugin ${JSON.stringify(name)} not found`);
  }

  /** A driver's name with the tag of a managed plugin. */
  nameOf(driver: string): string {
    return this.#plugins.nameOf(driver);
  }
}
