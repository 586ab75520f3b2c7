import type { Inspection } from '../../../electron/contract/containers.ts';
import { memoryText, type Part, portText } from './run-line.ts';

/** The parts of GET /containers/{id}/json and of an image's Config that decide how it was run. */
interface Config {
  Hostname?: string;
  Domainname?: string;
  User?: string;
  Env?: string[] | null;
  Cmd?: string[] | null;
  Entrypoint?: string[] | null;
  WorkingDir?: string;
  Labels?: Record<string, string> | null;
  ExposedPorts?: Record<string, object> | null;
  Tty?: boolean;
  OpenStdin?: boolean;
  StopSignal?: string;
  StopTimeout?: number | null;
  Healthcheck?: Health;
  Image?: string;
}

interface Health {
  Test?: string[];
  Interval?: number;
  Timeout?: number;
  Retries?: number;
  StartPeriod?: number;
}

interface HostConfig {
  AutoRemove?: boolean;
  Binds?: string[] | null;
  CapAdd?: string[] | null;
  CapDrop?: string[] | null;
  CpuShares?: number;
  CpusetCpus?: string;
  Devices?: { PathOnHost: string; PathInContainer: string; CgroupPermissions: string }[] | null;
  Dns?: string[] | null;
  ExtraHosts?: string[] | null;
  GroupAdd?: string[] | null;
  Init?: boolean | null;
  IpcMode?: string;
  LogConfig?: { Type?: string; Config?: Record<string, string> | null };
  Memory?: number;
  MemorySwap?: number;
  Mounts?: { Type: string; Source?: string; Target: string; ReadOnly?: boolean }[] | null;
  NanoCpus?: number;
  NetworkMode?: string;
  OomScoreAdj?: number;
  PidMode?: string;
  PidsLimit?: number | null;
  PortBindings?: Record<string, { HostIp?: string; HostPort?: string }[] | null> | null;
  Privileged?: boolean;
  PublishAllPorts?: boolean;
  ReadonlyRootfs?: boolean;
  RestartPolicy?: { Name?: string; MaximumRetryCount?: number };
  Runtime?: string;
  SecurityOpt?: string[] | null;
  ShmSize?: number;
  Sysctls?: Record<string, string> | null;
  Tmpfs?: Record<string, string> | null;
  Ulimits?: { Name: string; Soft: number; Hard: number }[] | null;
  VolumesFrom?: string[] | null;
}

interface Found {
  Id: string;
  Name: string;
  Config: Config;
  HostConfig: HostConfig;
  Mounts?: { Type: string; Name?: string; Source: string; Destination: string; RW: boolean }[];
  NetworkSettings?: {
    Networks?: Record<string, { Aliases?: string[] | null; IPAMConfig?: { IPv4Address?: string } | null }>;
  };
}

const DEFAULT_SHM = 64 * 1024 ** 2;

/** What `docker run` would have to be told to get this container again: all that differs from the image's and the engine's defaults. */
export function inspectionParts({ container, image }: Inspection): Part[] {
  const found = container as unknown as Found;
  const { Config: config, HostConfig: host } = found;
  const base = ((image as { Config?: Config } | undefined)?.Config ?? {}) as Config;
  const parts: Part[] = [];
  const flag = (on: unknown, name: string) => on && parts.push([name]);
  const option = (name: string, value: string | number | undefined) => value && parts.push([name, String(value)]);
  const options = (name: string, values: readonly string[] | null | undefined) => {
    for (const value of values ?? []) parts.push([name, value]);
  };

  if (config.OpenStdin && config.Tty) parts.push(['-dit']);
  else parts.push([`-d${config.OpenStdin ? 'i' : ''}${config.Tty ? 't' : ''}`]);
  option('--name', found.Name.replace(/^\//, ''));
  flag(host.AutoRemove, '--rm');
  identity(found, base, parts);
  options(
    '-e',
    (config.Env ?? []).filter((entry) => !(base.Env ?? []).includes(entry)),
  );
  labels(config, base, parts);
  ports(host, parts);
  volumes(found, parts);
  networks(found, parts);
  options('--dns', host.Dns);
  options('--add-host', host.ExtraHosts);
  restart(host, parts);
  limits(host, parts);
  flag(host.Privileged, '--privileged');
  options(
    '--cap-add',
    host.CapAdd?.map((name) => name.replace(/^CAP_/, '')),
  );
  options(
    '--cap-drop',
    host.CapDrop?.map((name) => name.replace(/^CAP_/, '')),
  );
  if (!host.Privileged) options('--security-opt', host.SecurityOpt);
  for (const { PathOnHost, PathInContainer, CgroupPermissions } of host.Devices ?? []) {
    const permissions = CgroupPermissions && CgroupPermissions !== 'rwm' ? `:${CgroupPermissions}` : '';
    const inside = PathInContainer !== PathOnHost || permissions ? `:${PathInContainer}` : '';
    parts.push(['--device', `${PathOnHost}${inside}${permissions}`]);
  }
  flag(host.ReadonlyRootfs, '--read-only');
  flag(host.Init, '--init');
  if (host.PidMode) option('--pid', host.PidMode);
  if (host.IpcMode && host.IpcMode !== 'private' && host.IpcMode !== 'shareable') option('--ipc', host.IpcMode);
  if (host.Runtime && host.Runtime !== 'runc' && host.Runtime !== 'crun') option('--runtime', host.Runtime);
  options('--group-add', host.GroupAdd);
  for (const [name, value] of Object.entries(host.Sysctls ?? {})) parts.push(['--sysctl', `${name}=${value}`]);
  for (const { Name, Soft, Hard } of host.Ulimits ?? []) parts.push(['--ulimit', `${Name}=${Soft}:${Hard}`]);
  logging(host, parts);
  ending(config, base, parts);
  health(config, base, parts);
  command(config, base, parts);
  return parts;
}

function identity({ Id, Config: config }: Found, base: Config, parts: Part[]): void {
  if (config.Hostname && config.Hostname !== Id.slice(0, 12)) parts.push(['--hostname', config.Hostname]);
  if (config.Domainname) parts.push(['--domainname', config.Domainname]);
  if (config.User && config.User !== (base.User ?? '')) parts.push(['--user', config.User]);
  if (config.WorkingDir && config.WorkingDir !== (base.WorkingDir || '')) parts.push(['--workdir', config.WorkingDir]);
}

function labels(config: Config, base: Config, parts: Part[]): void {
  for (const [name, value] of Object.entries(config.Labels ?? {})) {
    if (base.Labels?.[name] !== value) parts.push(['--label', `${name}=${value}`]);
  }
}

function ports(host: HostConfig, parts: Part[]): void {
  if (host.PublishAllPorts) parts.push(['-P']);
  for (const [key, bindings] of Object.entries(host.PortBindings ?? {})) {
    const [containerPort = '', protocol = 'tcp'] = key.split('/');
    for (const { HostIp = '', HostPort = '' } of bindings ?? []) {
      const port = { hostIp: HostIp, hostPort: HostPort, containerPort, protocol: protocol as 'tcp' };
      parts.push(['-p', portText(port)]);
    }
  }
}

function volumes({ HostConfig: host, Mounts }: Found, parts: Part[]): void {
  const named = new Set<string>();
  for (const bind of host.Binds ?? []) {
    parts.push(['-v', bind]);
    const target = bind.split(':')[1];
    if (target) named.add(target);
  }
  for (const { Type, Source, Target, ReadOnly } of host.Mounts ?? []) {
    const source = Source ? `,source=${Source}` : '';
    parts.push(['--mount', `type=${Type}${source},target=${Target}${ReadOnly ? ',readonly' : ''}`]);
    named.add(Target);
  }
  for (const [path, mode] of Object.entries(host.Tmpfs ?? {})) parts.push(['--tmpfs', mode ? `${path}:${mode}` : path]);
  if ((host.VolumesFrom ?? []).length > 0)
    for (const from of host.VolumesFrom ?? []) parts.push(['--volumes-from', from]);
  else {
    // Anonymous volumes: without their name, which would share the data with this container.
    for (const mount of Mounts ?? []) {
      if (mount.Type !== 'volume' || named.has(mount.Destination)) continue;
      parts.push(['-v', mount.Destination]);
    }
  }
}

function networks({ Id, HostConfig: host, NetworkSettings }: Found, parts: Part[]): void {
  const mode = host.NetworkMode ?? 'default';
  if (mode !== 'default' && mode !== 'bridge') parts.push(['--network', mode]);
  const joined = NetworkSettings?.Networks ?? {};
  for (const [name, { Aliases, IPAMConfig }] of Object.entries(joined)) {
    const own = name === mode || (mode === 'default' && name === 'bridge');
    if (own && name !== 'bridge') {
      if (IPAMConfig?.IPv4Address) parts.push(['--ip', IPAMConfig.IPv4Address]);
      for (const alias of Aliases ?? []) if (alias !== Id.slice(0, 12)) parts.push(['--network-alias', alias]);
    } else if (!own && !mode.startsWith('container:')) parts.push(['--network', name]);
  }
}

function restart({ RestartPolicy, AutoRemove }: HostConfig, parts: Part[]): void {
  const name = RestartPolicy?.Name;
  if (!name || name === 'no' || AutoRemove) return;
  const most = RestartPolicy.MaximumRetryCount;
  parts.push(['--restart', name === 'on-failure' && most ? `${name}:${most}` : name]);
}

function limits(host: HostConfig, parts: Part[]): void {
  if (host.NanoCpus) parts.push(['--cpus', String(host.NanoCpus / 1e9)]);
  if (host.CpuShares) parts.push(['--cpu-shares', String(host.CpuShares)]);
  if (host.CpusetCpus) parts.push(['--cpuset-cpus', host.CpusetCpus]);
  if (host.Memory) parts.push(['--memory', memoryText(host.Memory)]);
  // Twice the memory is the engine's own default.
  if (host.MemorySwap && host.MemorySwap !== (host.Memory ?? 0) * 2) {
    parts.push(['--memory-swap', host.MemorySwap < 0 ? '-1' : memoryText(host.MemorySwap)]);
  }
  if (host.PidsLimit && host.PidsLimit > 0) parts.push(['--pids-limit', String(host.PidsLimit)]);
  if (host.ShmSize && host.ShmSize !== DEFAULT_SHM) parts.push(['--shm-size', memoryText(host.ShmSize)]);
  if (host.OomScoreAdj) parts.push(['--oom-score-adj', String(host.OomScoreAdj)]);
}

function logging({ LogConfig }: HostConfig, parts: Part[]): void {
  const { Type, Config: set } = LogConfig ?? {};
  if (Type && Type !== 'json-file') parts.push(['--log-driver', Type]);
  for (const [name, value] of Object.entries(set ?? {})) parts.push(['--log-opt', `${name}=${value}`]);
}

function ending(config: Config, base: Config, parts: Part[]): void {
  const signal = config.StopSignal;
  if (signal && signal !== 'SIGTERM' && signal !== base.StopSignal) parts.push(['--stop-signal', signal]);
  if (config.StopTimeout) parts.push(['--stop-timeout', String(config.StopTimeout)]);
}

function health(config: Config, base: Config, parts: Part[]): void {
  const check = config.Healthcheck;
  if (!check?.Test || JSON.stringify(check) === JSON.stringify(base.Healthcheck)) return;
  const [kind, ...words] = check.Test;
  if (kind === 'NONE') {
    parts.push(['--no-healthcheck']);
    return;
  }
  parts.push(['--health-cmd', words.join(' ')]);
  const seconds = (name: string, nanos: number | undefined) => nanos && parts.push([name, `${nanos / 1e9}s`]);
  seconds('--health-interval', check.Interval);
  seconds('--health-timeout', check.Timeout);
  seconds('--health-start-period', check.StartPeriod);
  if (check.Retries) parts.push(['--health-retries', String(check.Retries)]);
}

/** The image and what follows it. An entrypoint with arguments of its own: `--entrypoint` takes the first word only. */
function command(config: Config, base: Config, parts: Part[]): void {
  const same = (a: string[] | null | undefined, b: string[] | null | undefined) =>
    JSON.stringify(a ?? []) === JSON.stringify(b ?? []);
  const image = [config.Image ?? 'IMAGE'];
  const cmd = config.Cmd ?? [];
  if (same(config.Entrypoint, base.Entrypoint)) {
    parts.push(image, ...(same(config.Cmd, base.Cmd) ? [] : cmd.map((word) => [word])));
    return;
  }
  const [first = '', ...more] = config.Entrypoint ?? [];
  parts.push(['--entrypoint', first], image, ...[...more, ...cmd].map((word) => [word]));
}
