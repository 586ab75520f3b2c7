import type { PreloadBridge, ShellPort, ToShell } from '../../electron/contract/protocol.ts';
import { decode, encode } from '../../electron/rpc/codec.ts';

declare global {
  interface Window {
    /** put there by Electron's preload; a browser has none */
    skiff?: PreloadBridge;
  }
}

/** The window's end of the connection to the app: Electron's bridge, or a WebSocket to where the page came from. */
export async function openPort(): Promise<ShellPort> {
  return window.skiff ? bridgePort(window.skiff) : socketPort();
}

/** The bridge lives as long as the window. */
function bridgePort(bridge: PreloadBridge): ShellPort {
  return {
    send: (message) => bridge.send(message),
    onMessage: (listener) => bridge.onMessage(listener),
    onClose: () => {},
    close: () => {},
  };
}

async function socketPort(): Promise<ShellPort> {
  const socket = new WebSocket(`${location.origin.replace(/^http/, 'ws')}/contract`);
  await new Promise<void>((done, fail) => {
    socket.onopen = () => done();
    socket.onerror = () => fail(new Error('Skiff does not answer.'));
  });
  return {
    send: (message) => {
      if (socket.readyState === WebSocket.OPEN) socket.send(encode(message));
    },
    onMessage: (listener) => {
      socket.onmessage = ({ data }) => listener(decode(data as string) as ToShell);
    },
    onClose: (listener) => {
      socket.addEventListener('close', listener);
    },
    close: () => socket.close(),
  };
}
