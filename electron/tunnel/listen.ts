import { chmod, lstat, mkdir, unlink } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { TunnelError } from './types.ts';

/**
 * Listens on a local socket (unix socket, or named pipe on Windows) that only this user can open.
 * A socket file that nobody answers on, as a crash leaves it, is replaced; one that somebody answers on is not:
 * TunnelError 'socket-in-use'. Sockets are handed over paused and may be half closed.
 */
export async function listenLocally(path: string, onConnection: (socket: Socket) => void): Promise<Server> {
  const isPipe = path.startsWith('\\\\');
  if (!isPipe) {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await removeStale(path);
  }
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, onConnection);
  await new Promise<void>((done, fail) => {
    server.once('error', (cause: NodeJS.ErrnoException) => fail(listenError(path, cause)));
    // The file is made inside listen(): with this umask nobody else can open it even for a moment.
    const umask = isPipe ? undefined : process.umask(0o177);
    try {
      server.listen({ path, backlog: 1024 }, done);
    } finally {
      if (umask !== undefined) process.umask(umask);
    }
  });
  if (!isPipe) await chmod(path, 0o600);
  return server;
}

async function removeStale(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (!found) return;
  if (!found.isSocket()) {
    throw new TunnelError('socket-failed', `${path} is in the way: it is not a socket`, { hint: `Move ${path} away.` });
  }
  if (await answers(path)) throw inUse(path);
  await unlink(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw listenError(path, error);
  });
}

/** Does anybody accept connections on this socket? */
export function answers(path: string): Promise<boolean> {
  return new Promise((done) => {
    const probe = connect(path);
    const finish = (alive: boolean) => {
      probe.destroy();
      done(alive);
    };
    probe.once('connect', () => finish(true));
    // EAGAIN: the backlog of a living server is full.
    probe.once('error', (error: NodeJS.ErrnoException) => finish(error.code === 'EAGAIN' || error.code === 'EACCES'));
  });
}

function inUse(path: string): TunnelError {
  return new TunnelError('socket-in-use', `another program answers on ${path}`, {
    hint: 'Skiff is already running for this folder, or another product uses its socket. Quit that one first.',
  });
}

function listenError(path: string, cause: NodeJS.ErrnoException): TunnelError {
  if (cause.code === 'EADDRINUSE') return inUse(path);
  const hint =
    cause.code === 'EINVAL' || cause.code === 'ENAMETOOLONG'
      ? 'The path is too long for a socket (about 100 characters); set SKIFF_HOME to a shorter folder.'
      : `Check that you may write to ${dirname(path)}.`;
  return new TunnelError('socket-failed', `cannot listen on ${path}: ${cause.message}`, { hint, cause });
}
