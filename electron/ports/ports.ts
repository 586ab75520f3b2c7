import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Port } from '../contract/protocol.ts';
import { FolderWatch } from '../folders/folder-watch.ts';
import { type ExposedPort, type Machine, MachineError } from '../machine/types.ts';
import { linePort } from '../rpc/lines.ts';
import type { Tunnel } from '../tunnel/types.ts';
import { portHolder } from './holder.ts';
import type { EnginePort, FromEngine, ToEngine } from './types.ts';

export type PortsMachine = Pick<Machine, 'expose' | 'unexpose' | 'exposed' | 'endpoint'>;

/**
 * Does what the engine says about the host's ports, and watches the folders it names. The engine owns the truth: at every connection it says all of them, and
 * the forwards are made equal to that; then it asks for each change and waits for the answer before a container starts.
 */
export class PortKeeper {
  #machine: PortsMachine;
  #tunnel: Pick<Tunnel, 'channel' | 'onState'>;
  #closing = new AbortController();
  #log: (line: string) => void;
  /** one change after the other, in the engine's order */
  #last: Promise<unknown> = Promise.resolve();

  constructor(machine: PortsMachine, tunnel: Pick<Tunnel, 'channel' | 'onState'>, log: (line: string) => void) {
    this.#machine = machine;
    this.#tunnel = tunnel;
    this.#log = log;
    void this.#keepConnected();
  }

  close(): void {
    this.#closing.abort();
  }

  async #keepConnected(): Promise<void> {
    const { signal } = this.#closing;
    for (let pause = 100; !signal.aborted; pause = Math.min(pause * 2, 2_000)) {
      try {
        const channel = await this.#tunnel.channel(this.#socket(), signal);
        pause = 100;
        await this.#serve(channel, signal);
      } catch {
        // The engine is not there yet, or the tunnel is being rebuilt: both end by themselves.
      }
      await sleep(pause, undefined, { signal }).catch(() => {});
    }
  }

  #socket(): string {
    try {
      return this.#machine.endpoint().hostChannelSocket;
    } catch {
      return '/run/skiff/host.sock';
    }
  }

  #serve(channel: Duplex, signal: AbortSignal): Promise<void> {
    const port: Port<ToEngine, FromEngine> = linePort(channel);
    const end = () => port.close();
    signal.addEventListener('abort', end, { once: true });
    const folders = new FolderWatch((changes) => port.send({ changes }), this.#log);
    port.onMessage((message) => {
      if (message.op === 'watch') {
        void folders.follow(message.paths).then((watched) => port.send({ id: message.id, ok: true, folders: watched }));
        return;
      }
      this.#last = this.#last.then(() => this.#handle(message, port)).catch((error) => this.#log(String(error)));
    });
    return new Promise((done) => {
      port.onClose(() => {
        signal.removeEventListener('abort', end);
        folders.close();
        done();
      });
    });
  }

  async #handle(message: Exclude<FromEngine, { op: 'watch' }>, port: Port<ToEngine, FromEngine>): Promise<void> {
    if (message.op === 'sync') return this.#sync(message.ports);
    const { id, op } = message;
    try {
      const forward = forwardOf(message);
      if (!forward) port.send({ id, ok: true });
      else {
        if (op === 'expose') await this.#machine.expose(forward);
        else await this.#machine.unexpose(forward);
        port.send({ id, ok: true });
      }
    } catch (error) {
      port.send({ id, ...(await refusal(error, message)) });
    }
  }

  async #sync(wanted: EnginePort[]): Promise<void> {
    const forwards = wanted.map(forwardOf).filter((forward) => forward !== undefined);
    const keys = new Set(forwards.map(keyOf));
    for (const open of this.#machine.exposed()) if (!keys.has(keyOf(open))) await this.#machine.unexpose(open);
    for (const forward of forwards) {
      await this.#machine.expose(forward).catch((error: Error) => {
        this.#log(
          `port ${forward.hostPort}/${forward.proto} of a running container is not reachable: ${error.message}`,
        );
      });
    }
  }
}

/** QEMU forwards IPv4 only; what is asked for on IPv6 addresses is left out, as the IPv4 half of it is asked for as well. */
function forwardOf({ proto, hostIp, hostPort }: EnginePort): ExposedPort | undefined {
  if (hostIp.includes(':')) return undefined;
  return { proto, hostIp, hostPort, guestPort: hostPort };
}

function keyOf(port: ExposedPort): string {
  return `${port.proto} ${port.hostIp === '0.0.0.0' ? '' : port.hostIp} ${port.hostPort}`;
}

async function refusal(error: unknown, port: EnginePort): Promise<{ error: string; holder?: string }> {
  if (!(error instanceof MachineError)) return { error: String(error) };
  if (error.kind !== 'port-taken') return { error: error.message };
  const holder = port.proto === 'tcp' ? await portHolder(port.hostPort) : undefined;
  return { error: 'port is already allocated', ...(holder ? { holder } : {}) };
}
