import { readFileSync } from 'node:fs';

/**
 * The preload script as it runs in the page: with `require('electron')` giving contextBridge and ipcRenderer and nothing
 * else, as a sandboxed preload has it. Real Electron keeps it in a world of its own; here only what contextBridge exposes is
 * reachable, through a frozen copy.
 */
export function preloadScript(path: string): string {
  return `(() => {
    if (window.top !== window) return;
    const strict = (name, object) => new Proxy(object, { get(target, key) {
      if (key in target) return target[key];
      throw new Error('the stand-in for electron does not cover ' + name + '.' + String(key));
    } });
    const listeners = new Map();
    Object.defineProperty(window, '__standInReceive', { value: (channel, args) => {
      for (const listener of listeners.get(channel) ?? []) listener({}, ...args);
    } });
    const ipcRenderer = strict('ipcRenderer', {
      send: (channel, ...args) => void window.__standInSend(channel, structuredClone(args)),
      on: (channel, listener) => void listeners.set(channel, [...(listeners.get(channel) ?? []), listener]),
    });
    const contextBridge = strict('contextBridge', {
      exposeInMainWorld: (name, api) => Object.defineProperty(window, name, { value: Object.freeze({ ...api }) }),
    });
    const require = (name) => {
      if (name !== 'electron') throw new Error('a sandboxed preload cannot require ' + name);
      return strict('electron', { contextBridge, ipcRenderer });
    };
    const module = { exports: {} };
    ((require, module, exports) => { ${readFileSync(path, 'utf8')} })(require, module, module.exports);
  })();`;
}
