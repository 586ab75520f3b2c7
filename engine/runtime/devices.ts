import { readdirSync, type Stats, statSync } from 'node:fs';
import { join } from 'node:path';

import { invalidParameter, systemError } from '../errors.ts';
import type { DeviceMapping } from '../model/container.ts';
import { deviceNumbers } from './resources.ts';
import type { DeviceRule, OciDevice } from './spec.ts';

/** Directories of /dev that are mounts of their own or have no devices for containers. */
const SKIPPED = new Set(['pts', 'shm', 'fd', 'mqueue', 'console', '.lxc', '.lxd-mounts', '.udev']);

export interface DeviceGrant {
  readonly device: OciDevice;
  readonly rule: DeviceRule;
}

function describe(info: Stats, target: string, access: string): DeviceGrant {
  const type = info.isBlockDevice() ? 'b' : 'c';
  const numbers = deviceNumbers(info.rdev);
  return {
    device: { path: target, type, ...numbers, fileMode: info.mode & 0o7777, uid: info.uid, gid: info.gid },
    rule: { allow: true, type, ...numbers, access },
  };
}

const isDevice = (info: Stats): boolean => info.isBlockDevice() || info.isCharacterDevice();

/** `--device`: one device, or every device under a directory. */
export function grantDevices(mapping: DeviceMapping): DeviceGrant[] {
  const source = mapping.PathOnHost ?? '';
  const target = mapping.PathInContainer || source;
  const access = mapping.CgroupPermissions || 'rwm';
  if (!/^[rwm]{1,3}$/.test(access)) throw invalidParameter(`invalid device mode: ${access}`);
  let info: Stats;
  try {
    info = statSync(source);
  } catch (error) {
    throw systemError(
      `error gathering device information while adding custom device ${JSON.stringify(source)}: no such file or directory`,
      error,
    );
  }
  if (isDevice(info)) return [describe(info, target, access)];
  if (!info.isDirectory()) {
    throw systemError(
      `error gathering device information while adding custom device ${JSON.stringify(source)}: not a device node`,
    );
  }
  return devicesUnder(source, target, access);
}

/** Every device of this machine, for --privileged. */
export const allDevices = (): DeviceGrant[] => devicesUnder('/dev', '/dev', 'rwm');

function devicesUnder(directory: string, target: string, access: string): DeviceGrant[] {
  const found: DeviceGrant[] = [];
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    if (SKIPPED.has(entry.name)) continue;
    const path = join(directory, entry.name);
    const inner = join(target, entry.name);
    if (entry.isDirectory()) found.push(...devicesUnder(path, inner, access));
    else if (entry.isBlockDevice() || entry.isCharacterDevice()) found.push(describe(statSync(path), inner, access));
  }
  return found;
}

/** `--device-cgroup-rule 'c 1:3 mr'`. */
export function parseDeviceRule(text: string): DeviceRule {
  const match = /^([acb]) ([0-9]+|\*):([0-9]+|\*) ([rwm]{1,3})$/.exec(text);
  if (!match) throw invalidParameter(`invalid device cgroup rule format: '${text}'`);
  const number = (part: string | undefined): number | undefined => (part === '*' ? undefined : Number(part));
  return { allow: true, type: match[1], major: number(match[2]), minor: number(match[3]), access: match[4]! };
}
