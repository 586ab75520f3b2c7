import { mkdir } from 'node:fs/promises';
import type { Server, Socket } from 'node:net';
import type { AppPort, ShellPort } from '../contract/protocol.ts';
import { linePort } from '../rpc/lines.ts';
import { createPipe } from '../rpc/pipe.ts';
import { listenLocally } from '../tunnel/listen.ts';
import { appSocketPath } from '../tunnel/socket-path.ts';
import { App, type AppOptions } from './app.ts';
import { type Host, joinHost } from './join-host.ts';

/** Becomes the app of this home folder, or joins the one that runs already. */
export async function openHost(options: AppOptions): Promise<Host> {
  const running = await joinHost(options.home);
  if (running) return running;
  await mkdir(options.home, { recursive: true, mode: 0o700 });
  return OwnHost.open(options);
}

class OwnHost implements Host {
  readonly app: App;
  #server: Server;
  #shells = new Set<Socket>();

  /** The app's own socket is taken first: who has it is the app. */
  static async open(options: AppOptions): Promise<OwnHost> {
    const early: Socket[] = [];
    let accept = (socket: Socket) => {
      early.push(socket);
    };
    const server = await listenLocally(appSocketPath(options.home), (socket) => accept(socket));
    try {
      const host = new OwnHost(await App.open(options), server);
      accept = (socket) => host.#accept(socket);
      for (const socket of early) accept(socket);
      return host;
    } catch (error) {
      server.close();
      for (const socket of early) socket.destroy();
      throw error;
    }
  }

  private constructor(app: App, server: Server) {
    this.app = app;
    this.#server = server;
  }

  #accept(socket: Socket): void {
    this.#shells.add(socket);
    socket.once('close', () => this.#shells.delete(socket));
    const port: AppPort = linePort(socket);
    this.app.serve(port);
    socket.resume();
  }

  async connect(): Promise<ShellPort> {
    const { shell, app } = createPipe();
    this.app.serve(app);
    return shell;
  }

  async close(machine: 'stop' | 'leave' = 'stop'): Promise<void> {
    await this.app.close(machine);
    const closed = new Promise<void>((done) => this.#server.close(() => done()));
    for (const socket of this.#shells) socket.destroy();
    await closed;
  }
}
