/** A running QEMU with its two connections: the monitor (QMP) and the guest's control port. */
import { EventEmitter } from 'node:events';
import { GUEST_SSH_PORT } from './arguments.ts';
import type { GuestCommand, GuestControl, GuestEvent } from './control.ts';
import { parseUserNet } from './ports.ts';
import type { ProcessId } from './process.ts';
import type { QmpClient, QmpEvent } from './qmp.ts';
import { type Accelerator, type BootTiming, MachineError, type StartStep } from './types.ts';

/** A large disk on a slow host takes its time to be trimmed or grown. */
const COMMAND_LIMIT_MS = 300_000;

/** Kept on disk while QEMU runs, so that the next app can take it over. */
export interface QemuRecord extends ProcessId {
  imageVersion: string;
  accelerator: Accelerator;
  /** milliseconds since the epoch */
  startedAt: number;
}

/**
 * Emits `change` when the guest said something, and `gone` once when QEMU has ended or its monitor is lost;
 * `gone` says whether the guest had powered itself off.
 */
export class Session extends EventEmitter<{ change: [GuestEvent]; stopped: [string]; resumed: []; gone: [boolean] }> {
  readonly record: QemuRecord;
  readonly qmp: QmpClient;
  readonly control: GuestControl;
  readonly guestMarks: BootTiming['guest'] = [];
  /** has the guest said anything */
  greeted = false;
  hostKey: Buffer | undefined;
  sshPort = 0;
  engineReady = false;
  /** how often the engine has ended since it was last ready */
  engineFailures = 0;
  engineStatus = 0;
  failure: { what: string; reason: string } | undefined;
  #poweredOff = false;
  #gone = false;

  constructor(record: QemuRecord, qmp: QmpClient, control: GuestControl) {
    super();
    this.record = record;
    this.qmp = qmp;
    this.control = control;
    control.on('event', (event) => this.#onGuest(event));
    qmp.on('event', (event) => this.#onQemu(event));
    qmp.on('close', () => {
      if (this.#gone) return;
      this.#gone = true;
      control.close();
      this.emit('gone', this.#poweredOff);
    });
  }

  get gone(): boolean {
    return this.#gone;
  }

  /** The forwarded port that leads to sshd; QEMU chose it. */
  async readSshPort(): Promise<void> {
    const ports = parseUserNet(await this.qmp.human('info usernet'));
    const found = ports.find((port) => port.guestPort === GUEST_SSH_PORT && port.hostIp === '127.0.0.1');
    if (!found) throw new MachineError('qemu-failed', 'QEMU has opened no port for SSH.', { step: 'qemu' });
    this.sshPort = found.hostPort;
  }

  /**
   * Resolves when `reached` holds. Rejects when QEMU ends, the guest reports a failure, the engine keeps ending, the limit
   * passes or the signal fires. `limitMs` is asked again after each word of the guest: a disk check may take long.
   */
  async until(
    step: StartStep,
    reached: () => boolean,
    limitMs: (said: BootTiming['guest']) => number,
    signal: AbortSignal,
  ): Promise<void> {
    const began = Date.now();
    await new Promise<void>((resolve, reject) => {
      let timer: NodeJS.Timeout;
      const finish = (error?: Error) => {
        clearTimeout(timer);
        this.off('change', look).off('gone', look);
        signal.removeEventListener('abort', look);
        if (error) reject(error);
        else resolve();
      };
      const look = () => {
        if (reached()) return finish();
        const problem = this.#problem(step, signal);
        if (problem) return finish(problem);
        clearTimeout(timer);
        const limit = limitMs(this.guestMarks);
        const left = limit - (Date.now() - began);
        if (left > 0) timer = setTimeout(look, left);
        else finish(timedOut(step, limit));
      };
      this.on('change', look).on('gone', look);
      signal.addEventListener('abort', look);
      look();
    });
  }

  /** Sends a command and waits for the guest's word that it is done. */
  async command(command: GuestCommand, answer: string): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const finish = (error?: MachineError) => {
        clearTimeout(timer);
        this.off('change', look).off('gone', gone);
        if (error) reject(error);
        else resolve();
      };
      const gone = () => finish(new MachineError('not-running', 'The machine ended meanwhile.'));
      const look = (event: GuestEvent) => {
        if (event.kind !== 'progress' || event.what !== answer) return;
        const failed = event.status ? new MachineError('guest-failed', `The machine could not ${command}.`) : undefined;
        finish(failed);
      };
      const timer = setTimeout(
        () =>
          finish(new MachineError('timeout', `The machine did not ${command} within ${COMMAND_LIMIT_MS / 1000} s.`)),
        COMMAND_LIMIT_MS,
      );
      this.on('change', look).on('gone', gone);
      this.control.send(command);
    });
  }

  close(): void {
    this.#gone = true;
    this.qmp.close();
    this.control.close();
  }

  #problem(step: StartStep, signal: AbortSignal): MachineError | undefined {
    if (signal.aborted) return new MachineError('aborted', 'The start of the machine was cancelled.', { step });
    if (this.failure) {
      return new MachineError('guest-failed', `The machine cannot go on: ${this.failure.reason}.`, {
        step,
        hint: 'The last log lines say more.',
      });
    }
    if (this.#gone) {
      return new MachineError('qemu-failed', 'QEMU has ended while the machine was starting.', {
        step,
        hint: 'The last log lines say why: a kernel panic, or the system has killed QEMU (out of memory?).',
      });
    }
    if (this.engineFailures >= 4 && step === 'engine') {
      return new MachineError('guest-failed', `The engine does not start (it ends with status ${this.engineStatus}).`, {
        step,
        hint: 'The last log lines are its own.',
      });
    }
    return undefined;
  }

  #onGuest(event: GuestEvent): void {
    this.greeted = true;
    if (event.kind === 'sshd') this.hostKey = event.hostKey;
    if (event.kind === 'engine-ready') {
      this.engineReady = true;
      this.engineFailures = 0;
    }
    if (event.kind === 'engine-down') {
      this.engineReady = false;
      this.engineFailures += 1;
      this.engineStatus = event.status;
    }
    if (event.kind === 'failed') this.failure = { what: event.what, reason: event.reason };
    if (event.kind === 'stopping') this.#poweredOff = true;
    if (this.guestMarks.length < 100) {
      this.guestMarks.push({ mark: event.kind === 'progress' ? event.what : event.kind, uptimeMs: event.uptimeMs });
    }
    this.emit('change', event);
  }

  #onQemu(event: QmpEvent): void {
    if (event.event === 'SHUTDOWN' && event.data.reason === 'guest-shutdown') this.#poweredOff = true;
    if (event.event === 'BLOCK_IO_ERROR' && event.data.action === 'stop') {
      this.emit('stopped', event.data.nospace ? 'disk-full' : String(event.data.reason ?? 'disk error'));
    }
    if (event.event === 'RESUME') this.emit('resumed');
  }
}

function timedOut(step: StartStep, limitMs: number): MachineError {
  const what: Partial<Record<StartStep, string>> = {
    kernel: 'The kernel of the machine has not started',
    ssh: "The machine's SSH server has not started",
    engine: 'The engine has not answered',
  };
  return new MachineError('timeout', `${what[step] ?? `Step ${step} was not done`} within ${limitMs / 1000} s.`, {
    step,
    hint: 'The last log lines may say why. On a very busy computer, try again.',
  });
}
