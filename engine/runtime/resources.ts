import { statSync } from 'node:fs';

import { invalidParameter } from '../errors.ts';
import type { Resources, ThrottleDevice } from '../model/container.ts';

const DEFAULT_CPU_PERIOD = 100_000;

const blockDevice = (path: string): { major: number; minor: number } => {
  try {
    return deviceNumbers(statSync(path).rdev);
  } catch (error) {
    throw invalidParameter(`no such device: ${path}`, error);
  }
};

/** A device number's parts, as makedev(3) packs them. */
export const deviceNumbers = (rdev: number): { major: number; minor: number } => ({
  major: Number((BigInt(rdev) >> 8n) & 0xfffn),
  minor: Number((BigInt(rdev) & 0xffn) | ((BigInt(rdev) >> 12n) & 0xfff00n)),
});

const throttle = (devices: readonly ThrottleDevice[] | null | undefined) =>
  devices?.length ? devices.map(({ Path = '', Rate = 0 }) => ({ ...blockDevice(Path), rate: Rate })) : undefined;

/** Limits of the API → `linux.resources` of the OCI runtime spec (v1 terms; the runtime translates to cgroup v2). */
export function ociResources(limits: Resources): object {
  const quota = limits.NanoCpus
    ? Math.round((limits.NanoCpus * DEFAULT_CPU_PERIOD) / 1e9)
    : limits.CpuQuota || undefined;
  const period = limits.NanoCpus ? DEFAULT_CPU_PERIOD : limits.CpuPeriod || undefined;
  return {
    memory: {
      limit: limits.Memory || undefined,
      reservation: limits.MemoryReservation || undefined,
      swap: swapLimit(limits),
      swappiness: limits.MemorySwappiness != null && limits.MemorySwappiness >= 0 ? limits.MemorySwappiness : undefined,
      disableOOMKiller: limits.OomKillDisable || undefined,
    },
    cpu: {
      shares: limits.CpuShares || undefined,
      quota,
      period,
      realtimePeriod: limits.CpuRealtimePeriod || undefined,
      realtimeRuntime: limits.CpuRealtimeRuntime || undefined,
      cpus: limits.CpusetCpus || undefined,
      mems: limits.CpusetMems || undefined,
    },
    pids: limits.PidsLimit ? { limit: limits.PidsLimit } : undefined,
    blockIO: {
      weight: limits.BlkioWeight || undefined,
      weightDevice: limits.BlkioWeightDevice?.length
        ? limits.BlkioWeightDevice.map(({ Path = '', Weight }) => ({ ...blockDevice(Path), weight: Weight }))
        : undefined,
      throttleReadBpsDevice: throttle(limits.BlkioDeviceReadBps),
      throttleWriteBpsDevice: throttle(limits.BlkioDeviceWriteBps),
      throttleReadIOPSDevice: throttle(limits.BlkioDeviceReadIOps),
      throttleWriteIOPSDevice: throttle(limits.BlkioDeviceWriteIOps),
    },
  };
}

/** Memory and swap together; absent, Docker gives as much swap as memory. */
function swapLimit(limits: Resources): number | undefined {
  if (limits.MemorySwap) return limits.MemorySwap;
  return limits.Memory ? limits.Memory * 2 : undefined;
}
