/**
 * What the rest of the app may know of the virtual machine. Types and the error class only: importing this file starts
 * nothing. `openMachine` in machine.ts makes a Machine.
 */

/** The steps of a start, in the order in which they happen. Each has its own time limit (see steps.ts). */
const START_STEPS = ['image', 'disk', 'keys', 'qemu', 'kernel', 'ssh', 'engine'] as const;

/**
 * image   the files of the VM image are there and are the ones that were built
 * disk    the lock is ours, the qcow2 data disk exists (and has its wished size)
 * keys    the SSH key of this user exists
 * qemu    QEMU runs and answers on QMP
 * kernel  the guest's init has said hello
 * ssh     the guest's sshd listens and has told its host key: `endpoint()` is valid from here on
 * engine  skiffd answers requests
 */
export type StartStep = (typeof START_STEPS)[number];

/**
 *              start()                      the guest said "engine ready"
 *   stopped ───────────────▶ starting(step) ───────────────▶ running ◀────┐
 *      ▲                       │    │                        │  │  │      │ it answers again
 *      │     a step failed     │    │ stop()                 │  │  └▶ degraded(reason)
 *      │   ┌───────────────────┘    │        stop()          │  │         │   │
 *      │   ▼                        ▼◀───────────────────────┘  │ QEMU    │   │ QEMU ended
 *      │ failed(step, reason) ◀─────│───────────────────────────┴─────────│───┘ unasked
 *      │   │ start() → starting     │◀────────────────────────────────────┘ stop()
 *      └───┴──── stopping ◀─────────┘
 *
 * `failed` is left by start() (tries again) or by stop() (→ stopped). `degraded`: QEMU runs, but the engine or sshd in the
 * guest does not answer just now; the guest restarts what died by itself, so clients should wait and not restart the machine.
 */
export type MachineState =
  | { kind: 'stopped' }
  /** `since`: milliseconds since the epoch at which start() was called; `step`: what is being waited for now */
  | { kind: 'starting'; step: StartStep; since: number }
  /** `bootMs`: from QEMU's start to "engine ready"; 0 when a left-over QEMU of an earlier run was adopted */
  | { kind: 'running'; since: number; bootMs: number }
  | { kind: 'degraded'; reason: string; since: number }
  | { kind: 'stopping' }
  /** `hint`: what a person can do; `log`: the last lines of the guest's console and of QEMU, oldest first */
  | { kind: 'failed'; step: StartStep; reason: string; hint: string; log: string[] };

export type MachineErrorKind =
  | 'aborted' // the caller's AbortSignal fired, or stop() came during start()
  | 'not-running' // asked for something only a running machine has
  | 'not-stopped' // asked for something only a stopped machine allows
  | 'refused' // a wish that can't be granted: a name that is taken, a disk that would shrink
  | 'in-use' // another instance holds the lock on the data disk
  | 'qemu-missing'
  | 'qemu-failed' // QEMU ended or refused its command line
  | 'image-corrupt' // missing or altered image files
  | 'disk-full' // the host's disk
  | 'disk-failed' // the data disk could not be made, opened or grown
  | 'keys-failed'
  | 'timeout' // a step took longer than its limit
  | 'guest-failed' // the guest reported that it can't go on
  | 'port-taken' // expose(): the host port is in use
  | 'port-refused' // expose(): QEMU or the system refused it (e.g. a privileged port)
  | 'qmp'; // QEMU's monitor answered with an error or not at all

/** Every error that leaves electron/machine. `message` says what happened, `hint` what to do. */
export class MachineError extends Error {
  override readonly name = 'MachineError';
  readonly kind: MachineErrorKind;
  readonly hint: string;
  readonly step: StartStep | undefined;
  readonly log: readonly string[];

  constructor(
    kind: MachineErrorKind,
    message: string,
    more: { hint?: string; step?: StartStep; log?: readonly string[]; cause?: unknown } = {},
  ) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.kind = kind;
    this.hint = more.hint ?? '';
    this.step = more.step;
    this.log = more.log ?? [];
  }
}

/** How to reach the guest's sshd. Forwarding to and from unix sockets is allowed there, passwords are not. */
export interface SshEndpoint {
  host: string;
  port: number;
  username: string;
  /** OpenSSH private key file content (ed25519), as ssh2's `privateKey` wants it */
  privateKey: Buffer;
  /** the guest's host key in SSH wire format: exactly the bytes that ssh2 passes to `hostVerifier` */
  hostKey: Buffer;
  /** the engine's API socket in the guest */
  engineSocket: string;
  /** where the engine looks for the reverse channel: the tunnel asks sshd to listen here */
  hostChannelSocket: string;
  /** the program in the guest that reads and writes what the engine is configured with */
  configCommand: string;
}

/** A forwarded port. `hostIp` '' or '0.0.0.0' is every IPv4 address of the host. */
export interface ExposedPort {
  proto: 'tcp' | 'udp';
  hostIp: string;
  hostPort: number;
  guestPort: number;
}

export interface MachineStats {
  /** of all host CPUs' time that QEMU used since the last call, in percent of one CPU (200 = two full CPUs) */
  cpuPercent: number;
  /** memory of QEMU on the host */
  hostRssBytes: number;
  /** memory given to the guest at most */
  guestMemoryBytes: number;
  /** what the guest uses of it (without page cache), from its balloon driver; undefined until it has reported */
  guestUsedBytes: number | undefined;
  /** blocks that the data disk's file takes on the host */
  diskRealBytes: number;
  /** size of the data disk as the guest sees it */
  diskVirtualBytes: number;
}

/** When each step of the last start ended, in milliseconds after QEMU was started (steps before `qemu` are ≤ 0). */
export interface BootTiming {
  steps: { step: StartStep; atMs: number }[];
  /** what the guest itself reported, in milliseconds of its own uptime, e.g. `sshd`, `engine` */
  guest: { mark: string; uptimeMs: number }[];
  totalMs: number;
}

/** The accelerator QEMU runs with. */
export type Accelerator = 'kvm' | 'hvf' | 'whpx' | 'tcg';

export interface Machine {
  readonly state: MachineState;
  readonly accelerator: Accelerator | undefined;
  /** Calls `listener` at every change, never during onState itself. Returns the way to unsubscribe. */
  onState(listener: (state: MachineState) => void): () => void;
  /**
   * Resolves when the guest has said that the engine answers; adopts a QEMU left by a crashed app. Called while starting,
   * it waits for the same start; called while running, it does nothing. Throws a MachineError (state: failed). `signal`
   * ends the wait, and the start too when nobody else waits for it.
   */
  start(signal?: AbortSignal): Promise<void>;
  /**
   * Clean power-off through the guest; kills QEMU when that takes too long. `signal` cuts the patience short: the kill comes
   * at once. Never throws for a machine that is stopped.
   */
  stop(signal?: AbortSignal): Promise<void>;
  /** of the VM image that the next start boots */
  readonly imageVersion: string;
  /** Other resources, or another image, from the next start on. */
  configure(changes: MachineResources & { image?: BootImage }): void;
  /** Tells the guest what time it is; without effect when it does not run. */
  setClock(): void;
  /**
   * Gives the blocks that the guest no longer uses back to the host; resolves with what the disk's file took before and takes
   * now. Needs a running machine.
   */
  compactDisk(): Promise<{ beforeBytes: number; afterBytes: number }>;
  /** Enlarges the data disk, at once when the machine runs. Throws 'refused' when it would become smaller. */
  growDisk(diskGb: number): Promise<void>;
  /** Of the data disk, newest first; in every state. */
  snapshots(): Promise<DiskSnapshot[]>;
  /** Work on the files of the stopped machine; a start() waits until it is done. Throws 'not-stopped' or 'in-use'. */
  whileStopped<T>(work: (files: MachineFiles) => Promise<T>): Promise<T>;
  /** Forgets the machine but leaves QEMU running, so that the next app adopts it. For tests and for app updates. */
  release(): Promise<void>;
  /** Valid from step `ssh` on; throws MachineError 'not-running' before. */
  endpoint(): SshEndpoint;
  /** Opens a host port towards the guest. Throws 'port-taken', 'port-refused' or 'not-running'. Idempotent. */
  expose(port: ExposedPort): Promise<void>;
  /** Closes it again; one that is not open is not an error. */
  unexpose(port: ExposedPort): Promise<void>;
  /** what is exposed now */
  exposed(): ExposedPort[];
  stats(): Promise<MachineStats>;
  /** Of the last start; undefined before the first or after an adoption. */
  bootTiming(): BootTiming | undefined;
  /** The last lines of the guest's console and QEMU's own messages, oldest first. */
  logTail(lines: number): string[];
}

/** What `ensureVmImage` of resources/vm makes, as far as the machine needs it. */
export interface BootImage {
  version: string;
  arch: 'x64' | 'arm64';
  /** folder that holds the files below and manifest.json with their sizes and SHA-256 */
  dir: string;
  kernel: string;
  initramfs: string;
  rootfs: string;
}

/** All of the data disk as it was at one time. */
export interface DiskSnapshot {
  name: string;
  /** milliseconds since the epoch */
  created: number;
}

/** What may be worked on while the machine is stopped. */
export interface MachineFiles {
  /** the machine's folder */
  dir: string;
  /** where the data disk is; there may be none yet */
  dataDisk: string;
  /** names the folder that the disk was moved to */
  diskFolder: string;
  qemuImg: string;
}

export interface MachineResources {
  /** default: half of the host's CPUs, at least 2 and at most 8 (never more than there are) */
  cpus?: number;
  /** default: a quarter of the host's memory, 1024–8192 */
  memoryMb?: number;
  /** logical size of the data disk; it takes on the host only what is used. Default 64; an existing disk only grows. */
  diskGb?: number;
  /** folders of the host that containers may bind; what does not exist is left out. Default none. */
  sharedFolders?: readonly string[];
}

export interface MachineOptions extends MachineResources {
  /** the app's folder, normally ~/.skiff; made when missing, 0700 */
  home: string;
  image: BootImage;
  /** default: the best that this host has */
  accelerator?: Accelerator;
}
