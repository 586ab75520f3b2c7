import { connect, type Socket } from 'node:net';
import type { ShellPort } from '../contract/protocol.ts';
import { linePort } from '../rpc/lines.ts';
import { appSocketPath } from '../tunnel/socket-path.ts';
import type { App } from './app.ts';

/** The app of a home folder as a shell sees it: in this process, or in another one that was there first. */
export interface Host {
  /** undefined when another process is the app */
  readonly app: App | undefined;
  /** A new connection that speaks the contract. */
  connect(): Promise<ShellPort>;
  /** Ends the app when it is ours; only leaves it when it is another's. */
  close(machine?: 'stop' | 'leave'): Promise<void>;
}

/** The running app of this home folder; undefined when there is none. */
export async function joinHost(home: string): Promise<Host | undefined> {
  const path = appSocketPath(home);
  const first = await dialApp(path);
  if (!first) return undefined;
  first.destroy();
  return {
    app: undefined,
    connect: async () => {
      const socket = await dialApp(path);
      if (!socket) throw new Error('Skiff has quit.');
      return linePort(socket);
    },
    close: async () => {},
  };
}

function dialApp(path: string): Promise<Socket | undefined> {
  return new Promise((done) => {
    const socket = connect(path);
    socket.once('connect', () => done(socket));
    socket.once('error', () => done(undefined));
  });
}
