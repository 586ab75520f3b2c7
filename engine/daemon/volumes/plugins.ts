import { notFound, systemError } from '../../errors.ts';
import { type Plugin, Plugins } from '../plugins/plugin.ts';

/** A volume driver that is a program of its own (https://docs.docker.com/engine/extend/plugins_volume/). */
export class VolumePlugin {
  readonly #plugin: Plugin;

  constructor(plugin: Plugin) {
    this.#plugin = plugin;
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
    return Mountpoint;
  }

  async unmount(name: string, id: string): Promise<void> {
    await this.#plugin.call('VolumeDriver.Unmount', { Name: name, ID: id });
  }
}

export class VolumePlugins {
  readonly #plugins = new Plugins('VolumeDriver');

  /** Throws in Docker's words when there is none. */
  get(name: string): VolumePlugin {
    const plugin = this.#plugins.find(name);
    if (plugin) return new VolumePlugin(plugin);
    throw notFound(`error looking up volume plugin ${name}: plugin ${JSON.stringify(name)} not found`);
  }
}
