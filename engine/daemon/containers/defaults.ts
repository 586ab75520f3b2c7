import type { HostConfig, Ulimit } from '../../model/container.ts';

/** What daemon.json gives to containers that don't say otherwise. It is written into each at its creation. */
export interface ContainerDefaults {
  readonly logDriver: string;
  readonly logOptions: Readonly<Record<string, string>>;
  /** Bytes. */
  readonly shmSize: number;
  readonly ipcMode: string;
  readonly cgroupnsMode: string;
  readonly cgroupParent: string;
  readonly ulimits: readonly Ulimit[];
  readonly init: boolean;
  readonly noNewPrivileges: boolean;
  /** As --security-opt seccomp= takes it; undefined: the engine's own profile. */
  readonly seccomp: string | undefined;
}

/** A new container's HostConfig with the daemon's defaults in its gaps. */
export function withDefaults(host: HostConfig, defaults: ContainerDefaults): HostConfig {
  const type = host.LogConfig?.Type || defaults.logDriver;
  // Options belong to a driver: those of the default one go with no other.
  const inherited = type === defaults.logDriver ? defaults.logOptions : {};
  const ulimits = host.Ulimits ?? [];
  const missing = defaults.ulimits.filter(({ Name }) => !ulimits.some((limit) => limit.Name === Name));
  return {
    ...host,
    LogConfig: { Type: type, Config: { ...inherited, ...host.LogConfig?.Config } },
    ShmSize: host.ShmSize || defaults.shmSize,
    IpcMode: host.IpcMode || defaults.ipcMode,
    CgroupnsMode:
      host.CgroupnsMode || (host.Privileged && defaults.cgroupnsMode === 'private' ? 'host' : defaults.cgroupnsMode),
    CgroupParent: host.CgroupParent || defaults.cgroupParent,
    ...(ulimits.length + missing.length > 0 ? { Ulimits: [...ulimits, ...missing] } : {}),
    Init: host.Init ?? (defaults.init ? true : undefined),
    ...securityOptions(host, defaults),
  };
}

function securityOptions(host: HostConfig, defaults: ContainerDefaults): Pick<HostConfig, 'SecurityOpt'> {
  const given = host.SecurityOpt ?? [];
  const names = (name: string): boolean =>
    given.some((option) => option === name || option.startsWith(`${name}=`) || option.startsWith(`${name}:`));
  const added: string[] = [];
  if (defaults.noNewPrivileges && !names('no-new-privileges')) added.push('no-new-privileges');
  if (defaults.seccomp !== undefined && !host.Privileged && !names('seccomp'))
    added.push(`seccomp=${defaults.seccomp}`);
  return added.length > 0 ? { SecurityOpt: [...given, ...added] } : {};
}
