import { release } from 'node:os';

import { systemError } from '../../errors.ts';
import { effectiveCapabilities } from '../../runtime/capabilities.ts';
import { grantDevices } from '../../runtime/devices.ts';
import {
  baseMounts,
  type ContainerSpec,
  DEFAULT_DEVICE_RULES,
  MASKED_PATHS,
  type OciMount,
  READONLY_PATHS,
} from '../../runtime/spec.ts';
import type { PluginRecord } from './record.ts';

const PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const SHM_SIZE = 64 * 1024 * 1024;
/** Where a plugin makes its socket. */
const SOCKETS = '/run/docker/plugins';

/** What only the machine can tell. */
export interface PluginSurroundings {
  readonly rootfs: string;
  /** Folder on this machine that is the plugin's /run/docker/plugins. */
  readonly sockets: string;
  /** Folder on this machine that is its PropagatedMount. */
  readonly propagated: string;
  readonly cgroupPath: string;
  readonly bounding: readonly string[];
}

/** A plugin for the OCI runtime: a container that has what its configuration asks for, and was granted (moby: Plugin.InitSpec). */
export function pluginSpec(record: PluginRecord, around: PluginSurroundings): ContainerSpec {
  const { config, settings } = record;
  const { Linux, Network } = config;
  const own = pluginMounts(record, around);
  const covered = new Set(own.map(({ destination }) => destination));
  const base = baseMounts({ writableSystem: false, shmSize: SHM_SIZE, shm: 'private' });
  const grants = settings.Devices.flatMap(({ Path }) => grantDevices({ PathOnHost: Path ?? '' }));
  return {
    process: {
      args: [...(config.Entrypoint ?? []), ...settings.Args],
      env: [PATH, ...settings.Env],
      cwd: config.WorkDir || '/',
      tty: false,
      user: { uid: 0, gid: 0, additionalGids: [], home: '/' },
      capabilities: effectiveCapabilities(false, Linux.Capabilities ?? [], [], around.bounding),
      noNewPrivileges: false,
      rlimits: [],
    },
    rootfs: around.rootfs,
    readonlyRootfs: false,
    hostname: record.id.slice(0, 12),
    domainname: '',
    mounts: [...base.filter(({ destination }) => !covered.has(destination)), ...own],
    namespaces: {
      network: Network.Type === 'host' ? 'host' : 'private',
      pid: config.PidHost ? 'host' : 'private',
      ipc: config.IpcHost ? 'host' : 'private',
      uts: 'private',
      cgroup: 'host',
    },
    cgroupPath: around.cgroupPath,
    resources: {},
    devices: grants.map(({ device }) => device),
    deviceRules: Linux.AllowAllDevices
      ? [{ allow: true, access: 'rwm' }]
      : [...DEFAULT_DEVICE_RULES, ...grants.map(({ rule }) => rule)],
    sysctls: {},
    // As with dockerd: a plugin is let do what its capabilities allow.
    seccomp: 'unconfined',
    maskedPaths: MASKED_PATHS,
    readonlyPaths: READONLY_PATHS,
    rootfsPropagation: config.PropagatedMount ? 'rshared' : undefined,
    annotations: {},
    kernel: release(),
  };
}

function pluginMounts({ config, settings }: PluginRecord, around: PluginSurroundings): OciMount[] {
  const bind = (source: string, destination: string, ...options: string[]): OciMount => ({
    destination,
    type: 'bind',
    source,
    options: ['rbind', ...options],
  });
  return [
    ...(config.PropagatedMount ? [bind(around.propagated, config.PropagatedMount, 'rw', 'rshared')] : []),
    ...settings.Mounts.map(({ Source, Destination, Type, Options }): OciMount => {
      if (Source === null) throw systemError('mount source is not specified');
      return { destination: Destination, type: Type || 'bind', source: Source, options: Options ?? [] };
    }),
    bind(around.sockets, SOCKETS, 'rshared'),
    ...(config.Network.Type ? ['/etc/hosts', '/etc/resolv.conf'].map((path) => bind(path, path, 'ro')) : []),
  ];
}
