import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import type { Socket } from 'node:net';

/** GET over a local socket, on a connection of its own. */
export async function get(socketPath: string, path: string, signal?: AbortSignal): Promise<IncomingMessage> {
  const sent = request({ socketPath, path, agent: false, signal }).end();
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  // From here on the response tells what happens to the connection.
  sent.on('error', () => {});
  return response;
}

export async function text(stream: AsyncIterable<Buffer>): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts).toString();
}

export async function getText(socketPath: string, path: string): Promise<string> {
  return text(await get(socketPath, path));
}

/** Takes a connection over as `docker run -i` and `docker exec` do. Whoever hijacks ends it. */
export async function hijack(socketPath: string, path: string): Promise<Socket> {
  const headers = { Connection: 'Upgrade', Upgrade: 'tcp' };
  const sent = request({ socketPath, path, method: 'POST', headers, agent: false }).end();
  const [, socket, head] = (await once(sent, 'upgrade')) as [IncomingMessage, Socket, Buffer];
  if (head.length) socket.unshift(head);
  return socket;
}

export function randomPayload(bytes: number): { data: Buffer; sha256: string } {
  const data = randomBytes(bytes);
  return { data, sha256: createHash('sha256').update(data).digest('hex') };
}
