import { closeSync } from 'node:fs';

import { check, libc, SyscallError } from './libc.ts';

/**
 * Just enough rtnetlink(7): messages are built in one buffer, sent in one call, and each is acknowledged by the kernel.
 * A batch costs one round trip, where `ip` would cost a process each.
 */
const socket = libc('int socket(int domain, int type, int protocol)');
const send = libc('long send(int fd, const uint8_t *buffer, size_t length, int flags)');
const recv = libc('long recv(int fd, _Out_ uint8_t *buffer, size_t length, int flags)');

const AF_NETLINK = 16;
const SOCK_RAW_CLOEXEC = 3 | 0o2000000;
const HEADER = 16;

const NLM_F = { request: 1, ack: 4, dump: 0x300, replace: 0x100, exclusive: 0x200, create: 0x400 } as const;
export const nlmFlags = NLM_F;

const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;

/** One attribute (struct nlattr): type and payload; nested attributes are payloads made of attributes. */
export function attribute(type: number, payload: Buffer | string | number | readonly Buffer[]): Buffer {
  const body = encode(payload);
  const length = 4 + body.length;
  const out = Buffer.alloc((length + 3) & ~3);
  out.writeUInt16LE(length, 0);
  out.writeUInt16LE(type, 2);
  body.copy(out, 4);
  return out;
}

/** The attributes in a message's body, by type. */
export function attributesOf(body: Buffer): Map<number, Buffer> {
  const found = new Map<number, Buffer>();
  for (let offset = 0; offset + 4 <= body.length; ) {
    const length = body.readUInt16LE(offset);
    if (length < 4) break;
    found.set(body.readUInt16LE(offset + 2) & 0x3fff, body.subarray(offset + 4, offset + length));
    offset += (length + 3) & ~3;
  }
  return found;
}

function encode(payload: Buffer | string | number | readonly Buffer[]): Buffer {
  if (typeof payload === 'string') return Buffer.from(`${payload}\0`);
  if (typeof payload === 'number') {
    const word = Buffer.alloc(4);
    word.writeUInt32LE(payload >>> 0);
    return word;
  }
  return Buffer.isBuffer(payload) ? payload : Buffer.concat(payload as Buffer[]);
}

export interface Message {
  readonly type: number;
  readonly flags?: number;
  readonly body: Buffer;
  readonly attributes?: readonly Buffer[];
  /** What is being done, for the error's text. */
  readonly what: string;
  /** errno names that mean "it is already so". */
  readonly tolerate?: readonly string[];
}

function serialize(message: Message, sequence: number): Buffer {
  const content = Buffer.concat([message.body, ...(message.attributes ?? [])]);
  const header = Buffer.alloc(HEADER);
  header.writeUInt32LE(HEADER + content.length, 0);
  header.writeUInt16LE(message.type, 4);
  header.writeUInt16LE((message.flags ?? 0) | NLM_F.request | NLM_F.ack, 6);
  header.writeUInt32LE(sequence, 8);
  return Buffer.concat([header, content]);
}

/** Opens an rtnetlink socket in the current network namespace; it stays bound to that namespace. */
export function openRouteSocket(): RouteSocket {
  return new RouteSocket(check(socket(AF_NETLINK, SOCK_RAW_CLOEXEC, 0), 'socket', 'netlink'));
}

export class RouteSocket {
  readonly #fd: number;
  readonly #buffer = Buffer.alloc(65536);
  #sequence = 0;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Sends all messages at once and waits for every acknowledgement; throws the first failure that isn't tolerated. */
  request(messages: readonly Message[]): void {
    const first = this.#sequence + 1;
    const payload = Buffer.concat(messages.map((message) => serialize(message, ++this.#sequence)));
    check(Number(send(this.#fd, payload, payload.length, 0)), 'send', 'netlink');
    let failure: SyscallError | undefined;
    for (let pending = messages.length; pending > 0; ) {
      for (const answer of this.#receive()) {
        if (answer.type !== NLMSG_ERROR) continue;
        pending--;
        const message = messages[answer.sequence - first];
        const errno = -answer.body.readInt32LE(0);
        if (errno === 0 || !message) continue;
        const error = new SyscallError('netlink', errno, message.what);
        if (!message.tolerate?.includes(error.code)) failure ??= error;
      }
    }
    if (failure) throw failure;
  }

  /** Sends one dump request and returns the body of every entry. */
  dump(type: number, body: Buffer): Buffer[] {
    const content = Buffer.alloc(HEADER + body.length);
    content.writeUInt32LE(content.length, 0);
    content.writeUInt16LE(type, 4);
    content.writeUInt16LE(NLM_F.request | NLM_F.dump, 6);
    content.writeUInt32LE(++this.#sequence, 8);
    body.copy(content, HEADER);
    check(Number(send(this.#fd, content, content.length, 0)), 'send', 'netlink');
    const entries: Buffer[] = [];
    for (;;) {
      for (const answer of this.#receive()) {
        if (answer.type === NLMSG_DONE) return entries;
        if (answer.type === NLMSG_ERROR) {
          throw new SyscallError('netlink', -answer.body.readInt32LE(0), 'dump');
        }
        entries.push(answer.body);
      }
    }
  }

  #receive(): { type: number; sequence: number; body: Buffer }[] {
    const length = check(Number(recv(this.#fd, this.#buffer, this.#buffer.length, 0)), 'recv', 'netlink');
    const answers: { type: number; sequence: number; body: Buffer }[] = [];
    for (let offset = 0; offset + HEADER <= length; ) {
      const size = this.#buffer.readUInt32LE(offset);
      if (size < HEADER) break;
      answers.push({
        type: this.#buffer.readUInt16LE(offset + 4),
        sequence: this.#buffer.readUInt32LE(offset + 8),
        body: Buffer.from(this.#buffer.subarray(offset + HEADER, offset + size)),
      });
      offset += (size + 3) & ~3;
    }
    return answers;
  }

  close(): void {
    closeSync(this.#fd);
  }
}

const nametoindex = libc('uint if_nametoindex(const char *name)');

/** Index of an interface in the current network namespace, undefined when there is none. */
export function interfaceIndex(name: string): number | undefined {
  return Number(nametoindex(name)) || undefined;
}
