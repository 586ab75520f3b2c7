import { createSocket } from 'node:dgram';
import { Socket } from 'node:net';

import { inNetworkNamespace } from '../../linux/namespaces.ts';
import { connectTo, listenOn } from '../../linux/sockets.ts';
import { isFinal } from './message.ts';
import { Frames, frame } from './tcp-frames.ts';

/** Resolvers that questions about other names go to. */
export interface Upstream {
  /** Addresses, in the order in which they are asked. */
  readonly servers: readonly string[];
  /** Network namespace to ask from: the container's for resolvers its user named, else the machine's own. */
  readonly namespace: string | undefined;
}

const PORT = 53;
/** Shorter than any client's own patience (5 s), so that a second resolver gets its chance. */
const ANSWER_LIMIT_MS = 2000;

/** Asks one resolver after another; undefined when none has an answer. A refusal is handed on when there is nothing better. */
export async function forward(
  query: Buffer,
  transport: 'udp' | 'tcp',
  upstream: Upstream,
): Promise<Buffer | undefined> {
  let refusal: Buffer | undefined;
  for (const server of upstream.servers) {
    try {
      const fd = open(transport, server, upstream.namespace);
      const answer = await (transport === 'udp' ? overUdp(query, fd, server) : overTcp(query, fd));
      if (isFinal(answer)) return answer;
      refusal ??= answer;
    } catch {
      // No answer from this one: the next may know.
    }
  }
  return refusal;
}

/** A socket in the namespace: UDP with a port of its own, TCP on its way to the server. */
function open(transport: 'udp' | 'tcp', server: string, namespace: string | undefined): number {
  const here = (): number =>
    transport === 'tcp' ? connectTo(server, PORT) : listenOn('udp', server.includes(':') ? '::' : '0.0.0.0', 0);
  return namespace ? inNetworkNamespace(namespace, here) : here();
}

/** Same id and same question: not the late answer to another one. */
const answers = (answer: Buffer, query: Buffer): boolean =>
  answer.length >= 12 && (answer[2]! & 0x80) !== 0 && answer.readUInt16BE(0) === query.readUInt16BE(0);

function overUdp(query: Buffer, fd: number, server: string): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = createSocket(server.includes(':') ? 'udp6' : 'udp4');
    const timer = setTimeout(() => fail(new Error(`no answer from ${server}`)), ANSWER_LIMIT_MS);
    let over = false;
    const end = (settle: () => void): void => {
      if (over) return;
      over = true;
      clearTimeout(timer);
      socket.close();
      settle();
    };
    const fail = (error: Error): void => end(() => reject(error));
    socket.on('error', fail);
    socket.on('message', (answer) => {
      if (answers(answer, query)) end(() => resolve(answer));
    });
    socket.bind({ fd }, () => {
      if (over) return;
      // Connected, so that nobody else's answer arrives, and a refusal is heard at once. Node hands its failure over here.
      socket.connect(PORT, server, ((error?: Error) => {
        if (error) fail(error);
        else if (!over) socket.send(query, (failure) => failure && fail(failure));
      }) as () => void);
    });
  });
}

function overTcp(query: Buffer, fd: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = new Socket({ fd, readable: true, writable: true });
    const frames = new Frames();
    socket.setTimeout(ANSWER_LIMIT_MS, () => socket.destroy(new Error('no answer')));
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('closed without an answer')));
    socket.on('data', (chunk) => {
      for (const answer of frames.push(chunk)) {
        if (!answers(answer, query)) continue;
        resolve(answer);
        socket.destroy();
        return;
      }
    });
    socket.write(frame(query));
  });
}
