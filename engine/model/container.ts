/**
 * The container nouns of the Docker Engine API (swagger: ContainerConfig, HostConfig, Resources, …), as clients send them.
 * Types only. Every field may be absent or null on the wire; what the engine keeps is the normalised form.
 */
type Maybe<T> = T | null | undefined;

export interface HealthConfig {
  /** [] inherit, ['NONE'], ['CMD', …] or ['CMD-SHELL', command]. */
  Test?: Maybe<string[]>;
  /** Durations in nanoseconds; 0 inherits the default. */
  Interval?: number;
  Timeout?: number;
  StartPeriod?: number;
  StartInterval?: number;
  Retries?: number;
}

export interface ContainerConfig {
  Hostname?: string;
  Domainname?: string;
  User?: string;
  AttachStdin?: boolean;
  AttachStdout?: boolean;
  AttachStderr?: boolean;
  ExposedPorts?: Maybe<Record<string, object>>;
  Tty?: boolean;
  OpenStdin?: boolean;
  StdinOnce?: boolean;
  Env?: Maybe<string[]>;
  Cmd?: Maybe<string[]>;
  Healthcheck?: Maybe<HealthConfig>;
  ArgsEscaped?: boolean;
  Image?: string;
  Volumes?: Maybe<Record<string, object>>;
  WorkingDir?: string;
  Entrypoint?: Maybe<string[]>;
  NetworkDisabled?: boolean;
  MacAddress?: string;
  OnBuild?: Maybe<string[]>;
  Labels?: Maybe<Record<string, string>>;
  StopSignal?: string;
  /** Seconds. */
  StopTimeout?: Maybe<number>;
  Shell?: Maybe<string[]>;
}

export interface PortBinding {
  HostIp?: string;
  HostPort?: string;
}

export type PortMap = Record<string, Maybe<PortBinding[]>>;

export interface RestartPolicy {
  Name?: '' | 'no' | 'always' | 'unless-stopped' | 'on-failure';
  MaximumRetryCount?: number;
}

export interface DeviceMapping {
  PathOnHost?: string;
  PathInContainer?: string;
  CgroupPermissions?: string;
}

export interface Ulimit {
  Name?: string;
  Soft?: number;
  Hard?: number;
}

export interface ThrottleDevice {
  Path?: string;
  Rate?: number;
}

export interface MountRequest {
  Type?: string;
  Source?: string;
  Target?: string;
  ReadOnly?: boolean;
  Consistency?: string;
  BindOptions?: Maybe<{
    Propagation?: string;
    NonRecursive?: boolean;
    CreateMountpoint?: boolean;
    ReadOnlyNonRecursive?: boolean;
    ReadOnlyForceRecursive?: boolean;
  }>;
  VolumeOptions?: Maybe<{
    NoCopy?: boolean;
    Labels?: Maybe<Record<string, string>>;
    DriverConfig?: Maybe<{ Name?: string; Options?: Maybe<Record<string, string>> }>;
    Subpath?: string;
  }>;
  ImageOptions?: Maybe<{ Subpath?: string }>;
  TmpfsOptions?: Maybe<{ SizeBytes?: number; Mode?: number; Options?: Maybe<string[][]> }>;
}

/** Limits (swagger: Resources). Sizes in bytes, CPU times in microseconds, NanoCpus in 1e-9 CPUs. */
export interface Resources {
  CpuShares?: number;
  Memory?: number;
  CgroupParent?: string;
  BlkioWeight?: number;
  BlkioWeightDevice?: Maybe<{ Path?: string; Weight?: number }[]>;
  BlkioDeviceReadBps?: Maybe<ThrottleDevice[]>;
  BlkioDeviceWriteBps?: Maybe<ThrottleDevice[]>;
  BlkioDeviceReadIOps?: Maybe<ThrottleDevice[]>;
  BlkioDeviceWriteIOps?: Maybe<ThrottleDevice[]>;
  CpuPeriod?: number;
  CpuQuota?: number;
  CpuRealtimePeriod?: number;
  CpuRealtimeRuntime?: number;
  CpusetCpus?: string;
  CpusetMems?: string;
  Devices?: Maybe<DeviceMapping[]>;
  DeviceCgroupRules?: Maybe<string[]>;
  DeviceRequests?: Maybe<object[]>;
  MemoryReservation?: number;
  MemorySwap?: number;
  MemorySwappiness?: Maybe<number>;
  NanoCpus?: number;
  OomKillDisable?: Maybe<boolean>;
  PidsLimit?: Maybe<number>;
  Ulimits?: Maybe<Ulimit[]>;
  /** Windows only. */
  IOMaximumIOps?: number;
  IOMaximumBandwidth?: number;
}

export interface HostConfig extends Resources {
  Binds?: Maybe<string[]>;
  ContainerIDFile?: string;
  LogConfig?: Maybe<{ Type?: string; Config?: Maybe<Record<string, string>> }>;
  NetworkMode?: string;
  PortBindings?: Maybe<PortMap>;
  RestartPolicy?: Maybe<RestartPolicy>;
  AutoRemove?: boolean;
  VolumeDriver?: string;
  VolumesFrom?: Maybe<string[]>;
  Mounts?: Maybe<MountRequest[]>;
  ConsoleSize?: Maybe<[number, number]>;
  Annotations?: Maybe<Record<string, string>>;
  CapAdd?: Maybe<string[]>;
  CapDrop?: Maybe<string[]>;
  CgroupnsMode?: string;
  Dns?: Maybe<string[]>;
  DnsOptions?: Maybe<string[]>;
  DnsSearch?: Maybe<string[]>;
  ExtraHosts?: Maybe<string[]>;
  GroupAdd?: Maybe<string[]>;
  IpcMode?: string;
  Cgroup?: string;
  Links?: Maybe<string[]>;
  OomScoreAdj?: number;
  PidMode?: string;
  Privileged?: boolean;
  PublishAllPorts?: boolean;
  ReadonlyRootfs?: boolean;
  SecurityOpt?: Maybe<string[]>;
  StorageOpt?: Maybe<Record<string, string>>;
  Tmpfs?: Maybe<Record<string, string>>;
  UTSMode?: string;
  UsernsMode?: string;
  ShmSize?: number;
  Sysctls?: Maybe<Record<string, string>>;
  Runtime?: string;
  Isolation?: string;
  MaskedPaths?: Maybe<string[]>;
  ReadonlyPaths?: Maybe<string[]>;
  Init?: Maybe<boolean>;
}

export interface EndpointSettings {
  IPAMConfig?: Maybe<{ IPv4Address?: string; IPv6Address?: string; LinkLocalIPs?: Maybe<string[]> }>;
  Links?: Maybe<string[]>;
  Aliases?: Maybe<string[]>;
  MacAddress?: string;
  DriverOpts?: Maybe<Record<string, string>>;
  GwPriority?: number;
}

export interface NetworkingConfig {
  EndpointsConfig?: Maybe<Record<string, Maybe<EndpointSettings>>>;
}

export interface CreateRequest extends ContainerConfig {
  HostConfig?: Maybe<HostConfig>;
  NetworkingConfig?: Maybe<NetworkingConfig>;
}
