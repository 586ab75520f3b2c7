import { Duplex, Transform, type TransformCallback } from 'node:stream';

import { createWebSocketStream, WebSocketServer } from 'ws';

import { invalidParameter } from '../errors.ts';
import type { Context } from './context.ts';

const server = new WebSocketServer({ noServer: true, perMessageDeflate: false });

/** Refuses what isn't a WebSocket's request. */
export function checkWebSocket(context: Context): void {
  if (context.request.headers.upgrade?.toLowerCase() !== 'websocket') {
    throw invalidParameter('the client is not using the websocket protocol');
  }
}

/**
 * Turns the request into a WebSocket whose binary messages are the bytes of a stream.
 * @param framed what is written comes in stdcopy frames, which clients of a WebSocket don't get
 */
export function acceptWebSocket(context: Context, framed: boolean): Duplex {
  const { socket, head } = context.takeOver();
  let stream: Duplex | undefined;
  // Without a verifier it calls back before it returns, or has answered the request itself.
  server.handleUpgrade(context.request, socket, head, (client) => {
    stream = createWebSocketStream(client);
  });
  if (!stream) throw invalidParameter('the client is not using the websocket protocol');
  const raw = stream;
  raw.on('error', () => raw.destroy());
  if (!framed) return raw;
  const plain = new Unframer();
  plain.pipe(raw);
  return Duplex.from({ readable: raw, writable: plain });
}

/** Takes Docker's stdcopy frames apart: the bytes of both streams, as they come. */
class Unframer extends Transform {
  #header: Buffer = Buffer.alloc(0);
  #left = 0;

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#left > 0) {
        const part = chunk.subarray(at, at + this.#left);
        this.push(part);
        this.#left -= part.length;
        at += part.length;
        continue;
      }
      const part = chunk.subarray(at, at + 8 - this.#header.length);
      this.#header = Buffer.concat([this.#header, part]);
      at += part.length;
      if (this.#header.length < 8) break;
      this.#left = this.#header.readUInt32BE(4);
      this.#header = Buffer.alloc(0);
    }
    done();
  }
}
