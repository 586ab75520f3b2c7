import { invalidParameter } from '../errors.ts';

/** Every capability of capabilities(7), without CAP_; the index is its number. */
const ALL = [
  'CHOWN',
  'DAC_OVERRIDE',
  'DAC_READ_SEARCH',
  'FOWNER',
  'FSETID',
  'KILL',
  'SETGID',
  'SETUID',
  'SETPCAP',
  'LINUX_IMMUTABLE',
  'NET_BIND_SERVICE',
  'NET_BROADCAST',
  'NET_ADMIN',
  'NET_RAW',
  'IPC_LOCK',
  'IPC_OWNER',
  'SYS_MODULE',
  'SYS_RAWIO',
  'SYS_CHROOT',
  'SYS_PTRACE',
  'SYS_PACCT',
  'SYS_ADMIN',
  'SYS_BOOT',
  'SYS_NICE',
  'SYS_RESOURCE',
  'SYS_TIME',
  'SYS_TTY_CONFIG',
  'MKNOD',
  'LEASE',
  'AUDIT_WRITE',
  'AUDIT_CONTROL',
  'SETFCAP',
  'MAC_OVERRIDE',
  'MAC_ADMIN',
  'SYSLOG',
  'WAKE_ALARM',
  'BLOCK_SUSPEND',
  'AUDIT_READ',
  'PERFMON',
  'BPF',
  'CHECKPOINT_RESTORE',
].map((name) => `CAP_${name}`);

/** Docker's default set (docs: Runtime privilege and Linux capabilities). */
const DEFAULT = [
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_FSETID',
  'CAP_FOWNER',
  'CAP_MKNOD',
  'CAP_NET_RAW',
  'CAP_SETGID',
  'CAP_SETUID',
  'CAP_SETFCAP',
  'CAP_SETPCAP',
  'CAP_NET_BIND_SERVICE',
  'CAP_SYS_CHROOT',
  'CAP_KILL',
  'CAP_AUDIT_WRITE',
];

/** `net_admin`, `CAP_NET_ADMIN` and `ALL` as clients write them → the kernel's name. @param field for the message */
export function normalizeCapability(text: string, field: 'CapAdd' | 'CapDrop'): string {
  const name = text.trim().toUpperCase();
  if (name === 'ALL') return name;
  const full = name.startsWith('CAP_') ? name : `CAP_${name}`;
  if (!ALL.includes(full)) throw invalidParameter(`invalid ${field}: unknown capability: ${JSON.stringify(full)}`);
  return full;
}

/**
 * The capabilities of a container.
 * @param bounding what this machine's kernel and the engine itself have; none is given that isn't there
 */
export function effectiveCapabilities(
  privileged: boolean,
  add: readonly string[],
  drop: readonly string[],
  bounding: readonly string[],
): string[] {
  if (privileged) return [...bounding];
  const adds = add.map((name) => normalizeCapability(name, 'CapAdd'));
  const drops = drop.map((name) => normalizeCapability(name, 'CapDrop'));
  const base = adds.includes('ALL') ? ALL : drops.includes('ALL') ? [] : DEFAULT;
  const wanted = new Set([...base, ...adds.filter((name) => name !== 'ALL')]);
  for (const name of drops) {
    // A capability both added and dropped with drop=ALL stays: ALL means "all that isn't named".
    if (name !== 'ALL') wanted.delete(name);
  }
  return [...wanted].filter((name) => bounding.includes(name));
}

/** The capabilities in a /proc/<pid>/status mask, for instance CapBnd. */
export function capabilitiesOfMask(mask: bigint): string[] {
  return ALL.filter((_name, index) => (mask >> BigInt(index)) & 1n);
}
