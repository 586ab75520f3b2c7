import type { WebSocket } from 'ws';
import type { AppPort, ToApp } from '../contract/protocol.ts';
import { decode, encode } from '../rpc/codec.ts';

/** A window that went to sleep does not close its socket: who does not answer a ping is gone. */
const PING_MS = 20_000;

/** The app's end of a window's WebSocket. */
export function webSocketPort(socket: WebSocket): AppPort {
  let alive = true;
  socket.on('pong', () => {
    alive = true;
  });
  const pings = setInterval(() => {
    if (!alive) return socket.terminate();
    alive = false;
    socket.ping();
  }, PING_MS);
  socket.on('close', () => clearInterval(pings));
  socket.on('error', () => socket.terminate());
  return {
    send: (message) => {
      if (socket.readyState === socket.OPEN) socket.send(encode(message));
    },
    onMessage: (listener) => {
      socket.on('message', (data, isBinary) => {
        if (isBinary) return socket.terminate();
        try {
          listener(decode(String(data)) as ToApp);
        } catch {
          socket.terminate();
        }
      });
    },
    onClose: (listener) => {
      if (socket.readyState === socket.CLOSED) listener();
      else socket.once('close', listener);
    },
    close: () => socket.close(),
  };
}
