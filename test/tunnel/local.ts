import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openTunnel } from '../../electron/tunnel/tunnel.ts';
import type { Tunnel, TunnelOptions } from '../../electron/tunnel/types.ts';
import { FakeMachine } from './fake-machine.ts';
import { Sshd } from './sshd.ts';

/** A tunnel through a real sshd on this machine to guest-server.mjs; only the machine's states are made up. */
export interface LocalTunnel {
  dir: string;
  sshd: Sshd;
  machine: FakeMachine;
  tunnel: Tunnel;
  /** the far end, for comparing with and without the tunnel */
  guestSocket: string;
  startServer(): Promise<void>;
  stopServer(): Promise<void>;
  close(): Promise<void>;
}

export async function openLocalTunnel(options: Partial<TunnelOptions> = {}): Promise<LocalTunnel> {
  const dir = mkdtempSync(join(tmpdir(), 'skiff-tunnel-'));
  const guestSocket = join(dir, 'guest.sock');
  const sshd = new Sshd(join(dir, 'sshd'));
  await sshd.start();
  const server = new GuestServer(guestSocket);
  await server.start();
  const machine = new FakeMachine(() => sshd.endpoint(guestSocket));
  const tunnel = await openTunnel({ machine, socketPath: join(dir, 'docker.sock'), ...options });
  return {
    dir,
    sshd,
    machine,
    tunnel,
    guestSocket,
    startServer: () => server.start(),
    stopServer: () => server.stop(),
    close: async () => {
      await tunnel.close();
      await server.stop();
      await sshd.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

class GuestServer {
  #path: string;
  #process: ReturnType<typeof spawn> | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  async start(): Promise<void> {
    const script = new URL('guest-server.mjs', import.meta.url).pathname;
    const child = spawn(process.execPath, [script, this.#path], { stdio: ['pipe', 'pipe', 'ignore'] });
    this.#process = child;
    await once(child.stdout, 'data');
  }

  async stop(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (!child || child.exitCode !== null) return;
    const exit = once(child, 'exit');
    child.kill('SIGKILL');
    await exit;
  }
}
