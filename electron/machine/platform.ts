/** What differs between the systems that Skiff runs on, as far as starting QEMU goes. Pure but for what is passed in. */
import { accessSync, constants, existsSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { delimiter, posix, win32 } from 'node:path';
import type { Accelerator } from './types.ts';

export type GuestArch = 'x64' | 'arm64';

/** The host as far as it matters here; tests make one for each system. */
export interface Host {
  platform: NodeJS.Platform;
  arch: string;
  env: Record<string, string | undefined>;
  cpuCount: number;
  memoryBytes: number;
  /** is there such a file */
  exists(path: string): boolean;
  /** may we open it for reading and writing */
  canOpen(path: string): boolean;
}

export function thisHost(): Host {
  return {
    platform: process.platform,
    arch: process.arch,
    env: process.env,
    cpuCount: cpus().length,
    memoryBytes: totalmem(),
    exists: existsSync,
    canOpen: (path) => {
      try {
        accessSync(path, constants.R_OK | constants.W_OK);
        return true;
      } catch {
        return false;
      }
    },
  };
}

/**
 * The accelerators to try, best first; TCG works everywhere and ends the list. A guest of another architecture than the host's
 * can only be emulated.
 */
export function accelerators(host: Host, guest: GuestArch): Accelerator[] {
  if (host.arch !== guest) return ['tcg'];
  if (host.platform === 'linux') return host.canOpen('/dev/kvm') ? ['kvm', 'tcg'] : ['tcg'];
  if (host.platform === 'darwin') return ['hvf', 'tcg'];
  if (host.platform === 'win32') return ['whpx', 'tcg'];
  return ['tcg'];
}

/**
 * How the guest gets the host's folders: QEMU serves them by 9p where it can, which is not on Windows. SKIFF_FOLDERS=sftp takes
 * the other way anywhere.
 */
export function folderTransport(host: Pick<Host, 'platform' | 'env'>): '9p' | 'sftp' {
  return host.platform === 'win32' || host.env.SKIFF_FOLDERS === 'sftp' ? 'sftp' : '9p';
}

const QEMU_NAMES: Record<GuestArch, string> = { x64: 'qemu-system-x86_64', arm64: 'qemu-system-aarch64' };

/** Folders with QEMU's programs besides the PATH: bundled with the app, Homebrew, MacPorts, the Windows installer. */
function extraFolders(host: Host): string[] {
  const bundled = host.env.SKIFF_QEMU_DIR ? [host.env.SKIFF_QEMU_DIR] : [];
  if (host.platform === 'darwin') return [...bundled, '/opt/homebrew/bin', '/usr/local/bin', '/opt/local/bin'];
  if (host.platform === 'win32') return [...bundled, `${host.env.ProgramFiles ?? 'C:\\Program Files'}\\qemu`];
  return [...bundled, '/usr/bin', '/usr/local/bin', '/usr/libexec'];
}

/** Where QEMU's programs for this guest are; undefined for one that is not installed. */
export function findQemu(host: Host, guest: GuestArch): { system: string | undefined; img: string | undefined } {
  const path = host.platform === 'win32' ? win32 : posix;
  const suffix = host.platform === 'win32' ? '.exe' : '';
  const separator = host.platform === 'win32' ? ';' : host.platform === process.platform ? delimiter : ':';
  const onPath = (host.env.PATH ?? host.env.Path ?? '').split(separator).filter(Boolean);
  const [bundled, others] = host.env.SKIFF_QEMU_DIR
    ? [[host.env.SKIFF_QEMU_DIR], extraFolders(host).slice(1)]
    : [[], extraFolders(host)];
  const find = (name: string) =>
    [...bundled, ...onPath, ...others].map((dir) => path.join(dir, name + suffix)).find((file) => host.exists(file));
  return { system: find(QEMU_NAMES[guest]), img: find('qemu-img') };
}

/** What a person can do when QEMU is not there. */
export function qemuInstallHint(host: Host, guest: GuestArch): string {
  if (host.platform === 'darwin') return 'Install it with: brew install qemu';
  if (host.platform === 'win32') return 'Install it with: winget install SoftwareFreedomConservancy.QEMU';
  const packages = guest === 'arm64' ? 'qemu-system-arm qemu-utils' : 'qemu-system-x86 qemu-utils';
  return `Install it with: sudo apt-get install ${packages} (or your distribution's packages of QEMU)`;
}

/** Guest size that leaves the host usable. */
/** This computer's time zone by its IANA name. */
export function timeZone(): string {
  return new Intl.DateTimeFormat().resolvedOptions().timeZone ?? 'Etc/UTC';
}

export function defaultResources(host: Host): { cpus: number; memoryMb: number; diskGb: number } {
  const megabytes = Math.floor(host.memoryBytes / 1048576);
  const half = Math.min(8, Math.max(2, Math.floor(host.cpuCount / 2)));
  return {
    cpus: Math.max(1, Math.min(half, host.cpuCount)),
    memoryMb: Math.min(8192, Math.max(1024, Math.floor(megabytes / 4 / 256) * 256)),
    diskGb: 64,
  };
}
