import { join } from 'node:path';

import type { PortMap } from '../../model/container.ts';
import { ZERO_TIME } from '../clock.ts';
import { dnsNames } from '../networks/names.ts';
import { isPredefined } from '../networks/record.ts';
import type { Container } from './container.ts';
import { containerDirectory } from './create.ts';
import type { HealthState } from './health.ts';
import { logPath } from './logs/target.ts';
import type { ContainerParts } from './parts.ts';
import { type ContainerRecord, commandOf, type Endpoint, type MountPoint } from './record.ts';

/** State as inspect shows it (swagger: ContainerState). */
export function stateView(record: ContainerRecord, health: HealthState | undefined): object {
  const { state } = record;
  const status = state.status === 'running' && state.paused ? 'paused' : state.status;
  const base = {
    Status: status,
    Running: state.status === 'running' || state.status === 'restarting',
    Paused: status === 'paused',
    Restarting: state.status === 'restarting',
    OOMKilled: 'oomKilled' in state ? state.oomKilled : false,
    Dead: state.status === 'dead',
    Pid: state.status === 'running' ? state.pid : 0,
    ExitCode: state.status === 'running' ? 0 : state.exitCode,
    Error: state.status === 'running' ? '' : state.error,
    StartedAt: state.status === 'created' ? ZERO_TIME : state.startedAt,
    FinishedAt: state.status === 'created' ? ZERO_TIME : state.finishedAt,
  };
  return health ? { ...base, Health: health } : base;
}

/** swagger: MountPoint */
export function mountView(mount: MountPoint): object {
  return {
    Type: mount.type,
    Name: mount.name,
    Source: mount.source,
    Destination: mount.destination,
    Driver: mount.driver,
    Mode: mount.mode,
    RW: mount.rw,
    Propagation: mount.propagation,
  };
}

/** swagger: EndpointSettings */
export function endpointView(record: ContainerRecord, endpoint: Endpoint, name?: string): object {
  const { settings } = endpoint;
  return {
    IPAMConfig: settings.IPAMConfig ?? null,
    Links: settings.Links ?? null,
    Aliases: settings.Aliases ?? null,
    DriverOpts: settings.DriverOpts ?? null,
    GwPriority: settings.GwPriority ?? 0,
    NetworkID: endpoint.networkId,
    EndpointID: endpoint.endpointId,
    Gateway: endpoint.gateway,
    IPAddress: endpoint.ipAddress,
    MacAddress: endpoint.macAddress,
    IPPrefixLen: endpoint.prefix,
    IPv6Gateway: endpoint.ipv6Gateway ?? '',
    GlobalIPv6Address: endpoint.ipv6Address ?? '',
    GlobalIPv6PrefixLen: endpoint.ipv6Prefix ?? 0,
    DNSNames: name === undefined || isPredefined(name) ? null : dnsNames(record, endpoint),
  };
}

/** Every exposed port, with its bindings while it is published. */
export function portsView(record: ContainerRecord): PortMap {
  const ports: PortMap = {};
  if (record.state.status !== 'running') return ports;
  for (const name of Object.keys(record.config.ExposedPorts ?? {})) ports[name] = null;
  return { ...ports, ...record.ports };
}

/** GET /containers/{id}/json (swagger: ContainerInspectResponse). */
export function inspectContainer(
  parts: ContainerParts,
  container: Container,
  health: HealthState | undefined,
  size?: { readonly rw: number; readonly rootFs: number },
): object {
  const { record } = container;
  const { id, config, hostConfig } = record;
  const directory = containerDirectory(parts.settings.dataRoot, id);
  const [path = '', ...args] = commandOf(config);
  const first = record.networks.bridge;
  const ids = [...container.execs];
  return {
    Id: id,
    Created: record.created,
    Path: path,
    Args: args,
    State: stateView(record, health),
    Image: record.imageId,
    ResolvConfPath: join(directory, 'resolv.conf'),
    HostnamePath: join(directory, 'hostname'),
    HostsPath: join(directory, 'hosts'),
    LogPath: hostConfig.LogConfig?.Type === 'json-file' ? logPath(directory, record) : '',
    Name: `/${record.name}`,
    RestartCount: record.restartCount,
    Driver: 'overlay2',
    Platform: 'linux',
    MountLabel: '',
    ProcessLabel: '',
    AppArmorProfile: '',
    ExecIDs: ids.length > 0 ? ids : null,
    HostConfig: hostConfigView(record),
    GraphDriver: {
      Name: 'overlay2',
      Data: {
        ID: id,
        LowerDir: parts.snapshots.lowerDirs(id).join(':'),
        MergedDir: parts.runtime.rootfsOf(id),
        UpperDir: parts.snapshots.upperDir(id),
        WorkDir: join(parts.snapshots.upperDir(id), '../work'),
      },
    },
    ...(size ? { SizeRw: size.rw, SizeRootFs: size.rootFs } : {}),
    Mounts: record.mounts.filter((mount) => mount.type !== 'tmpfs' || !mount.mode).map(mountView),
    Config: configView(record),
    NetworkSettings: {
      Bridge: '',
      SandboxID: record.state.status === 'running' ? id : '',
      SandboxKey: record.state.status === 'running' ? parts.sandboxes.pathOf(id) : '',
      Ports: portsView(record),
      HairpinMode: false,
      LinkLocalIPv6Address: '',
      LinkLocalIPv6PrefixLen: 0,
      SecondaryIPAddresses: null,
      SecondaryIPv6Addresses: null,
      EndpointID: first?.endpointId ?? '',
      Gateway: first?.gateway ?? '',
      GlobalIPv6Address: first?.ipv6Address ?? '',
      GlobalIPv6PrefixLen: first?.ipv6Prefix ?? 0,
      IPAddress: first?.ipAddress ?? '',
      IPPrefixLen: first?.prefix ?? 0,
      IPv6Gateway: first?.ipv6Gateway ?? '',
      MacAddress: first?.macAddress ?? '',
      Networks: Object.fromEntries(
        Object.entries(record.networks).map(([name, endpoint]) => [name, endpointView(record, endpoint, name)]),
      ),
    },
  };
}

function configView(record: ContainerRecord): object {
  const { config } = record;
  return {
    Hostname: config.Hostname ?? '',
    Domainname: config.Domainname ?? '',
    User: config.User ?? '',
    AttachStdin: config.AttachStdin ?? false,
    AttachStdout: config.AttachStdout ?? false,
    AttachStderr: config.AttachStderr ?? false,
    ...(hasKeys(config.ExposedPorts) ? { ExposedPorts: config.ExposedPorts } : {}),
    Tty: config.Tty ?? false,
    OpenStdin: config.OpenStdin ?? false,
    StdinOnce: config.StdinOnce ?? false,
    Env: config.Env ?? [],
    Cmd: config.Cmd ?? null,
    ...(config.Healthcheck ? { Healthcheck: config.Healthcheck } : {}),
    Image: record.imageName,
    Volumes: hasKeys(config.Volumes) ? config.Volumes : null,
    WorkingDir: config.WorkingDir ?? '',
    Entrypoint: config.Entrypoint?.length ? config.Entrypoint : null,
    ...(config.NetworkDisabled ? { NetworkDisabled: true } : {}),
    ...(config.MacAddress ? { MacAddress: config.MacAddress } : {}),
    OnBuild: null,
    Labels: config.Labels ?? {},
    ...(config.StopSignal ? { StopSignal: config.StopSignal } : {}),
    ...(config.StopTimeout != null ? { StopTimeout: config.StopTimeout } : {}),
    ...(config.Shell?.length ? { Shell: config.Shell } : {}),
  };
}

const hasKeys = (object: object | null | undefined): boolean => object != null && Object.keys(object).length > 0;

/** HostConfig with every field the specification lists, as clients expect them. */
function hostConfigView(record: ContainerRecord): object {
  return {
    Binds: null,
    ContainerIDFile: '',
    PortBindings: {},
    AutoRemove: false,
    VolumeDriver: '',
    VolumesFrom: null,
    ConsoleSize: [0, 0],
    CapAdd: null,
    CapDrop: null,
    Dns: [],
    DnsOptions: [],
    DnsSearch: [],
    ExtraHosts: null,
    GroupAdd: null,
    Cgroup: '',
    Links: null,
    OomScoreAdj: 0,
    PidMode: '',
    Privileged: false,
    PublishAllPorts: false,
    ReadonlyRootfs: false,
    SecurityOpt: null,
    UTSMode: '',
    UsernsMode: '',
    Isolation: '',
    CpuShares: 0,
    Memory: 0,
    NanoCpus: 0,
    CgroupParent: '',
    BlkioWeight: 0,
    BlkioWeightDevice: [],
    BlkioDeviceReadBps: [],
    BlkioDeviceWriteBps: [],
    BlkioDeviceReadIOps: [],
    BlkioDeviceWriteIOps: [],
    CpuPeriod: 0,
    CpuQuota: 0,
    CpuRealtimePeriod: 0,
    CpuRealtimeRuntime: 0,
    CpusetCpus: '',
    CpusetMems: '',
    Devices: [],
    DeviceCgroupRules: null,
    DeviceRequests: null,
    MemoryReservation: 0,
    MemorySwap: record.hostConfig.Memory ? record.hostConfig.Memory * 2 : 0,
    MemorySwappiness: null,
    OomKillDisable: false,
    PidsLimit: null,
    Ulimits: [],
    CpuCount: 0,
    CpuPercent: 0,
    IOMaximumIOps: 0,
    IOMaximumBandwidth: 0,
    MaskedPaths: null,
    ReadonlyPaths: null,
    ...record.hostConfig,
  };
}
