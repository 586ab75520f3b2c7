import { connect, type Socket } from 'node:net';
import ssh2, { type Client, type ClientChannel } from 'ssh2';
import type { SshEndpoint } from '../machine/types.ts';
import { type GuestOutcome, TunnelError } from './types.ts';

/** One live SSH connection to the guest. */
export interface SshConnection {
  /** Resolves, never rejects, when the connection is gone; the value says why. */
  readonly closed: Promise<string>;
  /** Opens a channel to a unix socket in the guest. Throws OpenFailure. */
  open(guestSocket: string): Promise<ClientChannel>;
  /** Runs a command to its end. Throws TunnelError 'unreachable' when the connection goes meanwhile. */
  run(command: string, input: string): Promise<GuestOutcome>;
  /** Starts a command; its input and output are the channel. Throws OpenFailure. */
  exec(command: string): Promise<ClientChannel>;
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
  joinWrites(socket);
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

/**
 * ssh2 writes each packet in three pieces (length, payload, tag). Without Nagle each would be a segment and a wake-up of sshd;
 * with it small answers would wait. So all that is written in one turn goes out as one write.
 */
function joinWrites(socket: Socket): void {
  const write = socket.write;
  let corked = false;
  const uncork = () => {
    corked = false;
    socket.uncork();
  };
  socket.write = ((...args: Parameters<Socket['write']>) => {
    if (!corked) {
      corked = true;
      socket.cork();
      process.nextTick(uncork);
    }
    return write.apply(socket, args);
  }) as Socket['write'];
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
  const opening: Opening = new Set();
  const closed = new Promise<string>((done) => {
    client.once('close', () => {
      socket.destroy();
      const reason = lastError || 'the SSH connection was closed';
      for (const fail of opening) fail(reason);
      done(reason);
    });
  });
  return {
    closed,
    open: (guestSocket) => openChannel(client, opening, guestSocket),
    run: (command, input) => runCommand(client, closed, command, input),
    exec: (command) =>
      new Promise((done, fail) => {
        const lost = (reason: string) => fail(new OpenFailure('connection', reason));
        void closed.then(lost);
        client.exec(command, (error, channel) => (error ? lost(error.message) : done(channel)));
      }),
    end: () => client.destroy(),
  };
}

/** The opens that are under way: each is told when the connection goes. */
type Opening = Set<(reason: string) => void>;

function openChannel(client: Client, opening: Opening, guestSocket: string): Promise<ClientChannel> {
  return new Promise((done, fail) => {
    let settled = false;
    const settle = () => {
      settled = true;
      clearTimeout(deadline);
      opening.delete(lost);
    };
    const failOnce = (error: OpenFailure) => {
      settle();
      fail(error);
    };
    const lost = (reason: string) => failOnce(new OpenFailure('connection', reason));
    // A connection that a sleeping computer lost looks open until keepalive notices; nobody should wait for that.
    const deadline = setTimeout(() => lost('no answer to a channel open'), OPEN_MS);
    opening.add(lost);
    try {
      client.openssh_forwardOutStreamLocal(guestSocket, (error, channel) => {
        if (settled) {
          channel?.destroy();
          return;
        }
        if (error) failOnce(openFailure(error));
        else {
          settle();
          done(channel);
        }
      });
    } catch (error) {
      lost((error as Error).message);
    }
  });
}

function runCommand(client: Client, closed: Promise<string>, command: string, input: string): Promise<GuestOutcome> {
  return new Promise((done, fail) => {
    const lost = (reason: string) =>
      fail(new TunnelError('unreachable', `the machine did not run a command: ${reason}`));
    void closed.then(lost);
    client.exec(command, (error, channel) => {
      if (error) return lost(error.message);
      const said = { stdout: '', stderr: '' };
      channel.setEncoding('utf8').on('data', (text: string) => (said.stdout += text));
      channel.stderr.setEncoding('utf8').on('data', (text: string) => (said.stderr += text));
      let status = 255;
      channel.on('exit', (code: number | null) => (status = code ?? 255));
      channel.on('close', () => done({ status, ...said }));
      // A command that has ended reads nothing any more.
      channel.on('error', () => {});
      channel.end(input);
    });
  });
}

/** A refusal by sshd carries a reason code (RFC 4254 §5.1); anything else is the connection's failure. */
function openFailure(error: Error): OpenFailure {
  const refused = typeof (error as { reason?: unknown }).reason === 'number';
  return new OpenFailure(refused ? 'nobody-listens' : 'connection', error.message);
}
