import type { ClientChannel } from 'ssh2';
import type { Machine } from '../machine/types.ts';

/**
 * The local socket and the way from it into the machine. Types and the error class only.
 *
 *            open()            machine has an endpoint           SSH is up
 *   closed ─────────▶ idle ────────────────────────▶ dialling ───────────▶ connected
 *      ▲               ▲  ▲                            │   ▲                  │
 *      │ close()       │  └──── machine stopped ───────┤   └── connection ────┤
 *      └── any         │                               ▼        lost          │
 *                      │◀──────── machine stopped ── blocked                  │
 *                      └──────────────── machine stopped ─────────────────────┘
 *
 * The local socket listens in every state but `closed`; clients wait, they are not refused.
 */
export type TunnelState =
  | { kind: 'closed' }
  /** listening; the machine is not up, so there is nothing to dial */
  | { kind: 'idle' }
  /** `attempt` counts from 1; `reason` is why the last attempt failed or the connection was lost */
  | { kind: 'dialling'; attempt: number; since: number; reason: string | undefined }
  | { kind: 'connected'; since: number }
  /** dialling again would not help (wrong host key, key refused); left when the machine starts anew */
  | { kind: 'blocked'; reason: string; hint: string };

export type TunnelErrorKind =
  | 'socket-in-use' // another program, or another Skiff, answers on the local socket
  | 'socket-failed' // the local socket can't be made
  | 'not-running' // the machine is not up and is not to be woken
  | 'start-failed' // the machine was woken and did not come up
  | 'unreachable' // the guest does not answer within the time a client is let wait
  | 'host-key' // the guest showed a host key that is not the one it told at boot
  | 'auth' // the guest refused our key
  | 'closed'; // the tunnel was closed meanwhile

/** Every error that leaves electron/tunnel. `message` says what happened, `hint` what to do. */
export class TunnelError extends Error {
  override readonly name = 'TunnelError';
  readonly kind: TunnelErrorKind;
  readonly hint: string;

  constructor(kind: TunnelErrorKind, message: string, more: { hint?: string; cause?: unknown } = {}) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.kind = kind;
    this.hint = more.hint ?? '';
  }
}

/** What the tunnel needs of the machine. */
export type TunnelMachine = Pick<Machine, 'state' | 'onState' | 'start' | 'endpoint'>;

export interface TunnelOptions {
  machine: TunnelMachine;
  /** where `docker` connects: see socket-path.ts */
  socketPath: string;
  /** Does a connection start a stopped machine? Asked at every connection, so that the setting is live. Default: yes. */
  wakes?: () => boolean;
  /** how long a client is let wait for an engine that does not listen although the machine is up; default 60 s */
  patienceMs?: number;
}

/** How a command in the guest ended, and what it wrote. */
export interface GuestOutcome {
  status: number;
  stdout: string;
  stderr: string;
}

export interface Tunnel {
  readonly state: TunnelState;
  readonly socketPath: string;
  /** connections that are joined to the guest now, those that still wait, and how many have come since the beginning */
  readonly clients: { joined: number; waiting: number; served: number };
  onState(listener: (state: TunnelState) => void): () => void;
  /**
   * A channel to a unix socket in the guest; waits while the connection is being made. Does not wake the machine.
   * Throws TunnelError 'unreachable' when nobody listens there, 'closed', or the signal's reason.
   */
  channel(guestSocket: string, signal?: AbortSignal): Promise<ClientChannel>;
  /**
   * Runs a command in the guest with `input` to read, and resolves when it has ended. Waits as `channel` does. Throws TunnelError
   * 'unreachable' when the connection ends meanwhile.
   */
  run(command: string, input: string, signal?: AbortSignal): Promise<GuestOutcome>;
  /** Starts a command in the guest; its input and output are the channel. Waits and throws as `channel` does. */
  exec(command: string, signal?: AbortSignal): Promise<ClientChannel>;
  /**
   * Is the connection alive? For the moment after the computer slept: asks the guest, and dials anew at once when it does
   * not answer within `timeoutMs`, instead of waiting for keepalive to notice.
   */
  check(timeoutMs: number): Promise<void>;
  /** Stops listening, ends all clients, removes the socket file. */
  close(): Promise<void>;
}
