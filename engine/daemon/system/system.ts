import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { arch, cpus, hostname, release, totalmem } from 'node:os';
import { promisify } from 'node:util';
import type { RuntimeChoice } from '../../runtime/choice.ts';

import type { Containers } from '../containers/containers.ts';
import type { Events } from '../events.ts';
import type { Images } from '../images/images.ts';
import { type DiskUsageParts, diskUsage } from './disk-usage.ts';
import { VERSION } from './identity.ts';
import { engineMetrics, type Metric } from './metrics.ts';
import { reloadAttributes } from './reload-event.ts';

const run = promisify(execFile);

const GO_ARCH: Record<string, string> = { x64: 'amd64', arm64: 'arm64' };
/** uname -m as Docker's `info` shows it. */
const MACHINE: Record<string, string> = { x64: 'x86_64', arm64: 'aarch64' };

export const goArch = (): string => GO_ARCH[arch()] ?? arch();

export interface SystemParts {
  readonly id: string;
  readonly dataRoot: string;
  readonly backingFilesystem: string;
  readonly cgroupVersion: 1 | 2;
  readonly runtimes: () => RuntimeChoice;
  readonly containers: Containers;
  readonly images: Images;
  readonly volumes: DiskUsageParts['volumes'];
  readonly buildCache: DiskUsageParts['buildCache'];
  readonly events: Events;
  /** daemon.json as it is followed now. */
  readonly config: () => DaemonSettings;
  readonly proxies: Readonly<Record<string, string | undefined>>;
}

/** The keys of daemon.json that the engine speaks of. */
export interface DaemonSettings {
  readonly debug?: boolean;
  readonly experimental?: boolean;
  readonly labels?: readonly string[];
  readonly 'authorization-plugins'?: readonly string[];
  readonly 'live-restore'?: boolean;
  readonly 'log-driver'?: string;
  readonly 'registry-mirrors'?: readonly string[];
  readonly 'insecure-registries'?: readonly string[];
  readonly 'seccomp-profile'?: string;
  readonly 'no-new-privileges'?: boolean;
}

interface ComponentVersion {
  readonly Name: string;
  readonly Version: string;
  readonly Details: Readonly<Record<string, string>>;
}

/** What the engine says of itself: GET /version, /info. */
export class System {
  readonly #parts: SystemParts;
  readonly #startedAt = new Date();
  #components: Promise<ComponentVersion[]> = Promise.resolve([]);
  #componentsOf: RuntimeChoice['runtimes'] | undefined;

  constructor(parts: SystemParts) {
    this.#parts = parts;
  }

  #runtimeComponents(): Promise<ComponentVersion[]> {
    const { runtimes } = this.#parts.runtimes();
    if (this.#componentsOf !== runtimes) {
      this.#componentsOf = runtimes;
      this.#components = Promise.all([...runtimes].map(([name, path]) => runtimeVersion(name, path)));
    }
    return this.#components;
  }

  async version(api: { version: string; minVersion: string }): Promise<object> {
    const own = {
      ApiVersion: api.version,
      Arch: goArch(),
      BuildTime: this.#startedAt.toISOString(),
      Experimental: 'false',
      GitCommit: 'skiff',
      GoVersion: `node ${process.version}`,
      KernelVersion: release(),
      MinAPIVersion: api.minVersion,
      Os: 'linux',
    };
    return {
      Platform: { Name: `Skiff Engine ${VERSION}` },
      Components: [
        { Name: 'Engine', Version: VERSION, Details: own },
        { Name: 'shim', Version: VERSION, Details: { GitCommit: 'skiff' } },
        ...(await this.#runtimeComponents()),
      ],
      Version: VERSION,
      ApiVersion: own.ApiVersion,
      MinAPIVersion: own.MinAPIVersion,
      GitCommit: own.GitCommit,
      GoVersion: own.GoVersion,
      Os: own.Os,
      Arch: own.Arch,
      KernelVersion: own.KernelVersion,
      BuildTime: own.BuildTime,
    };
  }

  /** GET /system/df. */
  diskUsage(types: readonly string[]): Promise<object> {
    return diskUsage(this.#parts, types);
  }

  /** Every key and how it stands now, as dockerd's own reload event tells. */
  publishReload(): void {
    this.#parts.events.publish('daemon', 'reload', this.#parts.id, {
      name: hostname(),
      ...reloadAttributes(this.#parts.config(), this.#parts.runtimes(), this.#parts.cgroupVersion),
    });
  }

  /** The names are dockerd's, where it has the same figure. */
  metrics(): Metric[] {
    return engineMetrics({ ...this.#parts, version: VERSION, states: this.#states() });
  }

  #states(): { total: number; running: number; paused: number; stopped: number } {
    const states = this.#parts.containers.all().map(({ record }) => record.state);
    const paused = states.filter((state) => state.status === 'running' && state.paused).length;
    const running = states.filter((state) => state.status === 'running').length - paused;
    return { total: states.length, running, paused, stopped: states.length - running - paused };
  }

  async info(): Promise<object> {
    const { id, images, cgroupVersion, dataRoot, events, proxies } = this.#parts;
    const { runtimes, defaultRuntime } = this.#parts.runtimes();
    const config = this.#parts.config();
    const registry = { mirrors: config['registry-mirrors'] ?? [], insecure: config['insecure-registries'] ?? [] };
    const states = this.#states();
    const components = await this.#runtimeComponents();
    const commit = (name: string): string => components.find((component) => component.Name === name)?.Version ?? 'N/A';
    const v2 = cgroupVersion === 2;
    return {
      ID: id,
      Containers: states.total,
      ContainersRunning: states.running,
      ContainersPaused: states.paused,
      ContainersStopped: states.stopped,
      Images: images.list({}).length,
      Driver: 'overlay2',
      DriverStatus: [
        ['Backing Filesystem', this.#parts.backingFilesystem],
        ['Supports d_type', 'true'],
        ['Native Overlay Diff', 'true'],
        ['userxattr', 'false'],
      ],
      Plugins: {
        Volume: ['local'],
        Network: ['bridge', 'host', 'ipvlan', 'macvlan', 'null'],
        Authorization: config['authorization-plugins'] ?? null,
        Log: ['json-file', 'local', 'none'],
      },
      MemoryLimit: true,
      SwapLimit: true,
      CpuCfsPeriod: true,
      CpuCfsQuota: true,
      CPUShares: true,
      CPUSet: true,
      PidsLimit: true,
      IPv4Forwarding: true,
      BridgeNfIptables: readFlag('/proc/sys/net/bridge/bridge-nf-call-iptables'),
      BridgeNfIp6tables: readFlag('/proc/sys/net/bridge/bridge-nf-call-ip6tables'),
      Debug: config.debug ?? false,
      NFd: openDescriptors(),
      OomKillDisable: !v2,
      NGoroutines: 1,
      SystemTime: new Date().toISOString(),
      LoggingDriver: config['log-driver'] ?? 'json-file',
      CgroupDriver: 'cgroupfs',
      CgroupVersion: String(cgroupVersion),
      NEventsListener: events.listeners,
      KernelVersion: release(),
      OperatingSystem: operatingSystem('PRETTY_NAME'),
      OSVersion: operatingSystem('VERSION_ID'),
      OSType: 'linux',
      Architecture: MACHINE[arch()] ?? arch(),
      IndexServerAddress: 'https://index.docker.io/v1/',
      RegistryConfig: {
        AllowNondistributableArtifactsCIDRs: null,
        AllowNondistributableArtifactsHostnames: null,
        InsecureRegistryCIDRs: ['::1/128', '127.0.0.0/8', ...registry.insecure.filter((entry) => entry.includes('/'))],
        IndexConfigs: {
          'docker.io': { Name: 'docker.io', Mirrors: registry.mirrors, Secure: true, Official: true },
          ...Object.fromEntries(
            registry.insecure
              .filter((entry) => !entry.includes('/'))
              .map((entry) => [entry, { Name: entry, Mirrors: [], Secure: false, Official: false }]),
          ),
        },
        Mirrors: registry.mirrors,
      },
      NCPU: cpus().length,
      MemTotal: totalmem(),
      GenericResources: null,
      DockerRootDir: dataRoot,
      HttpProxy: proxies.HTTP_PROXY ?? '',
      HttpsProxy: proxies.HTTPS_PROXY ?? '',
      NoProxy: proxies.NO_PROXY ?? '',
      Name: hostname(),
      Labels: config.labels ?? [],
      ExperimentalBuild: config.experimental ?? false,
      ServerVersion: VERSION,
      Runtimes: Object.fromEntries([...runtimes].map(([name, path]) => [name, { path }])),
      DefaultRuntime: defaultRuntime,
      Swarm: {
        NodeID: '',
        NodeAddr: '',
        LocalNodeState: 'inactive',
        ControlAvailable: false,
        Error: '',
        RemoteManagers: null,
      },
      LiveRestoreEnabled: config['live-restore'] ?? false,
      Isolation: '',
      InitBinary: 'docker-init',
      ContainerdCommit: { ID: `skiff-${VERSION}` },
      RuncCommit: { ID: commit(defaultRuntime) },
      InitCommit: { ID: 'tini' },
      SecurityOptions: [
        `name=seccomp,profile=${config['seccomp-profile'] || 'builtin'}`,
        ...(config['no-new-privileges'] ? ['name=no-new-privileges'] : []),
        ...(v2 ? ['name=cgroupns'] : []),
      ],
      CDISpecDirs: [],
      Warnings: null,
    };
  }
}

const openDescriptors = (): number => readdirSync('/proc/self/fd').length;

function readFlag(path: string): boolean {
  return existsSync(path) && readFileSync(path, 'utf8').trim() === '1';
}

function operatingSystem(field: string): string {
  const text = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
  return new RegExp(`^${field}="?([^"\n]*)"?$`, 'm').exec(text)?.[1] ?? 'Linux';
}

/** `crun --version` → "crun version 1.21", "commit: …". */
async function runtimeVersion(name: string, path: string): Promise<ComponentVersion> {
  try {
    const { stdout } = await run(path, ['--version']);
    const version = /version\s+(\S+)/.exec(stdout)?.[1] ?? 'unknown';
    const commit = /^commit:\s*(\S+)/m.exec(stdout)?.[1] ?? 'N/A';
    return { Name: name, Version: version, Details: { GitCommit: commit } };
  } catch {
    return { Name: name, Version: 'not installed', Details: { GitCommit: 'N/A' } };
  }
}
