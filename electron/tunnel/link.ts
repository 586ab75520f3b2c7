import { setTimeout as sleep } from 'node:timers/promises';
import type { ClientChannel } from 'ssh2';
import type { MachineState, SshEndpoint } from '../machine/types.ts';
import { dial, OpenFailure, type SshConnection } from './dial.ts';
import { type GuestOutcome, TunnelError, type TunnelMachine, type TunnelState } from './types.ts';

const FIRST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 2_000;

/**
 * Keeps one SSH connection to the guest for as long as the machine has an endpoint: dials as soon as there is one, dials
 * again when the connection is lost, and lets those who want a channel wait meanwhile.
 */
export class SshLink {
  #machine: TunnelMachine;
  #onState: (state: TunnelState) => void;
  #state: TunnelState = { kind: 'idle' };
  #connection: SshConnection | undefined;
  /** aborted when the machine goes or the link closes; a new one for every boot of the machine */
  #dialling: AbortController | undefined;
  #waiters = new Set<() => void>();
  /** for the connection in use: ends #lost() */
  #retired = new WeakMap<SshConnection, (reason: string) => void>();
  #unsubscribe: () => void;
  #closed = false;

  constructor(machine: TunnelMachine, onState: (state: TunnelState) => void) {
    this.#machine = machine;
    this.#onState = onState;
    this.#unsubscribe = machine.onState((state) => this.#follow(state));
    this.#follow(machine.state);
  }

  get state(): TunnelState {
    return this.#state;
  }

  /** See Tunnel.channel. */
  async channel(guestSocket: string, signal?: AbortSignal): Promise<ClientChannel> {
    for (;;) {
      const connection = await this.#connected(signal);
      try {
        return await connection.open(guestSocket);
      } catch (error) {
        if (!(error instanceof OpenFailure)) throw error;
        if (error.why === 'nobody-listens') {
          throw new TunnelError('unreachable', `nobody listens on ${guestSocket} in the machine`, { cause: error });
        }
        this.#retire(connection, error.message);
      }
    }
  }

  /** See Tunnel.run. */
  async run(command: string, input: string, signal?: AbortSignal): Promise<GuestOutcome> {
    const connection = await this.#connected(signal);
    return connection.run(command, input);
  }

  /** See Tunnel.exec. */
  async exec(command: string, signal?: AbortSignal): Promise<ClientChannel> {
    const connection = await this.#connected(signal);
    return connection.exec(command);
  }

  /** See Tunnel.check. */
  async check(guestSocket: string, timeoutMs: number): Promise<void> {
    const connection = this.#connection;
    if (!connection) return;
    const alive = await Promise.race([
      connection.open(guestSocket).then(
        (channel) => channel.destroy() !== undefined,
        (error) => error instanceof OpenFailure && error.why === 'nobody-listens',
      ),
      sleep(timeoutMs, false, { ref: false }),
    ]);
    // Unlike a slow channel open, this was asked because the connection is under suspicion: its streams are dead as well.
    if (!alive && this.#connection === connection) connection.end();
  }

  close(): void {
    this.#closed = true;
    this.#unsubscribe();
    this.#hangUp({ kind: 'closed' });
  }

  #set(state: TunnelState): void {
    this.#state = state;
    for (const wake of [...this.#waiters]) wake();
    this.#onState(state);
  }

  #endpoint(): SshEndpoint | undefined {
    try {
      return this.#machine.endpoint();
    } catch {
      return undefined;
    }
  }

  #follow(machine: MachineState): void {
    if (this.#closed) return;
    const up = machine.kind === 'starting' || machine.kind === 'running' || machine.kind === 'degraded';
    if (!up) {
      if (this.#state.kind !== 'idle') this.#hangUp({ kind: 'idle' });
    } else if (!this.#dialling && this.#endpoint()) {
      this.#dialling = new AbortController();
      void this.#keepDialled(this.#dialling.signal);
    }
  }

  #hangUp(next: TunnelState): void {
    this.#dialling?.abort(new TunnelError('closed', 'the machine was stopped'));
    this.#dialling = undefined;
    this.#connection?.end();
    this.#connection = undefined;
    this.#set(next);
  }

  async #keepDialled(signal: AbortSignal): Promise<void> {
    let reason: string | undefined;
    let pause = FIRST_RETRY_MS;
    for (let attempt = 1; !signal.aborted; attempt++) {
      this.#set({ kind: 'dialling', attempt, since: Date.now(), reason });
      try {
        const endpoint = this.#endpoint();
        if (!endpoint) throw new TunnelError('not-running', 'the machine has no SSH endpoint now');
        const connection = await dial(endpoint, signal);
        if (signal.aborted) return connection.end();
        this.#connection = connection;
        this.#set({ kind: 'connected', since: Date.now() });
        reason = await this.#lost(connection);
        attempt = 0;
        pause = FIRST_RETRY_MS;
      } catch (error) {
        if (signal.aborted) return;
        reason = (error as Error).message;
        if (error instanceof TunnelError && (error.kind === 'host-key' || error.kind === 'auth')) {
          this.#set({ kind: 'blocked', reason, hint: error.hint });
          return;
        }
        await sleep(pause, undefined, { signal }).catch(() => {});
        pause = Math.min(pause * 2, LONGEST_RETRY_MS);
      }
    }
  }

  /** Resolves with the reason when the connection has ended or was retired. */
  #lost(connection: SshConnection): Promise<string> {
    return new Promise((done) => {
      this.#retired.set(connection, done);
      void connection.closed.then((reason) => {
        if (this.#connection === connection) this.#connection = undefined;
        done(reason);
      });
    });
  }

  /**
   * Stops using a connection that did not answer an open, and dials another one. Its streams are left to keepalive: if the
   * guest was only slow they go on.
   */
  #retire(connection: SshConnection, reason: string): void {
    if (this.#connection !== connection) return;
    this.#connection = undefined;
    this.#retired.get(connection)?.(reason);
  }

  async #connected(signal?: AbortSignal): Promise<SshConnection> {
    for (;;) {
      signal?.throwIfAborted();
      if (this.#closed) throw new TunnelError('closed', 'the tunnel was closed');
      if (this.#connection) return this.#connection;
      if (this.#state.kind === 'blocked') {
        throw new TunnelError('unreachable', this.#state.reason, { hint: this.#state.hint });
      }
      await this.#change(signal);
    }
  }

  #change(signal?: AbortSignal): Promise<void> {
    return new Promise((done) => {
      const wake = () => {
        this.#waiters.delete(wake);
        signal?.removeEventListener('abort', wake);
        done();
      };
      this.#waiters.add(wake);
      signal?.addEventListener('abort', wake, { once: true });
    });
  }
}
