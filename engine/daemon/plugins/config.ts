import { messageOf, systemError } from '../../errors.ts';
import { bool, int, list, map, object, type Shape, text } from '../../model/shape.ts';

/** Media type by which a registry's manifest says that it is a plugin's. */
export const PLUGIN_CONFIG_TYPE = 'application/vnd.docker.plugin.v1+json';

/** What of a plugin its user may change says so in `Settable`. */
interface Described {
  readonly Name: string;
  readonly Description: string;
  readonly Settable: readonly string[] | null;
}

export interface PluginMount extends Described {
  readonly Source: string | null;
  readonly Destination: string;
  readonly Type: string;
  readonly Options: readonly string[] | null;
}

export interface PluginDevice extends Described {
  readonly Path: string | null;
}

export interface PluginEnv extends Described {
  readonly Value: string | null;
}

export interface PluginArgs extends Described {
  readonly Value: readonly string[] | null;
}

/** A plugin's configuration, complete (swagger: Plugin.Config; https://docs.docker.com/engine/extend/config/). */
export interface PluginConfig {
  readonly DockerVersion?: string;
  readonly Description: string;
  readonly Documentation: string;
  readonly Interface: {
    /** `docker.volumedriver/1.0` */
    readonly Types: readonly string[] | null;
    /** Name of its socket in /run/docker/plugins, as it sees it. */
    readonly Socket: string;
    readonly ProtocolScheme?: string;
  };
  readonly Entrypoint: readonly string[] | null;
  readonly WorkDir: string;
  readonly User: { readonly UID?: number; readonly GID?: number };
  readonly Network: { readonly Type: string };
  readonly Linux: {
    readonly Capabilities: readonly string[] | null;
    readonly AllowAllDevices: boolean;
    readonly Devices: readonly PluginDevice[] | null;
  };
  readonly PropagatedMount: string;
  readonly IpcHost: boolean;
  readonly PidHost: boolean;
  readonly Mounts: readonly PluginMount[] | null;
  readonly Env: readonly PluginEnv[] | null;
  readonly Args: PluginArgs;
  readonly rootfs?: { readonly type?: string; readonly diff_ids?: readonly string[] };
}

const described = { Name: text, Description: text, Settable: list(text) };
const device = object('PluginDevice', { ...described, Path: text });
const fields: Readonly<Record<string, Shape>> = {
  DockerVersion: text,
  Description: text,
  Documentation: text,
  Interface: object('PluginConfigInterface', { Types: list(text), Socket: text, ProtocolScheme: text }),
  Entrypoint: list(text),
  WorkDir: text,
  User: object('PluginConfigUser', { UID: int, GID: int }),
  Network: object('PluginConfigNetwork', { Type: text }),
  Linux: object('PluginConfigLinux', { Capabilities: list(text), AllowAllDevices: bool, Devices: list(device) }),
  PropagatedMount: text,
  IpcHost: bool,
  PidHost: bool,
  Mounts: list(
    object('PluginMount', { ...described, Source: text, Destination: text, Type: text, Options: list(text) }),
  ),
  Env: list(object('PluginEnv', { ...described, Value: text })),
  Args: object('PluginConfigArgs', { ...described, Value: list(text) }),
  rootfs: object('PluginConfigRootfs', { type: text, diff_ids: list(text) }),
  Labels: map(text),
};
const shape = object('PluginConfig', fields);

/** What a decoded document may lack. */
type Given<T> = { readonly [K in keyof T]?: T[K] extends object | null ? Given<NonNullable<T[K]>> : T[K] };

/** Reads a plugin's config.json as dockerd does: names in any case, what is absent is empty. Throws in its words. */
export function parsePluginConfig(source: string): PluginConfig {
  let given: Given<PluginConfig>;
  try {
    given = shape.decode(JSON.parse(source), 'PluginConfig') as Given<PluginConfig>;
  } catch (error) {
    throw systemError(`failed to parse config: ${messageOf(error).replace(/^invalid JSON: /, '')}`, error);
  }
  const lists = <T>(value: unknown, complete: (entry: Given<T>) => T): T[] | null =>
    value === undefined ? null : (value as Given<T>[]).map(complete);
  const { Linux = {}, Interface = {}, Args = {} } = given;
  return {
    ...(given.DockerVersion ? { DockerVersion: given.DockerVersion } : {}),
    Description: given.Description ?? '',
    Documentation: given.Documentation ?? '',
    Interface: {
      Types: (Interface.Types as string[] | undefined) ?? null,
      Socket: Interface.Socket ?? '',
      ...(Interface.ProtocolScheme ? { ProtocolScheme: Interface.ProtocolScheme } : {}),
    },
    Entrypoint: (given.Entrypoint as string[] | undefined) ?? null,
    WorkDir: given.WorkDir ?? '',
    User: given.User ?? {},
    Network: { Type: given.Network?.Type ?? '' },
    Linux: {
      Capabilities: (Linux.Capabilities as string[] | undefined) ?? null,
      AllowAllDevices: Linux.AllowAllDevices ?? false,
      Devices: lists<PluginDevice>(Linux.Devices, (entry) => ({ ...describe(entry), Path: entry.Path ?? null })),
    },
    PropagatedMount: given.PropagatedMount ?? '',
    IpcHost: given.IpcHost ?? false,
    PidHost: given.PidHost ?? false,
    Mounts: lists<PluginMount>(given.Mounts, (entry) => ({
      ...describe(entry),
      Source: entry.Source ?? null,
      Destination: entry.Destination ?? '',
      Type: entry.Type ?? '',
      Options: (entry.Options as string[] | undefined) ?? null,
    })),
    Env: lists<PluginEnv>(given.Env, (entry) => ({ ...describe(entry), Value: entry.Value ?? null })),
    Args: { ...describe(Args), Value: (Args.Value as string[] | undefined) ?? null },
    ...(given.rootfs ? { rootfs: given.rootfs as NonNullable<PluginConfig['rootfs']> } : {}),
  };
}

const describe = (entry: Given<Described>): Described => ({
  Name: entry.Name ?? '',
  Description: entry.Description ?? '',
  Settable: (entry.Settable as string[] | undefined) ?? null,
});

/** `docker.volumedriver/1.0` → `volumedriver`; what isn't of that form is no capability. */
export const capabilitiesOf = (config: PluginConfig): string[] =>
  (config.Interface.Types ?? []).flatMap((type) => /^docker\.([^/]+)\/[\w.]+$/.exec(type)?.[1]?.toLowerCase() ?? []);

/** One thing a plugin asks for beyond what any container has (swagger: PluginPrivilege). */
export interface PluginPrivilege {
  readonly Name: string;
  readonly Description: string;
  readonly Value: readonly string[] | null;
}

/** What whoever installs the plugin must grant (moby: computePrivileges). */
export function privilegesOf(config: PluginConfig): PluginPrivilege[] {
  const { Network, Linux } = config;
  const wanted: [string, string, readonly string[] | undefined][] = [
    ['network', 'permissions to access a network', /^(null|bridge|)$/.test(Network.Type) ? undefined : [Network.Type]],
    ['host ipc namespace', 'allow access to host ipc namespace', config.IpcHost ? ['true'] : undefined],
    ['host pid namespace', 'allow access to host pid namespace', config.PidHost ? ['true'] : undefined],
    ...(config.Mounts ?? []).map(({ Source }): [string, string, string[] | undefined] => [
      'mount',
      'host path to mount',
      Source === null ? undefined : [Source],
    ]),
    ...(Linux.Devices ?? []).map(({ Path }): [string, string, string[] | undefined] => [
      'device',
      'host device to access',
      Path === null ? undefined : [Path],
    ]),
    ['allow-all-devices', "allow 'rwm' access to all devices", Linux.AllowAllDevices ? ['true'] : undefined],
    [
      'capabilities',
      'list of additional capabilities required',
      Linux.Capabilities?.length ? Linux.Capabilities : undefined,
    ],
  ];
  return wanted.flatMap(([Name, Description, Value]) => (Value ? { Name, Description, Value } : []));
}

/** Throws unless exactly what the plugin asks for was granted. */
export function checkPrivileges(config: PluginConfig, granted: readonly PluginPrivilege[]): void {
  const keys = (privileges: readonly PluginPrivilege[]): string =>
    JSON.stringify(privileges.map(({ Name, Value }) => JSON.stringify([Name, Value ?? []])).sort());
  if (keys(privilegesOf(config)) !== keys(granted)) throw systemError('incorrect privileges');
}
