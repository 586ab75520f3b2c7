import { invalidParameter } from '../../errors.ts';
import type { ContainerConfig, HostConfig, Resources } from '../../model/container.ts';
import { normalizeCapability } from '../../runtime/capabilities.ts';
import { parseDeviceRule } from '../../runtime/devices.ts';
import { parseSignal } from '../../runtime/signals.ts';
import { checkLogConfig } from './logs/options.ts';
import { parseSecurityOptions } from './security-options.ts';

const MINIMUM_MEMORY = 6 * 1024 * 1024;
const ULIMITS = `core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack`.split(
  ' ',
);

/** Limits that Docker refuses, in its words. */
export function checkResources(limits: Resources): void {
  const { Memory = 0, MemorySwap = 0, MemoryReservation = 0, NanoCpus = 0, CpuPeriod = 0, CpuQuota = 0 } = limits;
  if (Memory !== 0 && Memory < MINIMUM_MEMORY) throw invalidParameter('Minimum memory limit allowed is 6MB');
  if (Memory > 0 && MemorySwap > 0 && MemorySwap < Memory) {
    throw invalidParameter('Minimum memoryswap limit should be larger than memory limit, see usage');
  }
  if (Memory === 0 && MemorySwap > 0) {
    throw invalidParameter('You should always set the Memory limit when using Memoryswap limit, see usage');
  }
  if (MemoryReservation !== 0 && MemoryReservation < MINIMUM_MEMORY) {
    throw invalidParameter('Minimum memory reservation allowed is 6MB');
  }
  if (Memory > 0 && MemoryReservation > Memory) {
    throw invalidParameter('Minimum memory limit can not be less than memory reservation limit, see usage');
  }
  const swappiness = limits.MemorySwappiness;
  if (swappiness != null && (swappiness < -1 || swappiness > 100)) {
    throw invalidParameter(`Invalid value: ${swappiness}, valid memory swappiness range is 0-100`);
  }
  if (NanoCpus !== 0 && (CpuPeriod !== 0 || CpuQuota !== 0)) {
    throw invalidParameter('Conflicting options: Nano CPUs and CPU Period/Quota cannot both be set');
  }
  if (CpuPeriod !== 0 && (CpuPeriod < 1000 || CpuPeriod > 1_000_000)) {
    throw invalidParameter('CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)');
  }
  if (CpuQuota > 0 && CpuQuota < 1000) throw invalidParameter('CPU cfs quota can not be less than 1ms (i.e. 1000)');
  if (limits.BlkioWeight && (limits.BlkioWeight < 10 || limits.BlkioWeight > 1000)) {
    throw invalidParameter('Range of blkio weight is from 10 to 1000');
  }
  if (limits.IOMaximumBandwidth || limits.IOMaximumIOps) {
    throw invalidParameter('Invalid QoS settings: linux does not support Maximum IO Bandwidth or Maximum IO IOps');
  }
  for (const { Name = '', Soft = 0, Hard = 0 } of limits.Ulimits ?? []) {
    if (!ULIMITS.includes(Name)) throw invalidParameter(`invalid ulimit type: ${Name}`);
    if (Hard >= 0 && (Soft < 0 || Soft > Hard)) {
      throw invalidParameter(`ulimit soft limit must be less than or equal to hard limit: ${Soft} > ${Hard}`);
    }
  }
}

function checkRestartPolicy(host: HostConfig): void {
  const { Name = '', MaximumRetryCount = 0 } = host.RestartPolicy ?? {};
  if (!['', 'no', 'always', 'unless-stopped', 'on-failure'].includes(Name)) {
    throw invalidParameter(
      `invalid restart policy: unknown policy '${Name}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'`,
    );
  }
  if (MaximumRetryCount < 0) throw invalidParameter('invalid restart policy: maximum retry count cannot be negative');
  if (MaximumRetryCount > 0 && Name !== 'on-failure') {
    throw invalidParameter(`invalid restart policy: maximum retry count can only be used with 'on-failure'`);
  }
  if (host.AutoRemove && Name && Name !== 'no') {
    throw invalidParameter("can't create 'AutoRemove' container with restart policy");
  }
}

function checkNetworkMode(config: ContainerConfig, host: HostConfig): void {
  const mode = host.NetworkMode ?? '';
  if (host.UTSMode === 'host' && config.Hostname) {
    throw invalidParameter('conflicting options: hostname and the UTS mode');
  }
  if (mode === 'host' && host.Links?.length) {
    throw invalidParameter(
      "conflicting options: host type networking can't be used with links. This would result in undefined behavior",
    );
  }
  if ((mode === 'host' || mode.startsWith('container:')) && config.MacAddress) {
    throw invalidParameter('conflicting options: mac-address and the network mode');
  }
  if (!mode.startsWith('container:')) return;
  if (mode === 'container:')
    throw invalidParameter('Invalid network mode: invalid container format container:<name|id>');
  if (config.Hostname) throw invalidParameter('conflicting options: hostname and the network mode');
  if (host.Links?.length)
    throw invalidParameter(
      "conflicting options: container type network can't be used with links. This would result in undefined behavior",
    );
  if (host.Dns?.length) throw invalidParameter('conflicting options: dns and the network mode');
  if (host.ExtraHosts?.length) {
    throw invalidParameter('conflicting options: custom host-to-IP mapping and the network mode');
  }
  if (Object.keys(host.PortBindings ?? {}).length || host.PublishAllPorts) {
    throw invalidParameter('conflicting options: port publishing and the container type network mode');
  }
  if (Object.keys(config.ExposedPorts ?? {}).length) {
    throw invalidParameter('conflicting options: port exposing and the container type network mode');
  }
}

/** Everything about a create request that can be refused without looking at the machine. */
export function checkCreate(config: ContainerConfig, host: HostConfig): void {
  checkResources(host);
  checkRestartPolicy(host);
  checkNetworkMode(config, host);
  if (config.StopSignal && parseSignal(config.StopSignal) === undefined) {
    throw invalidParameter(`invalid signal: ${config.StopSignal}`);
  }
  if (config.WorkingDir && !config.WorkingDir.startsWith('/')) {
    throw invalidParameter(`the working directory '${config.WorkingDir}' is invalid, it needs to be an absolute path`);
  }
  if (config.Hostname && config.Hostname.length > 64) throw invalidParameter(`invalid hostname: ${config.Hostname}`);
  for (const entry of config.Env ?? []) {
    if (entry === '' || entry.startsWith('=')) throw invalidParameter(`invalid environment variable: ${entry}`);
  }
  for (const name of host.CapAdd ?? []) normalizeCapability(name, 'CapAdd');
  for (const name of host.CapDrop ?? []) normalizeCapability(name, 'CapDrop');
  for (const rule of host.DeviceCgroupRules ?? []) parseDeviceRule(rule);
  for (const entry of host.ExtraHosts ?? []) {
    if (!/^[^:=]+[:=].+$/.test(entry))
      throw invalidParameter(`invalid extra host: ${JSON.stringify(entry)}: bad format for add-host`);
  }
  if ((host.ShmSize ?? 0) < 0) throw invalidParameter('SHM size can not be less than 0');
  const score = host.OomScoreAdj ?? 0;
  if (score < -1000 || score > 1000) {
    throw invalidParameter(`Invalid value ${score}, range for oom score adj is [-1000, 1000]`);
  }
  parseSecurityOptions(host.SecurityOpt ?? []);
  checkLogConfig(host.LogConfig);
  for (const name of Object.keys(config.ExposedPorts ?? {})) checkPort(name);
  for (const name of Object.keys(host.PortBindings ?? {})) checkPort(name);
  checkHealth(config);
  if (host.Isolation && host.Isolation !== 'default') {
    throw invalidParameter(`invalid isolation (${host.Isolation}) on linux`);
  }
  for (const [field, mode] of [
    ['PID', host.PidMode],
    ['UTS', host.UTSMode],
    ['user', host.UsernsMode],
  ] as const) {
    const joins = field === 'PID' && mode?.startsWith('container:');
    if (mode && mode !== 'host' && mode !== 'private' && !joins)
      throw invalidParameter(`invalid ${field} mode: ${mode}`);
  }
  const ipc = host.IpcMode ?? '';
  if (!['', 'none', 'private', 'shareable', 'host'].includes(ipc) && !ipc.startsWith('container:')) {
    throw invalidParameter(`invalid IPC mode: ${ipc}`);
  }
  if (!['', 'private', 'host'].includes(host.CgroupnsMode ?? '')) {
    throw invalidParameter(`invalid cgroup namespace mode: ${host.CgroupnsMode}`);
  }
  if (Object.keys(host.StorageOpt ?? {}).length > 0) {
    throw invalidParameter("--storage-opt is supported only for overlay over xfs with 'pquota' mount option");
  }
  if (host.DeviceRequests?.length) {
    const { Driver = '', Capabilities } = host.DeviceRequests[0] as { Driver?: string; Capabilities?: string[][] };
    const wanted = (Capabilities ?? []).map((all) => `[${all.join(' ')}]`).join(' ');
    throw invalidParameter(`could not select device driver ${JSON.stringify(Driver)} with capabilities: [${wanted}]`);
  }
}

function checkPort(name: string): void {
  const match = /^(\d+)(?:-(\d+))?(?:\/(tcp|udp|sctp))?$/.exec(name);
  const port = Number(match?.[1]);
  if (!match || port < 1 || port > 65535) throw invalidParameter(`invalid port specification: ${JSON.stringify(name)}`);
}

function checkHealth(config: ContainerConfig): void {
  const health = config.Healthcheck;
  if (!health) return;
  const minimum = 1e6;
  for (const [field, value] of [
    ['Interval', health.Interval],
    ['Timeout', health.Timeout],
    ['StartPeriod', health.StartPeriod],
    ['StartInterval', health.StartInterval],
  ] as const) {
    if (value && value < minimum) throw invalidParameter(`${field} in Healthcheck cannot be less than 1ms`);
  }
  if ((health.Retries ?? 0) < 0) throw invalidParameter('Retries in Healthcheck cannot be negative');
}
