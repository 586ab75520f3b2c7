import { systemError } from '../../errors.ts';
import type { PluginConfig, PluginDevice, PluginMount } from './config.ts';

/** What of a plugin's configuration its user has set (swagger: Plugin.Settings). */
export interface PluginSettings {
  readonly Mounts: readonly PluginMount[];
  readonly Env: readonly string[];
  readonly Args: readonly string[];
  readonly Devices: readonly PluginDevice[];
}

/** As the configuration has them. */
export function initialSettings(config: PluginConfig): PluginSettings {
  return {
    Mounts: config.Mounts ?? [],
    Env: (config.Env ?? []).flatMap(({ Name, Value }) => (Value === null ? [] : `${Name}=${Value}`)),
    Args: config.Args.Value ?? [],
    Devices: config.Linux.Devices ?? [],
  };
}

interface Wish {
  readonly name: string;
  readonly field: string;
  readonly value: string;
}

/** `<name>[.<field>][=<value>]` */
function parseWish(text: string): Wish {
  const at = text.indexOf('=');
  if (at === 0) throw systemError('invalid format, must be <name>[.<field>][=<value>]');
  const left = at < 0 ? text : text.slice(0, at);
  const value = at < 0 ? '' : text.slice(at + 1);
  const dot = left.lastIndexOf('.');
  return dot > 0 ? { name: left.slice(0, dot), field: left.slice(dot + 1), value } : { name: left, field: '', value };
}

/** Refuses what the plugin's author doesn't let be set. @param field the one thing that can be of this kind */
function checkSettable(wish: Wish, field: string, settable: readonly string[] | null): void {
  const allowed = settable ?? [];
  if (!wish.field && allowed.length > 1) throw systemError('multiple fields are settable, one must be specified');
  const wanted = wish.field || allowed[0];
  if (wanted === field && allowed.includes(field)) return;
  throw systemError(`${JSON.stringify(wish.field ? `${wish.name}.${wish.field}` : wish.name)} is not settable`);
}

/** `docker plugin set`: all of it, or an error in Docker's words. */
export function changeSettings(
  config: PluginConfig,
  before: PluginSettings,
  wishes: readonly string[],
): PluginSettings {
  return wishes.map(parseWish).reduce((settings, wish) => change(config, settings, wish), before);
}

function change(config: PluginConfig, settings: PluginSettings, wish: Wish): PluginSettings {
  const { name, value } = wish;
  const env = config.Env?.find(({ Name }) => Name === name);
  if (env) {
    checkSettable(wish, 'value', env.Settable);
    const entry = `${name}=${value}`;
    const known = settings.Env.some((old) => old.startsWith(`${name}=`));
    const replaced = settings.Env.map((old) => (old.startsWith(`${name}=`) ? entry : old));
    return { ...settings, Env: known ? replaced : [...replaced, entry] };
  }
  const mount = config.Mounts?.find(({ Name }) => Name === name);
  if (mount) {
    checkSettable(wish, 'source', mount.Settable);
    if (mount.Source === null) throw systemError('plugin config has no mount source');
    return { ...settings, Mounts: settings.Mounts.map((old) => (old.Name === name ? { ...old, Source: value } : old)) };
  }
  const device = config.Linux.Devices?.find(({ Name }) => Name === name);
  if (device) {
    checkSettable(wish, 'path', device.Settable);
    if (device.Path === null) throw systemError('plugin config has no device path');
    return { ...settings, Devices: settings.Devices.map((old) => (old.Name === name ? { ...old, Path: value } : old)) };
  }
  if (config.Args.Name === name) {
    checkSettable(wish, 'value', config.Args.Settable);
    return { ...settings, Args: value.split(' ') };
  }
  throw systemError(`setting ${JSON.stringify(name)} not found in the plugin configuration`);
}
