import { anything, bool, int, list, map, object, type Shape, text, words } from '../model/shape.ts';

/** The request bodies of the API (swagger), as far as the engine reads them. The types are in engine/model and beside the nouns. */

const texts = list(text);
const labels = map(text);
const set = map(anything);
const size = list(int);

const healthConfig = object('HealthConfig', {
  Test: texts,
  Interval: int,
  Timeout: int,
  StartPeriod: int,
  StartInterval: int,
  Retries: int,
});

const config: Readonly<Record<string, Shape>> = {
  Hostname: text,
  Domainname: text,
  User: text,
  AttachStdin: bool,
  AttachStdout: bool,
  AttachStderr: bool,
  ExposedPorts: set,
  Tty: bool,
  OpenStdin: bool,
  StdinOnce: bool,
  Env: texts,
  Cmd: words,
  Healthcheck: healthConfig,
  ArgsEscaped: bool,
  Image: text,
  Volumes: set,
  WorkingDir: text,
  Entrypoint: words,
  NetworkDisabled: bool,
  MacAddress: text,
  OnBuild: texts,
  Labels: labels,
  StopSignal: text,
  StopTimeout: int,
  Shell: words,
};

const weightDevices = list(object('WeightDevice', { Path: text, Weight: int }));
const throttleDevices = list(object('ThrottleDevice', { Path: text, Rate: int }));

const resources: Readonly<Record<string, Shape>> = {
  CpuShares: int,
  Memory: int,
  CgroupParent: text,
  BlkioWeight: int,
  BlkioWeightDevice: weightDevices,
  BlkioDeviceReadBps: throttleDevices,
  BlkioDeviceWriteBps: throttleDevices,
  BlkioDeviceReadIOps: throttleDevices,
  BlkioDeviceWriteIOps: throttleDevices,
  CpuCount: int,
  CpuPercent: int,
  CpuPeriod: int,
  CpuQuota: int,
  CpuRealtimePeriod: int,
  CpuRealtimeRuntime: int,
  CpusetCpus: text,
  CpusetMems: text,
  Devices: list(object('DeviceMapping', { PathOnHost: text, PathInContainer: text, CgroupPermissions: text })),
  DeviceCgroupRules: texts,
  DeviceRequests: list(
    object('DeviceRequest', {
      Driver: text,
      Count: int,
      DeviceIDs: texts,
      Capabilities: list(texts),
      Options: labels,
    }),
  ),
  IOMaximumBandwidth: int,
  IOMaximumIOps: int,
  KernelMemory: int,
  KernelMemoryTCP: int,
  MemoryReservation: int,
  MemorySwap: int,
  MemorySwappiness: int,
  NanoCpus: int,
  OomKillDisable: bool,
  PidsLimit: int,
  Ulimits: list(object('Ulimit', { Name: text, Soft: int, Hard: int })),
};

const mount = object('Mount', {
  Type: text,
  Source: text,
  Target: text,
  ReadOnly: bool,
  Consistency: text,
  BindOptions: object('BindOptions', {
    Propagation: text,
    NonRecursive: bool,
    CreateMountpoint: bool,
    ReadOnlyNonRecursive: bool,
    ReadOnlyForceRecursive: bool,
  }),
  VolumeOptions: object('VolumeOptions', {
    NoCopy: bool,
    Labels: labels,
    DriverConfig: object('Driver', { Name: text, Options: labels }),
    Subpath: text,
  }),
  ImageOptions: object('ImageOptions', { Subpath: text }),
  TmpfsOptions: object('TmpfsOptions', { SizeBytes: int, Mode: int, Options: list(texts) }),
});

const restartPolicy = object('RestartPolicy', { Name: text, MaximumRetryCount: int });

const hostConfig = object('HostConfig', {
  ...resources,
  Binds: texts,
  ContainerIDFile: text,
  LogConfig: object('LogConfig', { Type: text, Config: labels }),
  NetworkMode: text,
  PortBindings: map(list(object('PortBinding', { HostIp: text, HostPort: text }))),
  RestartPolicy: restartPolicy,
  AutoRemove: bool,
  VolumeDriver: text,
  VolumesFrom: texts,
  Mounts: list(mount),
  ConsoleSize: size,
  Annotations: labels,
  CapAdd: words,
  CapDrop: words,
  CgroupnsMode: text,
  Dns: texts,
  DnsOptions: texts,
  DnsSearch: texts,
  ExtraHosts: texts,
  GroupAdd: texts,
  IpcMode: text,
  Cgroup: text,
  Links: texts,
  OomScoreAdj: int,
  PidMode: text,
  Privileged: bool,
  PublishAllPorts: bool,
  ReadonlyRootfs: bool,
  SecurityOpt: texts,
  StorageOpt: labels,
  Tmpfs: labels,
  UTSMode: text,
  UsernsMode: text,
  ShmSize: int,
  Sysctls: labels,
  Runtime: text,
  Isolation: text,
  MaskedPaths: texts,
  ReadonlyPaths: texts,
  Init: bool,
});

const endpointSettings = object('EndpointSettings', {
  IPAMConfig: object('EndpointIPAMConfig', { IPv4Address: text, IPv6Address: text, LinkLocalIPs: texts }),
  Links: texts,
  Aliases: texts,
  MacAddress: text,
  DriverOpts: labels,
  GwPriority: int,
});

export const containerConfig = object('ContainerConfig', config);

/** POST /containers/create */
export const createContainer = object('ContainerConfigWrapper', {
  ...config,
  HostConfig: hostConfig,
  NetworkingConfig: object('NetworkingConfig', { EndpointsConfig: map(endpointSettings) }),
});

/** POST /containers/{id}/update */
export const updateContainer = object('UpdateConfig', { ...resources, RestartPolicy: restartPolicy });

/** POST /containers/{id}/exec */
export const createExec = object('ExecOptions', {
  AttachStdin: bool,
  AttachStdout: bool,
  AttachStderr: bool,
  ConsoleSize: size,
  DetachKeys: text,
  Tty: bool,
  Env: texts,
  Cmd: words,
  Privileged: bool,
  User: text,
  WorkingDir: text,
});

/** POST /exec/{id}/start */
export const startExec = object('ExecStartOptions', { Detach: bool, Tty: bool, ConsoleSize: size });

/** POST /volumes/create */
export const createVolume = object('CreateOptions', {
  Name: text,
  Driver: text,
  DriverOpts: labels,
  Labels: labels,
  ClusterVolumeSpec: anything,
});

/** POST /networks/create */
export const createNetwork = object('CreateRequest', {
  Name: text,
  CheckDuplicate: bool,
  Driver: text,
  Scope: text,
  EnableIPv4: bool,
  EnableIPv6: bool,
  IPAM: object('IPAM', {
    Driver: text,
    Options: labels,
    Config: list(object('IPAMConfig', { Subnet: text, IPRange: text, Gateway: text, AuxiliaryAddresses: labels })),
  }),
  Internal: bool,
  Attachable: bool,
  Ingress: bool,
  ConfigOnly: bool,
  ConfigFrom: object('ConfigReference', { Network: text }),
  Options: labels,
  Labels: labels,
});

/** POST /networks/{id}/connect */
export const connectNetwork = object('ConnectOptions', { Container: text, EndpointConfig: endpointSettings });

/** POST /networks/{id}/disconnect */
export const disconnectNetwork = object('DisconnectOptions', { Container: text, Force: bool });

/** POST /auth */
export const authConfig = object('AuthConfig', {
  username: text,
  password: text,
  auth: text,
  email: text,
  serveraddress: text,
  identitytoken: text,
  registrytoken: text,
});
