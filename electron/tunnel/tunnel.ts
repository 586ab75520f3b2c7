import type { Server, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ClientChannel } from 'ssh2';
import type { MachineState } from '../machine/types.ts';
import { SshLink } from './link.ts';
import { listenLocally } from './listen.ts';
import { refuse } from './refusal.ts';
import { splice } from './splice.ts';
import {
  type GuestOutcome,
  type Tunnel,
  TunnelError,
  type TunnelMachine,
  type TunnelOptions,
  type TunnelState,
} from './types.ts';

const PATIENCE_MS = 60_000;
/** The few connections that one `docker` command makes share the verdict of one failed start. */
const FAILURE_IS_FRESH_MS = 10_000;

/**
 * Opens the local socket. It listens from now until close(), whatever the machine does.
 * Throws TunnelError 'socket-in-use' or 'socket-failed'.
 */
export async function openTunnel(options: TunnelOptions): Promise<Tunnel> {
  const tunnel = new LocalTunnel(options);
  await tunnel.listen();
  return tunnel;
}

class LocalTunnel implements Tunnel {
  readonly socketPath: string;
  readonly clients = { joined: 0, waiting: 0, served: 0 };
  #options: TunnelOptions;
  #machine: TunnelMachine;
  #link: SshLink;
  #server: Server | undefined;
  #locals = new Set<Socket>();
  #listeners = new Set<(state: TunnelState) => void>();
  #closing = new AbortController();
  #lastFailure: { at: number; message: string } | undefined;

  constructor(options: TunnelOptions) {
    this.#options = options;
    this.#machine = options.machine;
    this.socketPath = options.socketPath;
    this.#link = new SshLink(options.machine, (state) => {
      for (const listener of [...this.#listeners]) listener(state);
    });
  }

  get state(): TunnelState {
    return this.#server ? this.#link.state : { kind: 'closed' };
  }

  onState(listener: (state: TunnelState) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  channel(guestSocket: string, signal?: AbortSignal): Promise<ClientChannel> {
    return this.#link.channel(guestSocket, signal);
  }

  run(command: string, input: string, signal?: AbortSignal): Promise<GuestOutcome> {
    return this.#link.run(command, input, signal);
  }

  exec(command: string, signal?: AbortSignal): Promise<ClientChannel> {
    return this.#link.exec(command, signal);
  }

  check(timeoutMs: number): Promise<void> {
    return this.#link.check(this.#engineSocket(), timeoutMs);
  }

  async listen(): Promise<void> {
    try {
      this.#server = await listenLocally(this.socketPath, (socket) => void this.#serve(socket));
    } catch (error) {
      this.#link.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#closing.abort(new TunnelError('closed', 'Skiff is quitting'));
    const server = this.#server;
    const ended = new Promise<void>((done) => (server ? server.close(() => done()) : done()));
    this.#link.close();
    for (const local of this.#locals) local.destroy();
    await ended;
    this.#server = undefined;
  }

  async #serve(client: Socket): Promise<void> {
    this.#locals.add(client);
    client.once('close', () => this.#locals.delete(client));
    const gone = new AbortController();
    const onGone = () => gone.abort(new TunnelError('closed', 'the client went away'));
    client.once('close', onGone);
    client.on('error', onGone);
    this.clients.waiting++;
    this.clients.served++;
    let channel: ClientChannel;
    try {
      channel = await this.#engineChannel(AbortSignal.any([gone.signal, this.#closing.signal]));
    } catch (error) {
      refuse(client, `skiff: ${error instanceof Error ? error.message : String(error)}`);
      return;
    } finally {
      this.clients.waiting--;
    }
    if (client.destroyed) {
      channel.destroy();
      return;
    }
    client.off('close', onGone);
    client.off('error', onGone);
    this.clients.joined++;
    await splice(client, channel);
    this.clients.joined--;
  }

  /** Waits through boots, re-dials and restarts of the engine; gives up only when the machine does or time is up. */
  async #engineChannel(signal: AbortSignal): Promise<ClientChannel> {
    const patience = this.#options.patienceMs ?? PATIENCE_MS;
    let refusedSince: number | undefined;
    for (let pause = 25; ; pause = Math.min(pause * 2, 500)) {
      await this.#machineUp(signal);
      // The machine may go down while we wait for the connection: then go round and look at it again.
      const down = new AbortController();
      const unsubscribe = this.#machine.onState((state) => {
        if (!isUp(state)) down.abort();
      });
      try {
        return await this.#link.channel(this.#engineSocket(), AbortSignal.any([signal, down.signal]));
      } catch (error) {
        if (signal.aborted) throw signal.reason;
        if (down.signal.aborted) continue;
        if (!(error instanceof TunnelError) || error.kind !== 'unreachable') throw error;
        refusedSince ??= Date.now();
        if (Date.now() - refusedSince > patience || this.#link.state.kind === 'blocked') throw error;
        await sleep(pause, undefined, { signal });
      } finally {
        unsubscribe();
      }
    }
  }

  #engineSocket(): string {
    try {
      return this.#machine.endpoint().engineSocket;
    } catch {
      return '/run/skiff/docker.sock';
    }
  }

  /** Resolves when the machine is up; starts it when it is not (and that is wished). */
  async #machineUp(signal: AbortSignal): Promise<void> {
    for (;;) {
      signal.throwIfAborted();
      const state = this.#machine.state;
      if (isUp(state)) return;
      if (state.kind === 'stopping') {
        await this.#machineChange(signal);
        continue;
      }
      if (state.kind !== 'starting' && this.#options.wakes?.() === false) {
        throw new TunnelError('not-running', 'the machine is stopped; start it with `skiff start` or in the window');
      }
      const failure = this.#lastFailure;
      if (state.kind === 'failed' && failure && Date.now() - failure.at < FAILURE_IS_FRESH_MS) {
        throw new TunnelError('start-failed', failure.message);
      }
      await this.#wake(signal);
    }
  }

  async #wake(signal: AbortSignal): Promise<void> {
    // The boot goes on when the client that woke the machine leaves: the next one will want it.
    const started = this.#machine.start();
    started.catch(() => {});
    try {
      await Promise.race([started, aborted(signal)]);
    } catch (cause) {
      if (signal.aborted) throw signal.reason;
      const { message, hint } = cause as { message: string; hint?: string };
      const words = `the machine did not start: ${message}${hint ? ` (${hint})` : ''}`;
      this.#lastFailure = { at: Date.now(), message: words };
      throw new TunnelError('start-failed', words, { cause });
    }
  }

  #machineChange(signal: AbortSignal): Promise<void> {
    return new Promise((done) => {
      const finish = () => {
        unsubscribe();
        signal.removeEventListener('abort', finish);
        done();
      };
      const unsubscribe = this.#machine.onState(finish);
      signal.addEventListener('abort', finish, { once: true });
    });
  }
}

/** `degraded` is up: the guest restarts what died in it, and clients wait for that. */
function isUp(state: MachineState): boolean {
  return state.kind === 'running' || state.kind === 'degraded';
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, fail) => {
    if (signal.aborted) fail(signal.reason);
    signal.addEventListener('abort', () => fail(signal.reason), { once: true });
  });
}
