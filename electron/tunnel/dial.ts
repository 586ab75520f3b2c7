import { connect, type Socket } from 'node:net';
import ssh2, { type Client, type ClientChannel } from 'ssh2';
import type { SshEndpoint } from '../machine/types.ts';
import { TunnelError } from './types.ts';

/** One live SSH connection to the guest. */
export interface SshConnection {
  /** Resolves, never rejects, when the connection is gone; the value says why. */
  readonly closed: Promise<string>;
  /** Opens a channel to a unix socket in the guest. Throws OpenFailure. */
  open(guestSocket: string): Promise<ClientChannel>;
  end(): void;
}

/** Why a channel did not open: nobody listens on the guest's socket, or the connection itself is (or seems) dead. */
export class OpenFailure extends Error {
  readonly why: 'nobody-listens' | 'connection';
  constructor(why: 'nobody-listens' | 'connection', message: string) {
    super(message);
    this.why = why;
  }
}

/** A guest under emulation that boots at the same time may take its time for the key exchange. */
const HANDSHAKE_MS = 30_000;
const KEEPALIVE_MS = 5_000;
const KEEPALIVE_MISSES = 4;
const OPEN_MS = 10_000;

/**
 * Connects and logs in. Throws TunnelError 'host-key' or 'auth', which trying again does not mend, or 'unreachable'.
 */
export async function dial(endpoint: SshEndpoint, signal: AbortSignal): Promise<SshConnection> {
  signal.throwIfAborted();
  const socket = connect({ host: endpoint.host, port: endpoint.port, noDelay: true });
  const client = new ssh2.Client();
  let wrongKey = false;
  try {
    await new Promise<void>((done, fail) => {
      signal.addEventListener('abort', () => fail(signal.reason), { once: true });
      client.once('ready', done);
      client.once('error', fail);
      client.once('close', () => fail(new Error('the connection was closed')));
      client.connect({
        sock: socket,
        username: endpoint.username,
        privateKey: endpoint.privateKey,
        hostVerifier: (key: Buffer) => {
          wrongKey = !key.equals(endpoint.hostKey);
          return !wrongKey;
        },
        // The engine's traffic is bulk on a private loopback hop: the cheapest authenticated cipher, no compression.
        algorithms: { cipher: ['aes128-gcm@openssh.com', 'aes256-gcm@openssh.com', 'aes128-ctr'], compress: ['none'] },
        readyTimeout: HANDSHAKE_MS,
        keepaliveInterval: KEEPALIVE_MS,
        keepaliveCountMax: KEEPALIVE_MISSES,
      });
    });
  } catch (cause) {
    client.on('error', () => {});
    client.destroy();
    socket.destroy();
    if (signal.aborted) throw signal.reason;
    throw dialError(cause, wrongKey);
  }
  return connection(client, socket);
}

function dialError(cause: unknown, wrongKey: boolean): TunnelError {
  if (wrongKey) {
    return new TunnelError('host-key', 'the machine shows a host key that is not the one it told at boot', {
      hint: 'Something else may answer on its port. Restart the machine.',
      cause,
    });
  }
  if ((cause as { level?: string }).level === 'client-authentication') {
    return new TunnelError('auth', 'the machine refused our SSH key', {
      hint: 'The key in the Skiff folder is not the one the machine was started with. Restart the machine.',
      cause,
    });
  }
  return new TunnelError('unreachable', `SSH to the machine failed: ${(cause as Error).message}`, { cause });
}

function connection(client: Client, socket: Socket): SshConnection {
  let lastError = '';
  client.on('error', (error) => {
    lastError = error.message;
  });
  const closed = new Promise<string>((done) => {
    client.once('close', () => {
      socket.destroy();
      done(lastError || 'the SSH connection was closed');
    });
  });
  return {
    closed,
    open: (guestSocket) => openChannel(client, closed, guestSocket),
    end: () => client.destroy(),
  };
}

function openChannel(client: Client, closed: Promise<string>, guestSocket: string): Promise<ClientChannel> {
  return new Promise((done, fail) => {
    let settled = false;
    const failOnce = (error: OpenFailure) => {
      settled = true;
      clearTimeout(deadline);
      fail(error);
    };
    // A connection that a sleeping computer lost looks open until keepalive notices; nobody should wait for that.
    const deadline = setTimeout(() => failOnce(new OpenFailure('connection', 'no answer to a channel open')), OPEN_MS);
    void closed.then((reason) => failOnce(new OpenFailure('connection', reason)));
    try {
      client.openssh_forwardOutStreamLocal(guestSocket, (error, channel) => {
        if (settled) {
          channel?.destroy();
          return;
        }
        if (error) failOnce(openFailure(error));
        else {
          settled = true;
          clearTimeout(deadline);
          done(channel);
        }
      });
    } catch (error) {
      failOnce(new OpenFailure('connection', (error as Error).message));
    }
  });
}

/** A refusal by sshd carries a reason code (RFC 4254 §5.1); anything else is the connection's failure. */
function openFailure(error: Error): OpenFailure {
  const refused = typeof (error as { reason?: unknown }).reason === 'number';
  return new OpenFailure(refused ? 'nobody-listens' : 'connection', error.message);
}
