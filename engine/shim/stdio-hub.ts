import { Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import { ReadStream, WriteStream } from 'node:tty';

import { closeFd, setWindowSize } from '../linux/descriptors.ts';
import { LogWriter, type OutputName } from './log-writer.ts';
import type { AttachRequest, LogTarget } from './protocol.ts';

const STREAM_NUMBER = { stdout: 1, stderr: 2 } as const;

/** How long output may still come after the process has died, before its streams are cut (as dockerd does). */
const DRAIN_LIMIT_MS = 2000;

/** Where a process's descriptors lead: two pipes and stdin, or one terminal. */
export type StdioEnds =
  | { readonly tty: false; readonly stdin?: number; readonly stdout: number; readonly stderr: number }
  | { readonly tty: true; readonly master: number };

/**
 * The meeting point of one process's stdio: its output goes to the log and to every attached client, and what clients send
 * goes to its stdin. Made by the first client that attaches, or when the process starts; so clients may attach before the
 * start and miss nothing.
 *
 *   waiting ── start ──▶ open ── both outputs at their end ──▶ ended
 */
export class StdioHub {
  readonly #clients = new Map<Socket, AttachRequest>();
  readonly #blocked = new Set<Socket>();
  readonly #outputs: Readable[] = [];
  readonly #ended: Promise<void>;
  #resolveEnded: () => void = () => {};
  #state: 'waiting' | 'open' | 'ended' = 'waiting';
  #tty = false;
  #master: number | undefined;
  #stdin: Writable | undefined;
  #log: LogWriter | undefined;
  #logFull = false;

  constructor() {
    this.#ended = new Promise((resolve) => {
      this.#resolveEnded = resolve;
    });
  }

  get started(): boolean {
    return this.#state !== 'waiting';
  }

  /** Connects the process's descriptors; they belong to the hub from now on. */
  open(ends: StdioEnds, log: LogTarget, onLoss: (lines: number, reason: string) => void): void {
    this.#state = 'open';
    this.#tty = ends.tty;
    if (log.driver !== 'none') this.#log = new LogWriter(log, onLoss);
    if (ends.tty) {
      this.#master = ends.master;
      const terminal = new ReadStream(ends.master);
      this.#stdin = new WriteStream(ends.master);
      this.#follow([['stdout', terminal]]);
    } else {
      if (ends.stdin !== undefined) this.#stdin = new Socket({ fd: ends.stdin, readable: false, writable: true });
      const reader = (fd: number): Socket => new Socket({ fd, readable: true, writable: false });
      this.#follow([
        ['stdout', reader(ends.stdout)],
        ['stderr', reader(ends.stderr)],
      ]);
    }
    // A process may close its stdin or die with bytes on the way to it: that is its own affair.
    this.#stdin?.on('error', () => {});
    for (const [client, request] of this.#clients) this.#feedStdin(client, request);
  }

  #follow(outputs: readonly (readonly [OutputName, Readable])[]): void {
    let open = outputs.length;
    for (const [name, output] of outputs) {
      this.#outputs.push(output);
      output.on('data', (chunk: Buffer) => this.#deliver(name, chunk));
      // Reading a terminal whose other side is closed fails with EIO: that is its end.
      output.on('error', () => output.destroy());
      output.on('close', () => {
        if (--open === 0) void this.#finish();
      });
    }
  }

  #deliver(name: OutputName, chunk: Buffer): void {
    if (this.#log && !this.#log.write(name, chunk) && !this.#logFull) {
      this.#logFull = true;
      void this.#log.drained().then(() => {
        this.#logFull = false;
        this.#adjustFlow();
      });
    }
    for (const [client, request] of this.#clients) {
      if (!request[name]) continue;
      if (!this.#tty) client.write(frameHeader(name, chunk.length));
      if (!client.write(chunk)) this.#blocked.add(client);
    }
    this.#adjustFlow();
  }

  /** Output waits while a client or the log can't take more, as with dockerd: backpressure reaches the process. */
  #adjustFlow(): void {
    const wait = this.#logFull || this.#blocked.size > 0;
    for (const output of this.#outputs) {
      if (wait) output.pause();
      else output.resume();
    }
  }

  async #finish(): Promise<void> {
    this.#state = 'ended';
    this.#stdin?.destroy();
    this.#master = undefined;
    await this.#log?.end();
    for (const client of this.#clients.keys()) client.end();
    this.#resolveEnded();
  }

  /** A client's connection becomes a stream: output framed as Docker's stdcopy (raw for a terminal), input raw. */
  attach(client: Socket, request: AttachRequest): void {
    if (this.#state === 'ended') {
      client.end();
      return;
    }
    this.#clients.set(client, request);
    client.on('drain', () => this.#unblock(client));
    client.on('error', () => client.destroy());
    client.on('close', () => {
      this.#clients.delete(client);
      this.#unblock(client);
    });
    if (!request.stdin) client.resume();
    else if (this.#state === 'open') this.#feedStdin(client, request);
  }

  #unblock(client: Socket): void {
    if (this.#blocked.delete(client)) this.#adjustFlow();
  }

  #feedStdin(client: Socket, request: AttachRequest): void {
    if (!request.stdin) return;
    const stdin = this.#stdin;
    if (!stdin) {
      client.resume();
      return;
    }
    client.on('data', (chunk: Buffer) => {
      if (stdin.destroyed) return;
      if (!stdin.write(chunk)) {
        client.pause();
        stdin.once('drain', () => client.resume());
      }
    });
    client.on('end', () => {
      if (request.closeStdin) this.closeStdin();
    });
    client.on('close', () => {
      if (request.closeStdin) this.closeStdin();
    });
    // It was paused until now, so that nothing it sent before the start is lost.
    client.resume();
  }

  /** End of input: a pipe is closed; a terminal gets its end-of-file character's effect only when the client sends it. */
  closeStdin(): void {
    if (!this.#tty) this.#stdin?.end();
  }

  resize(rows: number, columns: number): void {
    if (this.#master !== undefined) setWindowSize(this.#master, rows, columns);
  }

  /** After the process has died: waits until its output is read to the end, or cuts it after a while. */
  async drain(): Promise<void> {
    const cut = setTimeout(() => {
      for (const output of this.#outputs) output.destroy();
    }, DRAIN_LIMIT_MS);
    await this.#ended;
    clearTimeout(cut);
  }

  /** The process never came to be: whoever waits for its output gets the end. */
  abandon(): void {
    if (this.#state === 'waiting') void this.#finish();
  }

  get unused(): boolean {
    return this.#state === 'waiting' && this.#clients.size === 0;
  }
}

function frameHeader(name: OutputName, length: number): Buffer {
  const header = Buffer.alloc(8);
  header[0] = STREAM_NUMBER[name];
  header.writeUInt32BE(length, 4);
  return header;
}

/** Closes descriptors that no hub took over. */
export function closeEnds(ends: StdioEnds): void {
  if (ends.tty) closeFd(ends.master);
  else for (const fd of [ends.stdin, ends.stdout, ends.stderr]) if (fd !== undefined) closeFd(fd);
}
