/** QEMU's command line. Pure: the same spec gives the same arguments on every host. */
import type { GuestArch } from './platform.ts';
import type { Accelerator } from './types.ts';

/** Where the guest's sshd listens: a port that nobody would publish a container on. */
export const GUEST_SSH_PORT = 65022;

export interface VmSpec {
  arch: GuestArch;
  /** in the order to try */
  accelerators: Accelerator[];
  cpus: number;
  memoryMb: number;
  kernel: string;
  initramfs: string;
  rootfs: string;
  /** qcow2 */
  dataDisk: string;
  /** sockets on Unix, pipe names on Windows */
  qmp: string;
  control: string;
  pipes: boolean;
  consoleLog: string;
  engineLog: string;
  /** base64 part of the user's public ed25519 key */
  authorizedKey: string;
  /** absolute folders of the host, which the guest mounts in this order */
  sharedFolders: readonly string[];
  /** by 9p they are devices; by SFTP the app serves them later */
  folderTransport: '9p' | 'sftp';
  /** IANA name */
  timeZone: string;
}

/** The kernel's command line holds 2,048 bytes, and the rest of ours takes about 400. */
export const SHARED_FOLDERS_LIMIT = 1_400;

/** For the kernel's command line: the paths, a line each, in base64. */
export const encodeFolders = (folders: readonly string[]): string => Buffer.from(folders.join('\n')).toString('base64');

/** All arguments after the program's name. */
export function qemuArguments(spec: VmSpec): string[] {
  const args: string[] = [];
  const add = (...more: string[]) => args.push(...more);
  add('-name', 'skiff', '-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot');
  add('-machine', machineType(spec));
  for (const accelerator of spec.accelerators) {
    // A large translation cache is what makes QEMU's memory grow; 128 MB lose no measurable speed.
    add('-accel', accelerator === 'tcg' ? 'tcg,thread=multi,tb-size=128' : accelerator);
  }
  add('-cpu', cpuModel(spec), '-smp', `${spec.cpus}`, '-m', `${spec.memoryMb}`);
  add('-kernel', spec.kernel, '-initrd', spec.initramfs, '-append', kernelCommandLine(spec));
  add('-chardev', `file,id=console,path=${escaped(spec.consoleLog)}`, '-serial', 'chardev:console');
  add('-chardev', channel('qmp', spec.qmp, spec.pipes), '-mon', 'chardev=qmp,mode=control');

  // The order of the two disks decides their names in the guest: vda is the root, vdb the data.
  add('-drive', `if=none,id=root,format=raw,readonly=on,file=${escaped(spec.rootfs)}`);
  add('-device', 'virtio-blk-pci,drive=root');
  add('-drive', `if=none,id=data,format=qcow2,discard=unmap,detect-zeroes=unmap,file=${escaped(spec.dataDisk)}`);
  add('-device', 'virtio-blk-pci,drive=data');

  add('-netdev', `user,id=net,ipv6=off,hostfwd=tcp:127.0.0.1:0-:${GUEST_SSH_PORT}`);
  add('-device', 'virtio-net-pci,netdev=net,romfile=');
  add('-device', 'virtio-serial-pci', '-chardev', channel('control', spec.control, spec.pipes));
  add('-device', 'virtserialport,chardev=control,name=skiff.control');
  // Services log here and not to the serial console, whose every byte stops the guest. Appending lets the app truncate it.
  add('-chardev', `file,id=log,append=on,path=${escaped(spec.engineLog)}`, '-device', 'virtconsole,chardev=log');
  for (const [index, folder] of (spec.folderTransport === '9p' ? spec.sharedFolders : []).entries()) {
    // security_model=none: files belong to the user who runs QEMU, whatever a container makes them; multidevs: inode numbers of
    // different file systems in one folder stay different.
    add('-fsdev', `local,id=folder${index},path=${escaped(folder)},security_model=none,multidevs=remap`);
    add('-device', `virtio-9p-pci,fsdev=folder${index},mount_tag=folder${index}`);
  }
  add('-device', 'virtio-balloon-pci,id=balloon,free-page-reporting=on', '-device', 'virtio-rng-pci');
  return args;
}

/** q35 without what we don't use: on the older `pc`, setting up the interrupt of each PCI device costs an emulated guest 90 ms. */
function machineType(spec: VmSpec): string {
  return spec.arch === 'arm64' ? 'virt' : 'q35,vmport=off,smm=off,sata=off,smbus=off';
}

/** `max` is what the accelerator can do at most: the host's own CPU under KVM and HVF, all that is emulated under TCG. */
function cpuModel(spec: VmSpec): string {
  // The architected pointer authentication is a cipher in software; QEMU's own is as good for an emulated guest.
  return spec.arch === 'arm64' && spec.accelerators[0] === 'tcg' ? 'max,pauth-impdef=on' : 'max';
}

function kernelCommandLine(spec: VmSpec): string {
  const words = [
    `console=${spec.arch === 'arm64' ? 'ttyAMA0' : 'ttyS0'}`,
    'loglevel=4',
    'panic=-1', // with -no-reboot: a panic ends QEMU, and we hear of it
    'apparmor=0',
    'audit=0',
    'cryptomgr.notests', // the kernel's tests of its own ciphers, at each boot
    'swiotlb=noforce', // no bounce buffers: saves 64 MB
    `skiff.authkey=${spec.authorizedKey}`,
    `skiff.zone=${spec.timeZone}`,
  ];
  if (spec.sharedFolders.length > 0) words.push(`skiff.folders=${encodeFolders(spec.sharedFolders)}`);
  if (spec.folderTransport === 'sftp') words.push('skiff.sftp');
  // An emulated CPU has no side channels, and its time stamp counter is the host's: it needs no second clock to be checked by.
  if (spec.accelerators[0] === 'tcg') words.push('mitigations=off', 'tsc=reliable');
  return words.join(' ');
}

function channel(id: string, path: string, pipes: boolean): string {
  return pipes ? `pipe,id=${id},path=${escaped(path)}` : `socket,id=${id},path=${escaped(path)},server=on,wait=off`;
}

/** In QEMU's option strings a comma in a value is doubled. */
function escaped(path: string): string {
  return path.replaceAll(',', ',,');
}
