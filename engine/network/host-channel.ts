import { rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';

import { systemError } from '../errors.ts';

/** A published port as the machine that runs the VM must open it. */
export interface HostPort {
  readonly proto: 'tcp' | 'udp';
  readonly hostIp: string;
  readonly hostPort: number;
}

/** A file or folder that changed there. */
export interface HostChange {
  readonly path: string;
  /** When it was last modified, nanoseconds since the epoch; absent when it is gone. */
  readonly mtime?: string;
  readonly folder?: boolean;
}

interface HostAnswer {
  readonly id: number;
  readonly ok?: boolean;
  readonly error?: string;
  readonly holder?: string;
  /** All folders that are watched now. */
  readonly folders?: readonly string[];
}

/** Who has folders of the host mounted. */
export interface HostWatcher {
  /** All folders that are watched now; none when nobody watches any more. */
  watched(folders: readonly string[]): Promise<void>;
  changed(changes: readonly HostChange[]): void;
}

/** How long a container's start waits for its folders to be watched. */
const WATCH_LIMIT_MS = 1_000;

/** How long the host may take to open a port before the start fails. */
const ANSWER_LIMIT_MS = 10_000;

/**
 * The way from the engine to the machine that runs its VM: JSON lines over a unix socket that the app connects to through
 * its tunnel. The engine says which ports must be open; on every (re)connect it says all of them, so a new app or tunnel
 * makes the same set again. While no app is connected nothing can be opened, and nothing waits for it. In the same way it says
 * which folders of the host are in use, and hears what changes in them.
 */
export class HostChannel {
  readonly #ports = new Map<string, HostPort>();
  #paths: readonly string[] = [];
  #watcher: HostWatcher | undefined;
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
      if (this.#host !== socket) return;
      this.#host = undefined;
      void this.#watcher?.watched([]);
    });
    socket.on('data', (chunk: string) => {
      pending += chunk;
      for (let at = pending.indexOf('\n'); at >= 0; at = pending.indexOf('\n')) {
        const said = JSON.parse(pending.slice(0, at)) as HostAnswer | { readonly changes: readonly HostChange[] };
        pending = pending.slice(at + 1);
        if ('changes' in said) this.#watcher?.changed(said.changes);
        else void this.#answered(said);
      }
    });
    socket.write(`${JSON.stringify({ op: 'sync', ports: [...this.#ports.values()] })}\n`);
    if (this.#paths.length > 0) void this.#watch();
  }

  /** @param watcher hears of the folders that `watch` names */
  setWatcher(watcher: HostWatcher): void {
    this.#watcher = watcher;
  }

  /** These paths of the host, and no others, are mounted by running containers. Resolves when changes in them are told, or soon. */
  async watch(paths: readonly string[]): Promise<void> {
    this.#paths = paths;
    await this.#watch();
  }

  async #watch(): Promise<void> {
    if (!this.#host) return;
    await this.#ask({ op: 'watch', paths: this.#paths }, WATCH_LIMIT_MS);
  }

  /** An answer that comes too late for who asked still says what is watched. */
  async #answered(answer: HostAnswer): Promise<void> {
    if (answer.folders) await this.#watcher?.watched(answer.folders);
    this.#waiting.get(answer.id)?.(answer);
  }

  /** Opens a port on the host; throws in Docker's words when the host refuses. */
  async expose(port: HostPort): Promise<void> {
    if (this.#host) {
      const answer = await this.#ask({ op: 'expose', ...port }, ANSWER_LIMIT_MS);
      if (answer.error) {
        const holder = answer.holder ? ` (held by ${answer.holder})` : '';
        throw systemError(`Bind for ${port.hostIp}:${port.hostPort} failed: ${answer.error}${holder}`);
      }
    }
    this.#ports.set(keyOf(port), port);
  }

  async unexpose(port: HostPort): Promise<void> {
    this.#ports.delete(keyOf(port));
    if (this.#host) await this.#ask({ op: 'unexpose', ...port }, ANSWER_LIMIT_MS);
  }

  #ask(question: object, limitMs: number): Promise<HostAnswer> {
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
      const timer = setTimeout(() => finish({ id, error: 'the host did not answer' }), limitMs);
      this.#waiting.set(id, finish);
      host?.once('close', gone);
      host?.write(`${JSON.stringify({ id, ...question })}\n`);
    });
  }

  close(): void {
    this.#server?.close();
    this.#host?.destroy();
  }
}

const keyOf = (port: HostPort): string => `${port.proto} ${port.hostIp} ${port.hostPort}`;
