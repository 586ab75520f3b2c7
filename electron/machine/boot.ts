/** Brings a machine up, step by step: adopts the QEMU that a crashed app left, or starts a new one. */
import { spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { BrokenAccelerators } from './accelerator-memory.ts';
import { qemuArguments, type VmSpec } from './arguments.ts';
import { GuestControl } from './control.ts';
import { ensureDisk } from './disk.ts';
import { sharableFolders } from './folders.ts';
import { checkImage } from './image-check.ts';
import { ensureKey, type SshKey } from './keys.ts';
import { rotateLogs, tailFile } from './logs.ts';
import { connectPath, type MachinePaths } from './paths.ts';
import {
  accelerators,
  defaultResources,
  findQemu,
  folderTransport,
  type Host,
  qemuInstallHint,
  timeZone,
} from './platform.ts';
import { isAlive, killProcess, processId, waitForExit } from './process.ts';
import { QmpClient } from './qmp.ts';
import { type QemuRecord, Session } from './session.ts';
import { type Accelerator, type BootTiming, MachineError, type MachineOptions, type StartStep } from './types.ts';

export interface BootContext {
  options: MachineOptions;
  paths: MachinePaths;
  host: Host;
  signal: AbortSignal;
  /** called when a step begins */
  onStep(step: StartStep): void;
  /** called as soon as there is a QEMU to talk to, before the guest is up */
  onSession(session: Session): void;
  onKey(key: SshKey): void;
}

export interface Booted {
  session: Session;
  adopted: boolean;
}

/** Generous: a limit only has to tell a slow machine (emulated, on a busy host) from one that will never be ready. */
const LIMITS_MS = {
  qemu: 20_000,
  acceleratedKernel: 20_000,
  kernel: 90_000,
  ssh: 120_000,
  engine: 180_000,
  diskCheck: 1_800_000,
};
const ADOPT_LIMIT_MS = 4_000;

/** The caller holds the lock on the data disk. Throws MachineError with its step; kills nothing that it started. */
export async function boot(context: BootContext): Promise<Booted> {
  const { options, paths, host, signal } = context;
  const enter = (step: StartStep) => {
    if (signal.aborted) throw new MachineError('aborted', 'The start of the machine was cancelled.', { step });
    context.onStep(step);
  };
  enter('image');
  await checkImage(options.image, paths.verified, signal);
  const qemu = findQemu(host, options.image.arch);
  if (!qemu.system || !qemu.img) {
    throw new MachineError('qemu-missing', `${qemu.system ? 'qemu-img' : 'QEMU'} is not installed.`, {
      step: 'image',
      hint: qemuInstallHint(host, options.image.arch),
    });
  }
  enter('keys');
  const key = await ensureKey(paths.privateKey, paths.publicKey);
  context.onKey(key);
  enter('disk');
  const adopted = await adoptLeftOver(context);
  let session = adopted;
  if (!session) {
    await ensureDisk(paths.dataDisk, options.diskGb ?? defaultResources(host).diskGb, qemu.img);
    session = await startWithBestAccelerator(context, qemu.system, key, enter);
  }
  try {
    await untilReady(context, session, enter);
  } catch (error) {
    if (!(session.gone && kernelDied(paths))) throw error;
    // Once in a few hundred boots: before 8.1, QEMU's emulation may run what the kernel has just patched as it was in between.
    session.close();
    await endQemu(session.record, paths);
    session = await startWithBestAccelerator(context, qemu.system, key, enter);
    await untilReady(context, session, enter);
  }
  return { session, adopted: session === adopted };
}

/** Follows the guest's boot until its engine answers. */
async function untilReady(context: BootContext, session: Session, enter: (step: StartStep) => void): Promise<void> {
  const { signal } = context;
  context.onSession(session);
  await session.readSshPort();
  session.control.send('status');
  enter('kernel');
  await session.until(
    'kernel',
    () => session.greeted,
    () => LIMITS_MS.kernel,
    signal,
  );
  enter('ssh');
  const checking = (said: BootTiming['guest']) => said.some(({ mark }) => mark === 'fsck');
  await session.until(
    'ssh',
    () => session.hostKey !== undefined,
    (said) => (checking(said) ? LIMITS_MS.diskCheck : LIMITS_MS.ssh),
    signal,
  );
  enter('engine');
  await session.until(
    'engine',
    () => session.engineReady,
    () => LIMITS_MS.engine,
    signal,
  );
}

function kernelDied(paths: MachinePaths): boolean {
  return tailFile(paths.consoleLog, 200).some((line) => line.includes('Kernel panic'));
}

/**
 * The QEMU that an earlier app started and did not stop: taken over when it answers and runs this image; else it is shut down
 * (killed when it doesn't even answer), since it holds the disk.
 */
async function adoptLeftOver(context: BootContext): Promise<Session | undefined> {
  const { paths, options, signal } = context;
  const record = readRecord(paths.qemuState);
  if (!record || !isAlive(record)) {
    rmSync(paths.qemuState, { force: true });
    return undefined;
  }
  const session = await connectTo(record, paths, ADOPT_LIMIT_MS, signal).catch(() => undefined);
  if (session && record.imageVersion === options.image.version) return session;
  if (session) {
    session.control.send('poweroff');
    await waitForExit(record, 30_000, signal);
    session.close();
  }
  killProcess(record, 'SIGKILL');
  await waitForExit(record, 5_000);
  rmSync(paths.qemuState, { force: true });
  return undefined;
}

/**
 * A hypervisor may be there and not work (nested virtualisation, half a /dev/kvm): QEMU then ends at once, or the guest never says
 * a word. The next accelerator is tried instead, and which one failed is remembered, so that the next start does not wait for it.
 */
async function startWithBestAccelerator(
  context: BootContext,
  binary: string,
  key: SshKey,
  enter: (step: StartStep) => void,
): Promise<Session> {
  const { options, paths, host, signal } = context;
  const broken = new BrokenAccelerators(paths.brokenAccelerators);
  const known = accelerators(host, options.image.arch);
  const wanted = options.accelerator ? [options.accelerator] : broken.without(known);
  // The last one has a second try: once in a few hundred boots an emulated kernel dies before its first word.
  const last = wanted.length - 1;
  for (const [index, accelerator] of [...wanted, ...wanted.slice(-1)].entries()) {
    enter('qemu');
    let session: Session | undefined;
    try {
      session = await startQemu(context, binary, key, wanted.slice(Math.min(index, last)));
      const started = session;
      if (index > last) return started;
      started.control.send('status');
      const limit = index === last ? LIMITS_MS.kernel : LIMITS_MS.acceleratedKernel;
      await started.until(
        'kernel',
        () => started.greeted,
        () => limit,
        signal,
      );
      return started;
    } catch (error) {
      session?.close();
      if (session) await endQemu(session.record, paths);
      const kind = error instanceof MachineError ? error.kind : undefined;
      // A QEMU that dies may be noticed by its exit, or first by its monitor.
      if (kind === undefined || !['qemu-failed', 'qmp', 'timeout'].includes(kind)) throw error;
      if (index > last || (index === last && (!session || kind === 'timeout'))) throw error;
      if (index < last) broken.add(accelerator);
    }
  }
  throw new MachineError('qemu-failed', 'No accelerator is left to run the machine with.', { step: 'qemu' });
}

async function endQemu(record: QemuRecord, paths: MachinePaths): Promise<void> {
  killProcess(record, 'SIGKILL');
  await waitForExit(record, 5_000);
  rmSync(paths.qemuState, { force: true });
}

async function startQemu(
  context: BootContext,
  binary: string,
  key: SshKey,
  wanted: readonly Accelerator[],
): Promise<Session> {
  const { options, paths, host, signal } = context;
  const resources = defaultResources(host);
  const spec: VmSpec = {
    arch: options.image.arch,
    accelerators: [...wanted],
    cpus: options.cpus ?? resources.cpus,
    memoryMb: options.memoryMb ?? resources.memoryMb,
    kernel: options.image.kernel,
    initramfs: options.image.initramfs,
    rootfs: options.image.rootfs,
    dataDisk: paths.dataDisk,
    qmp: paths.qmp,
    control: paths.control,
    pipes: paths.pipes,
    consoleLog: paths.consoleLog,
    engineLog: paths.engineLog,
    authorizedKey: key.publicBase64,
    sharedFolders: sharableFolders(options.sharedFolders ?? []),
    folderTransport: folderTransport(host),
    timeZone: timeZone(),
  };
  rotateLogs(paths);
  if (!paths.pipes) for (const socket of [paths.qmp, paths.control]) rmSync(socket, { force: true });

  // Its own session and its output in a file: it lives on when this app crashes or its terminal is closed.
  const log = openSync(paths.qemuLog, 'w', 0o600);
  const startedAt = Date.now();
  const child = spawn(binary, qemuArguments(spec), { detached: true, stdio: ['ignore', log, log], windowsHide: true });
  closeSync(log);
  const early = new AbortController();
  child.on('error', () => early.abort());
  child.on('exit', () => early.abort());
  child.unref();
  if (child.pid === undefined) {
    throw new MachineError('qemu-failed', `${binary} cannot be started.`, { step: 'qemu' });
  }
  const record: QemuRecord = {
    ...processId(child.pid),
    imageVersion: options.image.version,
    accelerator: wanted[0]!,
    startedAt,
  };
  writeFileSync(paths.qemuState, JSON.stringify(record), { mode: 0o600 });
  try {
    const session = await connectTo(record, paths, LIMITS_MS.qemu, AbortSignal.any([signal, early.signal]));
    const fallback = /falling back to (\w+)/.exec(tailFile(paths.qemuLog, 20).join('\n'))?.[1];
    if (fallback) record.accelerator = fallback as QemuRecord['accelerator'];
    writeFileSync(paths.qemuState, JSON.stringify(record), { mode: 0o600 });
    return session;
  } catch (error) {
    await endQemu(record, paths);
    const monitorClosed = error instanceof MachineError && error.kind === 'qmp';
    if (early.signal.aborted || monitorClosed) throw qemuEnded(tailFile(paths.qemuLog, 10));
    throw error;
  }
}

/** Why QEMU refused to run, from its own words. */
function qemuEnded(log: string[]): MachineError {
  const reason = log.at(-1)?.replace(/^qemu-system-\w+: /, '') ?? 'it said nothing';
  const text = log.join('\n');
  if (/Failed to get "?\w+"? lock/.test(text)) {
    return new MachineError('in-use', 'The data disk of the machine is in use by another QEMU.', { step: 'qemu', log });
  }
  if (/No space left/i.test(text)) {
    return new MachineError('disk-full', 'There is no room on the disk of this computer.', {
      step: 'qemu',
      hint: 'Free some space and start again.',
      log,
    });
  }
  return new MachineError('qemu-failed', `QEMU cannot run the machine: ${reason}`, {
    step: 'qemu',
    hint: 'The last log lines are what QEMU said.',
    log,
  });
}

async function connectTo(
  record: QemuRecord,
  paths: MachinePaths,
  limitMs: number,
  signal: AbortSignal,
): Promise<Session> {
  const deadline = Date.now() + limitMs;
  // Both first, then talk: where these are Windows pipes, QEMU does nothing before both are connected.
  const dialled = await Promise.allSettled(
    [paths.qmp, paths.control].map((path) => dial(path, paths, deadline, signal)),
  );
  const [qmpSocket, controlSocket] = dialled.map((result) =>
    result.status === 'fulfilled' ? result.value : undefined,
  );
  try {
    for (const result of dialled) if (result.status === 'rejected') throw result.reason;
    const control = new GuestControl(controlSocket!);
    const qmp = await QmpClient.open(qmpSocket!, Math.max(1_000, deadline - Date.now()));
    return new Session(record, qmp, control);
  } catch (error) {
    qmpSocket?.destroy();
    controlSocket?.destroy();
    throw error;
  }
}

/** Connects as soon as QEMU has made the socket. */
async function dial(path: string, paths: MachinePaths, deadline: number, signal: AbortSignal): Promise<Socket> {
  for (;;) {
    if (signal.aborted) throw new MachineError('aborted', 'The start of the machine was cancelled.', { step: 'qemu' });
    if (Date.now() > deadline) {
      throw new MachineError('timeout', 'QEMU does not answer on its monitor.', { step: 'qemu' });
    }
    if (paths.pipes || existsSync(path)) {
      const socket = connect(connectPath(path, paths.pipes));
      const connected = await new Promise<boolean>((resolve) => {
        socket.once('connect', () => resolve(true));
        socket.once('error', () => resolve(false));
      });
      if (connected) return socket;
    }
    await sleep(15);
  }
}

export function readRecord(path: string): QemuRecord | undefined {
  try {
    const record = JSON.parse(readFileSync(path, 'utf8')) as QemuRecord;
    return Number.isInteger(record.pid) ? record : undefined;
  } catch {
    return undefined;
  }
}
