import { rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';

import { systemError } from '../errors.ts';

/** A published port as the machine that runs the VM must open it. */
export interface HostPort {
  readonly proto: 'tcp' | 'udp';
  readonly hostIp: string;
  readonly hostPort: number;
}

interface HostAnswer {
  readonly id: number;
  readonly ok?: boolean;
  readonly error?: string;
  readonly holder?: string;
}

/** How long the host may take to open a port before the start fails. */
const ANSWER_LIMIT_MS = 10_000;

/**
 * The way from the engine to the machine that runs its VM: JSON lines over a unix socket that the app connects to through
 * its tunnel. The engine says which ports must be open; on every (re)connect it says all of them, so a new app or tunnel
 * makes the same set again. While no app is connected nothing can be opened, and nothing waits for it.
 */
export class HostChannel {
  readonly #ports = new Map<string, HostPort>();
  readonly #waiting = new Map<number, (answer: HostAnswer) => void>();
  #server: Server | undefined;
  #host: Socket | undefined;
  #next = 0;

  /** Listens for the app. */
  async listen(path: string): Promise<void> {
    rmSync(path, { force: true });
    const server = createServer((socket) => this.#adopt(socket));
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(path, resolve);
    });
  }

  #adopt(socket: Socket): void {
    this.#host?.destroy();
    this.#host = socket;
    let pending = '';
    socket.setEncoding('utf8');
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      if (this.#host === socket) this.#host = undefined;
    });
    socket.on('data', (chunk: string) => {
      pending += chunk;
      for (let at = pending.indexOf('\n'); at >= 0; at = pending.indexOf('\n')) {
        const answer = JSON.parse(pending.slice(0, at)) as HostAnswer;
        pending = pending.slice(at + 1);
        this.#waiting.get(answer.id)?.(answer);
      }
    });
    socket.write(`${JSON.stringify({ op: 'sync', ports: [...this.#ports.values()] })}\n`);
  }

  /** Opens a port on the host; throws in Docker's words when the host refuses. */
  async expose(port: HostPort): Promise<void> {
    if (this.#host) {
      const answer = await this.#ask('expose', port);
      if (answer.error) {
        const holder = answer.holder ? ` (held by ${answer.holder})` : '';
        throw systemError(`Bind for ${port.hostIp}:${port.hostPort} failed: ${answer.error}${holder}`);
      }
    }
    this.#ports.set(keyOf(port), port);
  }

  async unexpose(port: HostPort): Promise<void> {
    this.#ports.delete(keyOf(port));
    if (this.#host) await this.#ask('unexpose', port);
  }

  #ask(op: 'expose' | 'unexpose', port: HostPort): Promise<HostAnswer> {
    const id = ++this.#next;
    return new Promise((resolve) => {
      const host = this.#host;
      const finish = (answer: HostAnswer): void => {
        clearTimeout(timer);
        host?.off('close', gone);
        this.#waiting.delete(id);
        resolve(answer);
      };
      const gone = (): void => finish({ id, ok: true });
      const timer = setTimeout(() => finish({ id, error: 'the host did not answer' }), ANSWER_LIMIT_MS);
      this.#waiting.set(id, finish);
      host?.once('close', gone);
      host?.write(`${JSON.stringify({ id, op, ...port })}\n`);
    });
  }

  close(): void {
    this.#server?.close();
    this.#host?.destroy();
  }
}

const keyOf = (port: HostPort): string => `${port.proto} ${port.hostIp} ${port.hostPort}`;
