import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';

import { messageOf, systemError } from '../errors.ts';
import { MS, mount, mountsUnder, unmount } from '../linux/mount.ts';

/** A volume that is a mount of its own: the local driver's options type, device and o. */
export interface VolumeSource {
  readonly type: string;
  readonly device: string;
  /** As for mount(8), joined by commas. */
  readonly o: string;
}

/** Words of mount(8) that are flags of mount(2); [flag, clears]. What is in no list is the file system's own. */
const FLAGS: Readonly<Record<string, readonly [number, boolean]>> = {
  defaults: [0, false],
  async: [MS.synchronous, true],
  atime: [MS.noatime, true],
  bind: [MS.bind, false],
  dev: [MS.nodev, true],
  diratime: [MS.nodiratime, true],
  dirsync: [MS.dirsync, false],
  exec: [MS.noexec, true],
  mand: [MS.mandlock, false],
  noatime: [MS.noatime, false],
  nodev: [MS.nodev, false],
  nodiratime: [MS.nodiratime, false],
  noexec: [MS.noexec, false],
  nomand: [MS.mandlock, true],
  norelatime: [MS.relatime, true],
  nostrictatime: [MS.strictatime, true],
  nosuid: [MS.nosuid, false],
  rbind: [MS.bind | MS.rec, false],
  relatime: [MS.relatime, false],
  ro: [MS.rdonly, false],
  rw: [MS.rdonly, true],
  strictatime: [MS.strictatime, false],
  suid: [MS.nosuid, true],
  sync: [MS.synchronous, false],
};
const PROPAGATION: Readonly<Record<string, number>> = {
  private: MS.private,
  rprivate: MS.private | MS.rec,
  shared: MS.shared,
  rshared: MS.shared | MS.rec,
  slave: MS.slave,
  rslave: MS.slave | MS.rec,
  unbindable: MS.unbindable,
  runbindable: MS.unbindable | MS.rec,
};

/** Mounts a volume's source, in the words of moby's local driver when it can't. */
export async function mountVolume(source: VolumeSource, target: string): Promise<void> {
  let flags = 0;
  const propagation: number[] = [];
  const data: string[] = [];
  for (const option of source.o.split(',').filter(Boolean)) {
    const flag = FLAGS[option];
    if (flag) flags = flag[1] ? flags & ~flag[0] : flags | flag[0];
    else if (PROPAGATION[option] !== undefined) propagation.push(PROPAGATION[option]);
    else data.push(await resolved(source.type, option));
  }
  const type = source.type === 'none' || flags & MS.bind ? 'none' : source.type;
  try {
    mount(source.device, target, type, flags, data.length > 0 ? data.join(',') : null);
    // The kernel hears of a bind's read-only only the second time.
    const late = MS.rdonly | MS.nosuid | MS.nodev | MS.noexec | MS.noatime | MS.nodiratime | MS.relatime;
    if (flags & MS.bind && flags & late) mount('none', target, null, flags | MS.remount);
    for (const mode of propagation) mount('none', target, null, mode);
  } catch (error) {
    unmountVolume(target);
    const details = [
      `mount ${source.device}:${target}`,
      ...(flags ? [`flags: 0x${flags.toString(16)}`] : []),
      ...(data.length > 0 ? [`data: ${data.join(',')}`] : []),
    ];
    const reason = messageOf(error).replace(/^.*: /, '').toLowerCase();
    throw systemError(`failed to mount local volume: ${details.join(', ')}: ${reason}`, error);
  }
}

/** Network file systems take no names: the kernel resolves none. */
async function resolved(type: string, option: string): Promise<string> {
  const host = /^addr=(.+)$/.exec(option)?.[1];
  if (!host || isIP(host) !== 0 || !['nfs', 'nfs4', 'cifs'].includes(type)) return option;
  try {
    return `addr=${(await lookup(host)).address}`;
  } catch (error) {
    throw systemError(`error resolving passed in network volume address: ${messageOf(error)}`, error);
  }
}

/** Takes every mount off the target; afterwards it is an ordinary directory. Not being mounted is fine. */
export function unmountVolume(target: string): void {
  for (const point of mountsUnder(target)) unmount(point);
}

export const isMounted = (target: string): boolean => mountsUnder(target).includes(target);

/** Makes a folder a mount of its own whose mounts, made on either side, are seen where it is bound as `rshared`. */
export function shareMounts(folder: string): void {
  if (!isMounted(folder)) mount(folder, folder, null, MS.bind | MS.rec);
  mount('none', folder, null, MS.shared | MS.rec);
}
