/** The talk with the guest's init over its virtio port; resources/vm/guest/usr/lib/skiff/init/control is the other end. */
import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';

/** What the guest says; `uptimeMs` by its own clock. Words that are not known are passed as `progress`. */
export type GuestEvent =
  | { kind: 'progress'; what: string; uptimeMs: number; status?: number }
  | { kind: 'sshd'; hostKey: Buffer; uptimeMs: number }
  | { kind: 'engine-ready'; uptimeMs: number }
  | { kind: 'engine-down'; status: number; uptimeMs: number }
  | { kind: 'failed'; what: string; reason: string; uptimeMs: number }
  | { kind: 'stopping'; uptimeMs: number };

/** `status`: ask again for what is true now · `trim`: give freed blocks to the host · `grow`: the data disk was enlarged ·
 *  `time`: seconds since the epoch, and the time zone's IANA name */
export type GuestCommand = 'status' | 'poweroff' | 'grow' | 'trim' | `time ${number} ${string}`;

export class GuestControl extends EventEmitter<{ event: [GuestEvent]; close: [] }> {
  readonly #socket: Socket;
  #buffer = '';

  constructor(socket: Socket) {
    super();
    this.#socket = socket;
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => {
      const lines = (this.#buffer + chunk).split('\n');
      this.#buffer = lines.pop()!;
      for (const line of lines) {
        const event = parseGuestLine(line);
        if (event) this.emit('event', event);
      }
    });
    socket.on('error', () => {});
    socket.on('close', () => this.emit('close'));
  }

  send(command: GuestCommand): void {
    if (!this.#socket.destroyed) this.#socket.write(`${command}\n`);
  }

  close(): void {
    this.#socket.destroy();
  }
}

/** `event UPTIME WORD…`; undefined for anything else, e.g. the torn line of a guest that was killed. */
export function parseGuestLine(line: string): GuestEvent | undefined {
  const [tag, uptime, word, ...rest] = line.trim().split(' ');
  const uptimeMs = Math.round(Number(uptime) * 1000);
  if (tag !== 'event' || !word || !Number.isFinite(uptimeMs)) return undefined;
  switch (word) {
    case 'sshd':
      return rest[0] ? { kind: 'sshd', hostKey: Buffer.from(rest[0], 'base64'), uptimeMs } : undefined;
    case 'ready':
      return { kind: 'engine-ready', uptimeMs };
    case 'engine-down':
      return { kind: 'engine-down', status: Number(rest[0]), uptimeMs };
    case 'fail':
      return { kind: 'failed', what: rest[0] ?? '', reason: rest.slice(1).join(' '), uptimeMs };
    case 'stopping':
      return { kind: 'stopping', uptimeMs };
    case 'grown':
    case 'trimmed':
      return { kind: 'progress', what: word, uptimeMs, status: Number(rest[0]) };
    default:
      return { kind: 'progress', what: word, uptimeMs };
  }
}
