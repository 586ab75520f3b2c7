import { spawn } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { mkdirSync, openSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { messageOf, systemError, unavailable } from '../errors.ts';
import type { AttachRequest, ShimAnswers, ShimEvent, ShimReply, ShimRequest } from '../shim/protocol.ts';

/** How long a new shim may take until its socket answers. */
const START_LIMIT_MS = 15_000;

export interface ShimOptions {
  /** Its directory in exec-root: socket, exits, scratch. */
  readonly directory: string;
  /** The program: node and its arguments, before the directory. */
  readonly command: readonly string[];
}

/** The OCI runtime refused; the message is its own. */
export class RuntimeFailed extends Error {}

interface Pending {
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
}

/**
 * skiffd's side of the shim: one control connection, and one connection per attached client. The shim is started when none
 * answers, and found again after skiffd's own restart.
 *
 * Events: 'exit' and 'logLoss' (ShimEvent), 'lost' when the control connection breaks, which only the shim's death does.
 */
export class ShimClient extends EventEmitter<{ event: [ShimEvent]; lost: [] }> {
  readonly #options: ShimOptions;
  readonly #pending = new Map<number, Pending>();
  #control: Socket | undefined;
  /** Resolves when there is a shim again; rejects when none could be started. */
  #ready = Promise.withResolvers<void>();
  #failed = false;
  /** A connection that breaks before the first answer was never a shim's. */
  #greeting = false;
  #next = 0;

  constructor(options: ShimOptions) {
    super();
    this.#options = options;
    this.#ready.promise.catch(() => {});
  }

  get #socketPath(): string {
    return join(this.#options.directory, 'shim.sock');
  }

  /** Connects to the living shim, or starts one. @returns whether it was already there */
  async open(): Promise<boolean> {
    if (this.#failed) this.#renew();
    try {
      const found = await this.#greetLiving();
      if (!found) await this.#greetNew();
      this.#ready.resolve();
      return found;
    } catch (error) {
      this.#ready.reject(error as Error);
      this.#failed = true;
      throw error;
    }
  }

  /** A shim that has been killed may still take connections for a moment, but doesn't answer. */
  async #greetLiving(): Promise<boolean> {
    const found = await this.#dial();
    if (!found) return false;
    this.#adopt(found);
    return this.#hello().then(
      () => true,
      () => false,
    );
  }

  async #greetNew(): Promise<void> {
    await this.#launch();
    await this.#hello();
  }

  async #hello(): Promise<void> {
    this.#greeting = true;
    try {
      await this.#send({ op: 'hello' });
    } finally {
      this.#greeting = false;
    }
  }

  /** A promise that nobody waits for may be rejected. */
  #renew(): void {
    this.#failed = false;
    this.#ready = Promise.withResolvers<void>();
    this.#ready.promise.catch(() => {});
  }

  async #launch(): Promise<void> {
    const { directory, command } = this.#options;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const log = openSync(join(directory, 'shim.log'), 'a', 0o600);
    const [program, ...args] = command;
    // A session of its own: no terminal or process group of skiffd's can end it.
    const child = spawn(program!, [...args, directory], { detached: true, stdio: ['ignore', log, log], cwd: '/' });
    let failure: string | undefined;
    child.on('error', (error) => {
      failure = error.message;
    });
    child.on('exit', (code, signal) => {
      failure ??= `it ended with ${signal ?? code}`;
    });
    child.unref();
    const deadline = Date.now() + START_LIMIT_MS;
    for (;;) {
      const socket = await this.#dial();
      if (socket) {
        this.#adopt(socket);
        return;
      }
      if (failure || Date.now() > deadline) throw systemError(`cannot start the shim: ${failure ?? 'no answer'}`);
      await delay(15);
    }
  }

  #dial(): Promise<Socket | undefined> {
    return new Promise((resolve) => {
      const socket = connect({ path: this.#socketPath, allowHalfOpen: true });
      socket.once('connect', () => resolve(socket));
      socket.once('error', () => resolve(undefined));
    });
  }

  #adopt(socket: Socket): void {
    this.#control = socket;
    let pending = '';
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => {
      pending += chunk;
      for (let at = pending.indexOf('\n'); at >= 0; at = pending.indexOf('\n')) {
        this.#receive(JSON.parse(pending.slice(0, at)) as ShimReply | ShimEvent);
        pending = pending.slice(at + 1);
      }
    });
    socket.on('error', () => socket.destroy());
    socket.on('end', () => socket.destroy());
    socket.on('close', () => {
      if (this.#control !== socket) return;
      this.#control = undefined;
      const known = !this.#greeting;
      if (known) this.#renew();
      for (const { reject } of this.#pending.values()) reject(unavailable('the shim has died'));
      this.#pending.clear();
      if (known) this.emit('lost');
    });
  }

  #receive(message: ShimReply | ShimEvent): void {
    if ('event' in message) {
      this.emit('event', message);
      return;
    }
    const waiting = this.#pending.get(message.id);
    this.#pending.delete(message.id);
    if ('failed' in message) waiting?.reject(new RuntimeFailed(message.failed));
    else waiting?.resolve(message.ok as never);
  }

  /** Sends one request; rejects with RuntimeFailed when the shim or the OCI runtime refused. Waits while a shim comes up. */
  async request<Op extends ShimRequest['op']>(request: Extract<ShimRequest, { op: Op }>): Promise<ShimAnswers[Op]> {
    if (!this.#control) await this.#ready.promise;
    return this.#send(request);
  }

  #send<Op extends ShimRequest['op']>(request: Extract<ShimRequest, { op: Op }>): Promise<ShimAnswers[Op]> {
    return new Promise((resolve, reject) => {
      if (!this.#control) {
        reject(unavailable('the shim has died'));
        return;
      }
      const id = ++this.#next;
      this.#pending.set(id, { resolve, reject });
      this.#control.write(`${JSON.stringify({ id, ...request })}\n`);
    });
  }

  /**
   * Opens a byte stream to a process: what is written goes to its stdin, what comes is its output (Docker's stdcopy frames,
   * raw for a terminal). May be opened before the process starts; ends when its output has ended.
   */
  async attach(request: Omit<AttachRequest, 'op'>): Promise<Socket> {
    if (!this.#control) await this.#ready.promise;
    const socket = await this.#dial();
    if (!socket) throw unavailable('the shim has died');
    socket.on('error', () => socket.destroy());
    socket.write(`${JSON.stringify({ op: 'attach', ...request })}\n`);
    return socket;
  }

  /** Ends the shim when it holds no living process; otherwise leaves it and reports why. */
  async shutdown(): Promise<string | undefined> {
    try {
      await this.request({ op: 'shutdown' });
      return undefined;
    } catch (error) {
      return messageOf(error);
    }
  }

  /** Lets go of the control connection; the shim lives on. */
  close(): void {
    const control = this.#control;
    this.#control = undefined;
    control?.destroy();
    this.#ready.reject(unavailable('the engine is ending'));
  }
}
