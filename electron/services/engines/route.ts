import { Agent } from 'node:http';
import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import type { EngineAddress } from '../../contract/engines.ts';
import { readNamed } from './named-file.ts';
import { EngineUnreachable, problem, problemOf } from './problem.ts';
import { SshRoute } from './ssh-route.ts';

const CONNECT_MS = 10_000;
const KEEPALIVE_MS = 15_000;
/** Connections that wait for the next request. */
const MOST_FREE = 6;

/** The way to an engine. */
export interface Route {
  /** A connection that speaks the engine's HTTP. Throws EngineUnreachable. */
  dial(): Promise<Duplex>;
  /** Drops what connections have in common; the next dial begins anew. */
  reset(): void;
}

export function openRoute(address: EngineAddress): Route {
  if (address.kind === 'ssh') return new SshRoute(address);
  return { dial: () => dialDirectly(address), reset: () => {} };
}

/** Node's HTTP client over a route; idle connections are kept for the next requests. */
export class RouteAgent extends Agent {
  readonly #route: Route;

  constructor(route: Route) {
    super({ keepAlive: true, maxFreeSockets: MOST_FREE });
    this.#route = route;
  }

  override createConnection(_options: unknown, callback?: (error: Error | null, stream: Duplex) => void): undefined {
    this.#route.dial().then(
      (stream) => callback?.(null, stream),
      (error: Error) => callback?.(error, undefined as unknown as Duplex),
    );
  }
}

async function dialDirectly(address: Exclude<EngineAddress, { kind: 'ssh' }>): Promise<Duplex> {
  try {
    const socket = await opened(address);
    socket.setKeepAlive(true, KEEPALIVE_MS);
    return socket;
  } catch (error) {
    throw new EngineUnreachable(problemOf(error, address));
  }
}

async function opened(address: Exclude<EngineAddress, { kind: 'ssh' }>): Promise<Socket> {
  if (address.kind === 'unix') return established(connect({ path: address.path }), 'connect');
  const { host, port } = address;
  if (address.kind === 'tcp') return established(connect({ host, port, noDelay: true }), 'connect');
  // Read each time: certificates are renewed.
  const files = {
    ca: await fileOf(address, 'ca'),
    cert: await fileOf(address, 'cert'),
    key: await fileOf(address, 'key'),
  };
  try {
    return await established(connectTls({ host, port, ...files }), 'secureConnect');
  } catch (error) {
    // What OpenSSL can't make sense of: the files do not hold what they should.
    const { code = '', message } = error as NodeJS.ErrnoException;
    if (!/^ERR_(OSSL|CRYPTO)|^ERR_SSL_(NO_|EE_|CA_)/.test(code)) throw error;
    const files = [address.ca, address.cert, address.key].filter(Boolean).join(', ');
    throw new EngineUnreachable(problem('file', address, message, { file: files }));
  }
}

async function fileOf(
  address: Extract<EngineAddress, { kind: 'tls' }>,
  which: 'ca' | 'cert' | 'key',
): Promise<Buffer | undefined> {
  const path = address[which];
  return path === '' ? undefined : readNamed(path, address);
}

function established<S extends Socket>(socket: S, event: 'connect' | 'secureConnect'): Promise<S> {
  return new Promise((done, fail) => {
    const limit = setTimeout(() => {
      const error = Object.assign(new Error(`no answer within ${CONNECT_MS / 1000} s`), { code: 'ETIMEDOUT' });
      socket.destroy(error);
    }, CONNECT_MS);
    const end = (error: Error) => {
      clearTimeout(limit);
      fail(error);
    };
    socket.once('error', end);
    socket.once('close', () => end(Object.assign(new Error('the connection was closed'), { code: 'ECONNRESET' })));
    socket.once(event, () => {
      clearTimeout(limit);
      socket.off('error', end);
      done(socket);
    });
  });
}
