import { existsSync } from 'node:fs';
import { release } from 'node:os';

import type { ContainerConfig, HostConfig } from '../../model/container.ts';
import { effectiveCapabilities } from '../../runtime/capabilities.ts';
import { allDevices, grantDevices, parseDeviceRule } from '../../runtime/devices.ts';
import { ociResources } from '../../runtime/resources.ts';
import {
  baseMounts,
  type ContainerSpec,
  DEFAULT_DEVICE_RULES,
  MASKED_PATHS,
  type NamespaceChoice,
  type OciMount,
  type ProcessSpec,
  READONLY_PATHS,
  type SharedMemory,
} from '../../runtime/spec.ts';
import { type ProcessUser, resolveUser } from '../../runtime/user.ts';
import { type ContainerRecord, commandOf } from './record.ts';
import { parseSecurityOptions } from './security-options.ts';

const DEFAULT_PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const APPARMOR = existsSync('/sys/kernel/security/apparmor');
export const DEFAULT_SHM_SIZE = 64 * 1024 * 1024;

/** What only the machine and the other containers can tell. */
export interface SpecSurroundings {
  readonly rootfs: string;
  readonly network: NamespaceChoice;
  /** Namespaces of `container:<id>` modes, by kind. */
  readonly joined: Partial<Record<'pid' | 'ipc' | 'uts', NamespaceChoice>>;
  readonly mounts: readonly OciMount[];
  /** Directory that is this container's /dev/shm and others' too; undefined: its own, or the machine's. */
  readonly sharedMemory?: string | undefined;
  readonly cgroupPath: string;
  readonly cgroupVersion: 1 | 2;
  readonly bounding: readonly string[];
  readonly initPath: string;
  readonly initTarget: string;
}

/** Environment of a process: Docker's defaults, then the container's own, which win. */
export function environment(config: ContainerConfig, home: string, extra: readonly string[] = []): string[] {
  const variables = new Map<string, string>();
  const put = (entry: string): void => {
    const at = entry.indexOf('=');
    // A bare name unsets, as in Docker.
    if (at < 0) variables.delete(entry);
    else variables.set(entry.slice(0, at), entry);
  };
  put(DEFAULT_PATH);
  put(`HOSTNAME=${config.Hostname ?? ''}`);
  if (config.Tty) put('TERM=xterm');
  for (const entry of [...(config.Env ?? []), ...extra]) put(entry);
  if (!variables.has('HOME')) put(`HOME=${home}`);
  return [...variables.values()];
}

function rlimits(host: HostConfig): ProcessSpec['rlimits'] {
  return (host.Ulimits ?? []).map((limit) => ({
    type: `RLIMIT_${(limit.Name ?? '').toUpperCase()}`,
    soft: limit.Soft ?? 0,
    hard: limit.Hard ?? 0,
  }));
}

/** The process a container (or, with other arguments, an exec) runs. */
export function processSpec(
  record: ContainerRecord,
  bounding: readonly string[],
  rootfs: string,
  overrides: {
    readonly args: readonly string[];
    readonly user?: ProcessUser;
    readonly env?: readonly string[];
    readonly cwd?: string;
    readonly tty?: boolean;
    readonly privileged?: boolean;
  },
): ProcessSpec {
  const { config, hostConfig } = record;
  const user = overrides.user ?? resolveUser(rootfs, config.User ?? '', hostConfig.GroupAdd ?? []);
  const privileged = overrides.privileged ?? hostConfig.Privileged ?? false;
  const security = parseSecurityOptions(hostConfig.SecurityOpt ?? []);
  return {
    args: overrides.args,
    env: environment({ ...config, Tty: overrides.tty ?? config.Tty }, user.home, overrides.env),
    cwd: overrides.cwd || config.WorkingDir || '/',
    tty: overrides.tty ?? config.Tty ?? false,
    user,
    capabilities: effectiveCapabilities(privileged, hostConfig.CapAdd ?? [], hostConfig.CapDrop ?? [], bounding),
    noNewPrivileges: security.noNewPrivileges,
    // As dockerd: on a kernel without AppArmor the profile has no meaning.
    apparmorProfile: APPARMOR ? security.apparmor : undefined,
    rlimits: rlimits(hostConfig),
    oomScoreAdj: hostConfig.OomScoreAdj ?? 0,
  };
}

function namespaceOf(mode: string | undefined, joined: NamespaceChoice | undefined): NamespaceChoice {
  if (joined) return joined;
  return mode === 'host' ? 'host' : 'private';
}

/** `--ipc none` has no /dev/shm at all; `shareable` one that others can join. */
function sharedMemory(mode: string | undefined, path: string | undefined): SharedMemory {
  if (mode === 'none') return 'none';
  if (path) return { path };
  return mode === 'host' ? 'host' : 'private';
}

/** The whole of a container for the OCI runtime. */
export function containerSpec(record: ContainerRecord, around: SpecSurroundings): ContainerSpec {
  const { config, hostConfig } = record;
  const privileged = hostConfig.Privileged ?? false;
  const security = parseSecurityOptions(hostConfig.SecurityOpt ?? []);
  const ipc = hostConfig.IpcMode === 'none' ? 'private' : namespaceOf(hostConfig.IpcMode, around.joined.ipc);
  const pid = namespaceOf(hostConfig.PidMode, around.joined.pid);
  const cgroupMode = hostConfig.CgroupnsMode || (around.cgroupVersion === 2 && !privileged ? 'private' : 'host');
  const command = commandOf(config);
  const args = hostConfig.Init ? [around.initTarget, '--', ...command] : command;
  const grants = privileged ? allDevices() : (hostConfig.Devices ?? []).flatMap(grantDevices);
  const own = around.mounts;
  const covered = new Set(own.map((mount) => mount.destination));
  const base = baseMounts({
    writableSystem: privileged,
    shmSize: hostConfig.ShmSize || DEFAULT_SHM_SIZE,
    shm: sharedMemory(hostConfig.IpcMode, around.sharedMemory),
  }).filter((mount) => !covered.has(mount.destination));
  const init: OciMount[] = hostConfig.Init
    ? [{ destination: around.initTarget, type: 'bind', source: around.initPath, options: ['bind', 'ro'] }]
    : [];
  const exposed = privileged || security.unmasked;
  return {
    process: processSpec(record, around.bounding, around.rootfs, { args }),
    rootfs: around.rootfs,
    readonlyRootfs: hostConfig.ReadonlyRootfs ?? false,
    hostname: config.Hostname ?? '',
    domainname: config.Domainname ?? '',
    mounts: [...base, ...init, ...own],
    namespaces: {
      network: around.network,
      pid,
      ipc,
      uts: namespaceOf(hostConfig.UTSMode, around.joined.uts),
      cgroup: cgroupMode === 'private' ? 'private' : 'host',
    },
    cgroupPath: around.cgroupPath,
    resources: ociResources(hostConfig),
    devices: grants.map((grant) => grant.device),
    deviceRules: privileged
      ? [{ allow: true, access: 'rwm' }]
      : [
          ...DEFAULT_DEVICE_RULES,
          ...grants.map((grant) => grant.rule),
          ...(hostConfig.DeviceCgroupRules ?? []).map(parseDeviceRule),
        ],
    sysctls: sysctls(hostConfig, around.network),
    seccomp: privileged ? 'unconfined' : security.seccomp,
    maskedPaths: exposed ? [] : (hostConfig.MaskedPaths ?? MASKED_PATHS),
    readonlyPaths: exposed ? [] : (hostConfig.ReadonlyPaths ?? READONLY_PATHS),
    rootfsPropagation: own.some((mount) => mount.options.some((o) => /^r?shared$/.test(o)))
      ? 'shared'
      : own.some((mount) => mount.options.some((o) => /^r?slave$/.test(o)))
        ? 'slave'
        : undefined,
    annotations: hostConfig.Annotations ?? {},
    kernel: release(),
  };
}

/** With a network of its own, a container may use low ports and ping without capabilities, as in Docker. */
function sysctls(host: HostConfig, network: NamespaceChoice): Record<string, string> {
  const own: Record<string, string> =
    network === 'host'
      ? {}
      : { 'net.ipv4.ip_unprivileged_port_start': '0', 'net.ipv4.ping_group_range': '0 2147483647' };
  return { ...own, ...(host.Sysctls ?? {}) };
}
