/** The machine: its states, and one operation at a time. The steps of a start are in boot.ts. */
import { rmSync } from 'node:fs';
import { GUEST_SSH_PORT } from './arguments.ts';
import { type Booted, boot, readRecord } from './boot.ts';
import type { GuestEvent } from './control.ts';
import { ensureDisk, GIB, realSize, virtualSize } from './disk.ts';
import { acquireLock, type Lock } from './lock.ts';
import { limitLogs, tailLogs } from './logs.ts';
import { type MachinePaths, machinePaths } from './paths.ts';
import { defaultResources, findQemu, type Host, qemuInstallHint, thisHost, timeZone } from './platform.ts';
import { closePort, openPort, parseUserNet, portKey } from './ports.ts';
import { isAlive, killProcess, waitForExit } from './process.ts';
import type { Session } from './session.ts';
import { SharedTask } from './shared-task.ts';
import { listSnapshots } from './snapshots.ts';
import { StatsReader } from './stats.ts';
import {
  type Accelerator,
  type BootImage,
  type BootTiming,
  type DiskSnapshot,
  type ExposedPort,
  type Machine,
  MachineError,
  type MachineFiles,
  type MachineOptions,
  type MachineResources,
  type MachineState,
  type MachineStats,
  type SshEndpoint,
  type StartStep,
} from './types.ts';

/** How long the guest may take to stop the engine and its containers, unmount and power off. */
const POWER_OFF_LIMIT_MS = 45_000;
/** The same after a start that failed or was cancelled: somebody waits for the answer. */
const FAILED_OFF_LIMIT_MS = 10_000;
const KILL_LIMIT_MS = 5_000;
const LOG_LINES_OF_A_FAILURE = 30;
const LOG_CHECK_MS = 600_000;
const RESUME_CHECK_MS = 3_000;

/** Makes a Machine for the home folder. Nothing runs before start(); two of them on one folder exclude each other then. */
export function openMachine(options: MachineOptions, host: Host = thisHost()): Machine {
  return new QemuMachine(options, host);
}

class QemuMachine implements Machine {
  #options: MachineOptions;
  readonly #host: Host;
  readonly #paths: MachinePaths;
  readonly #listeners = new Set<(state: MachineState) => void>();
  readonly #exposed = new Map<string, ExposedPort>();
  readonly #stats = new StatsReader();
  #state: MachineState = { kind: 'stopped' };
  #starting: SharedTask<void> | undefined;
  #stopping: Promise<void> | undefined;
  /** work on the files of the stopped machine */
  #working: Promise<unknown> | undefined;
  #session: Session | undefined;
  #privateKey: Buffer | undefined;
  #lock: Lock | undefined;
  #timing: BootTiming | undefined;
  #housekeeping: NodeJS.Timeout | undefined;

  constructor(options: MachineOptions, host: Host) {
    this.#options = options;
    this.#host = host;
    this.#paths = machinePaths(options.home, host.platform);
  }

  get state(): MachineState {
    return this.#state;
  }

  get accelerator(): Accelerator | undefined {
    return this.#session?.record.accelerator;
  }

  onState(listener: (state: MachineState) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async start(signal?: AbortSignal): Promise<void> {
    if (this.#stopping) await this.#stopping;
    while (this.#working) await this.#working;
    if (this.#state.kind === 'running' || this.#state.kind === 'degraded') return;
    if (!this.#starting) {
      const task = new SharedTask((abort) => this.#launch(abort));
      this.#starting = task;
      const done = () => {
        if (this.#starting === task) this.#starting = undefined;
      };
      task.settled.then(done);
    }
    await this.#starting.join(signal);
  }

  async stop(signal?: AbortSignal): Promise<void> {
    this.#stopping ??= this.#shutDown(signal).finally(() => {
      this.#stopping = undefined;
    });
    await this.#stopping;
  }

  get imageVersion(): string {
    return this.#options.image.version;
  }

  configure(changes: MachineResources & { image?: BootImage }): void {
    this.#options = { ...this.#options, ...changes };
  }

  setClock(): void {
    if (this.#session?.greeted) this.#session.control.send(`time ${Math.round(Date.now() / 1000)} ${timeZone()}`);
  }

  async compactDisk(): Promise<{ beforeBytes: number; afterBytes: number }> {
    const session = this.#required();
    const beforeBytes = await realSize(this.#paths.dataDisk);
    await session.command('trim', 'trimmed');
    return { beforeBytes, afterBytes: await realSize(this.#paths.dataDisk) };
  }

  async growDisk(diskGb: number): Promise<void> {
    const session = this.#session;
    if (session?.engineReady && !session.gone) {
      refuseSmaller(diskGb, await virtualSize(this.#paths.dataDisk));
      await session.qmp.execute('block_resize', { device: 'data', size: diskGb * GIB });
      await session.command('grow', 'grown');
    } else {
      await this.whileStopped(async ({ dataDisk, qemuImg }) => {
        refuseSmaller(diskGb, await virtualSize(dataDisk));
        await ensureDisk(dataDisk, diskGb, qemuImg);
      });
    }
    this.configure({ diskGb });
  }

  snapshots(): Promise<DiskSnapshot[]> {
    return listSnapshots({ dataDisk: this.#paths.dataDisk, qemuImg: this.#qemuImg() });
  }

  async whileStopped<T>(work: (files: MachineFiles) => Promise<T>): Promise<T> {
    if (this.#stopping) await this.#stopping;
    while (this.#working) await this.#working;
    const left = readRecord(this.#paths.qemuState);
    const stopped = this.#state.kind === 'stopped' || this.#state.kind === 'failed';
    if (!stopped || this.#starting || (left && isAlive(left))) {
      throw new MachineError('not-stopped', 'The machine is running.', { hint: 'Stop it first.' });
    }
    const qemuImg = this.#qemuImg();
    const lock = acquireLock(this.#paths.lock);
    const { dir, dataDisk, diskFolder } = this.#paths;
    const done = work({ dir, dataDisk, diskFolder, qemuImg }).finally(() => lock.release());
    const working = done.then(
      () => {},
      () => {},
    );
    this.#working = working;
    try {
      return await done;
    } finally {
      if (this.#working === working) this.#working = undefined;
    }
  }

  async release(): Promise<void> {
    this.#starting?.cancel();
    await this.#starting?.settled;
    this.#forgetSession();
    this.#set({ kind: 'stopped' });
  }

  endpoint(): SshEndpoint {
    const session = this.#session;
    if (!session?.hostKey || !this.#privateKey) throw notRunning();
    return {
      host: '127.0.0.1',
      port: session.sshPort,
      username: 'root',
      privateKey: this.#privateKey,
      hostKey: session.hostKey,
      engineSocket: '/run/skiff/docker.sock',
      hostChannelSocket: '/run/skiff/host.sock',
      configCommand: '/usr/lib/skiff/engine-config',
    };
  }

  async expose(port: ExposedPort): Promise<void> {
    const session = this.#required();
    const known = this.#exposed.get(portKey(port));
    if (known?.guestPort === port.guestPort) return;
    // Reserved before the first await, so that two callers can't both get it.
    if (known) {
      throw new MachineError('port-taken', `Port ${port.hostPort}/${port.proto} already leads to another container.`);
    }
    this.#exposed.set(portKey(port), port);
    try {
      await openPort(session.qmp, port);
    } catch (error) {
      this.#exposed.delete(portKey(port));
      throw error;
    }
  }

  async unexpose(port: ExposedPort): Promise<void> {
    if (!this.#exposed.delete(portKey(port)) || !this.#session) return;
    await closePort(this.#session.qmp, port);
  }

  exposed(): ExposedPort[] {
    return [...this.#exposed.values()];
  }

  async stats(): Promise<MachineStats> {
    const memoryMb = this.#options.memoryMb ?? defaultResources(this.#host).memoryMb;
    return this.#stats.read(this.#required(), this.#paths, memoryMb * 1048576);
  }

  bootTiming(): BootTiming | undefined {
    return this.#timing;
  }

  logTail(lines: number): string[] {
    return tailLogs(this.#paths, lines);
  }

  async #launch(signal: AbortSignal): Promise<void> {
    const since = Date.now();
    const entered: { step: StartStep; at: number }[] = [];
    let step: StartStep = 'image';
    const onStep = (next: StartStep) => {
      step = next;
      entered.push({ step, at: Date.now() });
      this.#set({ kind: 'starting', step, since });
    };
    try {
      this.#set({ kind: 'starting', step, since });
      this.#lock ??= acquireLock(this.#paths.lock);
      const booted = await boot({
        options: this.#options,
        paths: this.#paths,
        host: this.#host,
        signal,
        onStep,
        onSession: (session) => this.#attach(session),
        onKey: (key) => {
          this.#privateKey = key.privateKey;
        },
      });
      this.#timing = booted.adopted ? undefined : timing(entered, booted, Date.now());
      if (booted.adopted) await this.#recallPorts(booted.session);
      this.setClock();
      this.#housekeeping = setInterval(() => limitLogs(this.#paths), LOG_CHECK_MS);
      this.#housekeeping.unref();
      this.#set({ kind: 'running', since: Date.now(), bootMs: this.#timing?.totalMs ?? 0 });
    } catch (error) {
      throw await this.#startFailed(signal.aborted ? cancelled(step) : error, step);
    }
  }

  /** Nothing is left running after a failed start: the next one begins from the beginning. */
  async #startFailed(error: unknown, step: StartStep): Promise<MachineError> {
    const cause = error instanceof MachineError ? error : undefined;
    const log = this.logTail(LOG_LINES_OF_A_FAILURE);
    const failure = new MachineError(cause?.kind ?? 'qemu-failed', cause?.message ?? String(error), {
      hint: cause?.hint,
      step: cause?.step ?? step,
      log: cause?.log.length ? cause.log : log,
      cause: cause?.cause ?? error,
    });
    const session = this.#session;
    if (session?.greeted && !session.gone) await this.#powerOff(session, FAILED_OFF_LIMIT_MS);
    this.#forgetSession();
    if (session) await this.#kill(session.record);
    if (failure.kind === 'aborted') this.#set({ kind: 'stopped' });
    else {
      const { message, hint } = failure;
      this.#set({ kind: 'failed', step: failure.step ?? step, reason: message, hint, log: [...failure.log] });
    }
    return failure;
  }

  #attach(session: Session): void {
    this.#session = session;
    session.on('change', (event) => this.#onGuest(event));
    session.on('stopped', (reason) => this.#onPaused(session, reason));
    session.on('resumed', () => {
      if (this.#state.kind === 'degraded' && session.engineReady) this.#setRunning();
    });
    session.on('gone', (poweredOff) => {
      if (this.#session === session) this.#onGone(session, poweredOff);
    });
  }

  #onGuest(event: GuestEvent): void {
    if (event.kind === 'engine-down' && this.#state.kind === 'running') {
      const reason = `The engine has ended (status ${event.status}) and is being started again.`;
      this.#set({ kind: 'degraded', reason, since: Date.now() });
    } else if (event.kind === 'engine-ready' && this.#state.kind === 'degraded') this.#setRunning();
  }

  /** QEMU pauses the guest when the host's disk is full, so that nothing is lost; it goes on when there is room again. */
  #onPaused(session: Session, reason: string): void {
    if (this.#state.kind !== 'running' && this.#state.kind !== 'degraded') return;
    const text =
      reason === 'disk-full'
        ? 'The disk of this computer is full: the machine waits until some space is free.'
        : `The data disk cannot be written (${reason}): the machine waits.`;
    this.#set({ kind: 'degraded', reason: text, since: Date.now() });
    const retry = setInterval(() => {
      if (session.gone || this.#state.kind !== 'degraded') clearInterval(retry);
      else session.qmp.execute('cont').catch(() => {});
    }, RESUME_CHECK_MS);
    retry.unref();
  }

  /** QEMU is gone without being asked by stop(). During a start the start itself notices. */
  #onGone(session: Session, poweredOff: boolean): void {
    if (this.#state.kind !== 'running' && this.#state.kind !== 'degraded') return;
    const log = this.logTail(LOG_LINES_OF_A_FAILURE);
    this.#forgetSession();
    this.#stopping ??= this.#kill(session.record).finally(() => {
      this.#stopping = undefined;
    });
    if (poweredOff) this.#set({ kind: 'stopped' });
    else {
      const reason = 'QEMU has ended unexpectedly.';
      this.#set({ kind: 'failed', step: 'qemu', reason, hint: 'Start the machine again; its data is kept.', log });
    }
  }

  async #shutDown(signal?: AbortSignal): Promise<void> {
    const wasStarting = this.#starting;
    const session = this.#session;
    if (!wasStarting && !session) {
      this.#lock?.release();
      this.#lock = undefined;
      if (this.#state.kind !== 'stopped') this.#set({ kind: 'stopped' });
      return;
    }
    this.#set({ kind: 'stopping' });
    if (wasStarting) {
      wasStarting.cancel();
      await wasStarting.settled;
      if (this.#state.kind === 'stopped') return;
    }
    if (session && !session.gone) {
      await this.#powerOff(session, session.greeted ? POWER_OFF_LIMIT_MS : 0, signal);
    }
    this.#forgetSession();
    if (session) await this.#kill(session.record);
    this.#set({ kind: 'stopped' });
  }

  /** Asks the guest to power off; after the limit QEMU is told to end, which at least closes the disk in good order. */
  async #powerOff(session: Session, limitMs: number, signal?: AbortSignal): Promise<void> {
    session.control.send('poweroff');
    if (await waitForExit(session.record, limitMs, signal)) return;
    await session.qmp.execute('quit', undefined, 1_000).catch(() => {});
  }

  /** Makes sure that this QEMU is no more, and that nothing says it is. */
  async #kill(record: Session['record']): Promise<void> {
    if (!(await waitForExit(record, 500))) {
      killProcess(record, 'SIGKILL');
      await waitForExit(record, KILL_LIMIT_MS);
    }
    if (!isAlive(record) && readRecord(this.#paths.qemuState)?.pid === record.pid) {
      rmSync(this.#paths.qemuState, { force: true });
    }
  }

  #forgetSession(): void {
    const session = this.#session;
    this.#session = undefined;
    session?.close();
    clearInterval(this.#housekeeping);
    this.#stats.stop();
    this.#exposed.clear();
    this.#lock?.release();
    this.#lock = undefined;
  }

  /** The ports that the adopted QEMU still forwards. */
  async #recallPorts(session: Session): Promise<void> {
    for (const port of parseUserNet(await session.qmp.human('info usernet'))) {
      if (port.guestPort !== GUEST_SSH_PORT) this.#exposed.set(portKey(port), port);
    }
  }

  #qemuImg(): string {
    const { img } = findQemu(this.#host, this.#options.image.arch);
    if (img) return img;
    throw new MachineError('qemu-missing', 'qemu-img is not installed.', {
      hint: qemuInstallHint(this.#host, this.#options.image.arch),
    });
  }

  #required(): Session {
    if (!this.#session || this.#session.gone) throw notRunning();
    return this.#session;
  }

  #setRunning(): void {
    this.#set({ kind: 'running', since: Date.now(), bootMs: this.#timing?.totalMs ?? 0 });
  }

  #set(state: MachineState): void {
    this.#state = state;
    for (const listener of [...this.#listeners]) listener(state);
  }
}

/** A step ends when the next begins; times count from QEMU's start. */
function timing(entered: { step: StartStep; at: number }[], booted: Booted, end: number): BootTiming {
  const { startedAt } = booted.session.record;
  const steps = entered.map(({ step }, i) => ({ step, atMs: (entered[i + 1]?.at ?? end) - startedAt }));
  return { steps, guest: [...booted.session.guestMarks], totalMs: end - startedAt };
}

function refuseSmaller(diskGb: number, nowBytes: number | undefined): void {
  if (!nowBytes || diskGb * GIB >= nowBytes) return;
  throw new MachineError('refused', `The data disk has ${nowBytes / GIB} GB and can only grow.`);
}

function cancelled(step: StartStep): MachineError {
  return new MachineError('aborted', 'The start of the machine was cancelled.', { step });
}

function notRunning(): MachineError {
  return new MachineError('not-running', 'The machine is not running.', { hint: 'Start it first.' });
}
