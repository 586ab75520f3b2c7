/** A client of QEMU's machine protocol (docs/interop/qmp-spec in QEMU's sources): JSON objects over a private socket. */
import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { MachineError } from './types.ts';

export interface QmpEvent {
  event: string;
  data: Record<string, unknown>;
}

interface Pending {
  resolve: (value: unknown) => void;
  reject: (error: Error) => void;
  timer: NodeJS.Timeout;
}

const REPLY_LIMIT_MS = 10_000;

/** Emits `event` (QmpEvent) and, once, `close`. */
export class QmpClient extends EventEmitter<{ event: [QmpEvent]; close: [] }> {
  readonly #socket: Socket;
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;
  #buffer = '';
  #closed = false;

  private constructor(socket: Socket) {
    super();
    this.#socket = socket;
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => this.#receive(chunk));
    socket.on('error', () => {});
    socket.on('close', () => this.#onClose());
  }

  /** Takes a connected socket and leaves the greeting's negotiation behind. Rejects when it isn't QEMU that answers. */
  static async open(socket: Socket, limitMs: number = REPLY_LIMIT_MS): Promise<QmpClient> {
    const client = new QmpClient(socket);
    try {
      await client.execute('qmp_capabilities', undefined, limitMs);
      return client;
    } catch (error) {
      client.close();
      throw error;
    }
  }

  /** Runs a command and resolves with its `return`. Throws MachineError 'qmp'. */
  async execute(command: string, args?: Record<string, unknown>, limitMs: number = REPLY_LIMIT_MS): Promise<unknown> {
    if (this.#closed) throw new MachineError('qmp', `QEMU's monitor is closed (${command})`);
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#pending.delete(id);
        reject(new MachineError('qmp', `QEMU did not answer ${command} within ${limitMs / 1000} s`));
      }, limitMs);
      this.#pending.set(id, { resolve, reject, timer });
      this.#socket.write(`${JSON.stringify({ execute: command, arguments: args, id })}\r\n`);
    });
  }

  /** A command of the human monitor; resolves with the text it prints, which is also where its errors are. */
  async human(commandLine: string): Promise<string> {
    const text = await this.execute('human-monitor-command', { 'command-line': commandLine });
    return String(text).trim();
  }

  close(): void {
    this.#socket.destroy();
  }

  #receive(chunk: string): void {
    this.#buffer += chunk;
    const lines = this.#buffer.split('\n');
    this.#buffer = lines.pop()!;
    for (const line of lines) if (line.trim()) this.#handle(JSON.parse(line) as Record<string, unknown>);
  }

  #handle(message: Record<string, unknown>): void {
    if (typeof message.event === 'string') {
      this.emit('event', { event: message.event, data: (message.data ?? {}) as Record<string, unknown> });
      return;
    }
    const pending = this.#pending.get(message.id as number);
    if (!pending) return; // the greeting, or an answer that came too late
    this.#pending.delete(message.id as number);
    clearTimeout(pending.timer);
    const error = message.error as { desc?: string } | undefined;
    if (error) pending.reject(new MachineError('qmp', error.desc ?? 'QEMU refused a command'));
    else pending.resolve(message.return);
  }

  #onClose(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const { reject, timer } of this.#pending.values()) {
      clearTimeout(timer);
      reject(new MachineError('qmp', "QEMU's monitor was closed"));
    }
    this.#pending.clear();
    this.emit('close');
  }
}
