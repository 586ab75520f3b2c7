import { compileProfile, defaultSeccomp, type OciSeccomp } from './seccomp.ts';
import type { ProcessUser } from './user.ts';

/** One entry of the OCI runtime spec's `mounts`. */
export interface OciMount {
  readonly destination: string;
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
}

export interface OciDevice {
  readonly path: string;
  readonly type: 'c' | 'b' | 'p';
  readonly major: number;
  readonly minor: number;
  readonly fileMode: number;
  readonly uid: number;
  readonly gid: number;
}

export interface DeviceRule {
  readonly allow: boolean;
  readonly type?: string;
  readonly major?: number;
  readonly minor?: number;
  readonly access: string;
}

/** Which namespaces a container gets: its own ('private'), the machine's ('host'), or the one at a path. */
export type NamespaceChoice = 'private' | 'host' | { readonly path: string };

/** Where /dev/shm is: in a tmpfs of its own, the machine's, a directory's, or nowhere. */
export type SharedMemory = 'private' | 'host' | 'none' | { readonly path: string };

export type SeccompChoice = 'default' | 'unconfined' | { readonly profile: string };

export interface ProcessSpec {
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  readonly tty: boolean;
  readonly user: ProcessUser;
  readonly capabilities: readonly string[];
  readonly noNewPrivileges: boolean;
  readonly rlimits: readonly { readonly type: string; readonly soft: number; readonly hard: number }[];
  readonly oomScoreAdj?: number;
  readonly apparmorProfile?: string;
}

/** Everything that is decided about a container before the runtime hears of it. */
export interface ContainerSpec {
  readonly process: ProcessSpec;
  readonly rootfs: string;
  readonly readonlyRootfs: boolean;
  readonly hostname: string;
  readonly domainname: string;
  readonly mounts: readonly OciMount[];
  readonly namespaces: {
    readonly network: NamespaceChoice;
    readonly pid: NamespaceChoice;
    readonly ipc: NamespaceChoice;
    readonly uts: NamespaceChoice;
    readonly cgroup: NamespaceChoice;
  };
  readonly cgroupPath: string;
  readonly resources: object;
  readonly devices: readonly OciDevice[];
  readonly deviceRules: readonly DeviceRule[];
  readonly sysctls: Readonly<Record<string, string>>;
  readonly seccomp: SeccompChoice;
  readonly maskedPaths: readonly string[];
  readonly readonlyPaths: readonly string[];
  readonly rootfsPropagation?: string;
  readonly annotations: Readonly<Record<string, string>>;
  readonly kernel: string;
}

/** Paths of /proc and /sys that Docker hides from containers. */
export const MASKED_PATHS = [
  '/proc/asound',
  '/proc/acpi',
  '/proc/interrupts',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/sys/firmware',
  '/sys/devices/virtual/powercap',
];

/** Paths of /proc that Docker makes read-only. */
export const READONLY_PATHS = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'];

/** Docker's default device cgroup: mknod anything, use only the harmless ones. */
export const DEFAULT_DEVICE_RULES: readonly DeviceRule[] = [
  { allow: false, access: 'rwm' },
  { allow: true, type: 'c', access: 'm' },
  { allow: true, type: 'b', access: 'm' },
  { allow: true, type: 'c', major: 1, minor: 3, access: 'rwm' },
  { allow: true, type: 'c', major: 1, minor: 5, access: 'rwm' },
  { allow: true, type: 'c', major: 1, minor: 7, access: 'rwm' },
  { allow: true, type: 'c', major: 1, minor: 8, access: 'rwm' },
  { allow: true, type: 'c', major: 1, minor: 9, access: 'rwm' },
  { allow: true, type: 'c', major: 5, minor: 0, access: 'rwm' },
  { allow: true, type: 'c', major: 5, minor: 1, access: 'rwm' },
  { allow: true, type: 'c', major: 5, minor: 2, access: 'rwm' },
  { allow: true, type: 'c', major: 136, access: 'rwm' },
];

/** The mounts every container has, before its own. `writableSystem` is --privileged's. */
export function baseMounts(options: {
  readonly writableSystem: boolean;
  readonly shmSize: number;
  readonly shm: SharedMemory;
}): OciMount[] {
  const access = options.writableSystem ? 'rw' : 'ro';
  const mounts: OciMount[] = [
    { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] },
    {
      destination: '/dev',
      type: 'tmpfs',
      source: 'tmpfs',
      options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'],
    },
    {
      destination: '/dev/pts',
      type: 'devpts',
      source: 'devpts',
      options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'],
    },
    { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['nosuid', 'noexec', 'nodev', access] },
    {
      destination: '/sys/fs/cgroup',
      type: 'cgroup',
      source: 'cgroup',
      options: [access, 'nosuid', 'noexec', 'nodev'],
    },
    { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: ['nosuid', 'noexec', 'nodev'] },
  ];
  if (options.shm === 'private') {
    mounts.push({
      destination: '/dev/shm',
      type: 'tmpfs',
      source: 'shm',
      options: ['nosuid', 'noexec', 'nodev', 'mode=1777', `size=${options.shmSize}`],
    });
  } else if (options.shm !== 'none') {
    const source = options.shm === 'host' ? '/dev/shm' : options.shm.path;
    mounts.push({ destination: '/dev/shm', type: 'bind', source, options: ['rbind', 'rprivate'] });
  }
  return mounts;
}

/** The OCI `process` object, for config.json and for exec's process.json. */
export function ociProcess(spec: ProcessSpec): object {
  const capabilities = spec.capabilities;
  // A process that isn't root keeps capabilities only as a bound on what setuid programs may give it, as in Docker.
  const held = spec.user.uid === 0 ? capabilities : [];
  return {
    terminal: spec.tty,
    user: {
      uid: spec.user.uid,
      gid: spec.user.gid,
      additionalGids: spec.user.additionalGids,
      umask: 0o22,
    },
    args: spec.args,
    env: spec.env,
    cwd: spec.cwd,
    capabilities: { bounding: capabilities, effective: held, permitted: held },
    rlimits:
      spec.rlimits.length > 0
        ? spec.rlimits.map(({ type, soft, hard }) => ({ type, soft: unsigned(soft), hard: unsigned(hard) }))
        : undefined,
    noNewPrivileges: spec.noNewPrivileges,
    apparmorProfile: spec.apparmorProfile,
    oomScoreAdj: spec.oomScoreAdj,
  };
}

/** -1 is no limit; the runtime wants it as an unsigned 64-bit number, which no JavaScript number is. */
function unsigned(limit: number): unknown {
  return limit < 0 ? (JSON as unknown as RawJson).rawJSON(BigInt.asUintN(64, BigInt(limit)).toString()) : limit;
}

/** TC39's JSON.rawJSON, which TypeScript's library doesn't know yet. */
interface RawJson {
  rawJSON(text: string): unknown;
}

function seccompOf(spec: ContainerSpec): OciSeccomp | undefined {
  if (spec.seccomp === 'unconfined') return undefined;
  if (spec.seccomp === 'default') return defaultSeccomp(spec.process.capabilities);
  return compileProfile(spec.seccomp.profile, spec.process.capabilities, spec.kernel);
}

/** The OCI runtime specification's config.json of a container. */
export function ociSpec(spec: ContainerSpec): object {
  const namespaces: { type: string; path?: string }[] = [{ type: 'mount' }];
  for (const [type, choice] of Object.entries(spec.namespaces)) {
    if (choice === 'private') namespaces.push({ type });
    else if (choice !== 'host') namespaces.push({ type, path: choice.path });
  }
  return {
    ociVersion: '1.0.2',
    process: ociProcess(spec.process),
    root: { path: spec.rootfs, readonly: spec.readonlyRootfs },
    hostname: spec.namespaces.uts === 'host' ? undefined : spec.hostname,
    domainname: spec.namespaces.uts === 'host' ? undefined : spec.domainname || undefined,
    mounts: spec.mounts,
    annotations: spec.annotations,
    linux: {
      namespaces,
      cgroupsPath: spec.cgroupPath,
      resources: { ...spec.resources, devices: spec.deviceRules },
      devices: spec.devices,
      sysctl: spec.sysctls,
      seccomp: seccompOf(spec),
      maskedPaths: spec.maskedPaths,
      readonlyPaths: spec.readonlyPaths,
      rootfsPropagation: spec.rootfsPropagation,
    },
  };
}
