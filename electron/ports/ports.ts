import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Port } from '../contract/protocol.ts';
import { FolderWatch } from '../folders/folder-watch.ts';
import { type ExposedPort, type Machine, MachineError } from '../machine/types.ts';
import { linePort } from '../rpc/lines.ts';
import type { Tunnel } from '../tunnel/types.ts';
import { portHolder } from './holder.ts';
import { freePort, SixRelay } from './six-relay.ts';
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
  readonly #six = new Map<string, { relay: SixRelay; inner: ExposedPort }>();
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
    for (const { relay } of this.#six.values()) relay.close();
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
      if (op === 'expose') await this.#expose(message);
      else await this.#unexpose(message);
      port.send({ id, ok: true });
    } catch (error) {
      port.send({ id, ...(await refusal(error, message)) });
    }
  }

  async #expose(port: EnginePort): Promise<void> {
    if (!port.hostIp.includes(':')) return await this.#machine.expose(forwardOf(port));
    // UDP on IPv6 is left out, as its IPv4 half is mostly asked for as well.
    if (port.proto === 'udp' || this.#six.has(keyOf(port))) return;
    const inner = { proto: 'tcp' as const, hostIp: '127.0.0.1', hostPort: await freePort(), guestPort: port.hostPort };
    const relay = await SixRelay.listen(port.hostIp, port.hostPort, inner.hostPort).catch(bindRefusal(port));
    try {
      await this.#machine.expose(inner);
      this.#six.set(keyOf(port), { relay, inner });
    } catch (error) {
      relay.close();
      throw error;
    }
  }

  async #unexpose(port: EnginePort): Promise<void> {
    if (!port.hostIp.includes(':')) return await this.#machine.unexpose(forwardOf(port));
    const six = this.#six.get(keyOf(port));
    this.#six.delete(keyOf(port));
    six?.relay.close();
    if (six) await this.#machine.unexpose(six.inner);
  }

  async #sync(wanted: EnginePort[]): Promise<void> {
    const keys = new Set(wanted.map(keyOf));
    for (const { relay } of this.#six.values()) relay.close();
    this.#six.clear();
    for (const open of this.#machine.exposed()) if (!keys.has(keyOf(open))) await this.#machine.unexpose(open);
    for (const port of wanted) {
      await this.#expose(port).catch((error: Error) => {
        this.#log(`port ${port.hostPort}/${port.proto} of a running container is not reachable: ${error.message}`);
      });
    }
  }
}

const forwardOf = ({ proto, hostIp, hostPort }: EnginePort): ExposedPort => ({
  proto,
  hostIp,
  hostPort,
  guestPort: hostPort,
});

/** The system's refusal in the machine's words. */
const bindRefusal = (port: EnginePort) => (error: NodeJS.ErrnoException) => {
  const where = `[${port.hostIp}]:${port.hostPort}`;
  if (error.code === 'EADDRINUSE') throw new MachineError('port-taken', `Port ${where} is already in use.`);
  throw new MachineError('port-refused', `${where} cannot be opened: ${error.message}`);
};

function keyOf(port: EnginePort): string {
  return `${port.proto} ${port.hostIp === '0.0.0.0' ? '' : port.hostIp} ${port.hostPort}`;
}

async function refusal(error: unknown, port: EnginePort): Promise<{ error: string; holder?: string }> {
  if (!(error instanceof MachineError)) return { error: String(error) };
  if (error.kind !== 'port-taken') return { error: error.message };
  const holder = port.proto === 'tcp' ? await portHolder(port.hostPort) : undefined;
  return { error: 'port is already allocated', ...(holder ? { holder } : {}) };
}
