import { contextBridge, ipcRenderer } from 'electron';
import type { PreloadBridge, ToShell } from '../contract/protocol.ts';

/** All that the page gets: messages of the contract, both ways. It never sees Electron's objects. */
const bridge: PreloadBridge = {
  send: (message) => ipcRenderer.send('skiff', message),
  onMessage: (listener) => {
    ipcRenderer.on('skiff', (_event, message: ToShell) => listener(message));
  },
};

contextBridge.exposeInMainWorld('skiff', bridge);
