import type { App } from '../services/app.ts';
import { pageDir } from '../services/locations.ts';
import { WebServer } from './server.ts';

/** The browser shell of an app: one server, started when the first link is asked for. */
export function webShell(): { openWeb: (app: App) => Promise<{ url: string }>; close: () => Promise<void> } {
  let server: Promise<WebServer> | undefined;
  return {
    openWeb: async (app) => {
      server ??= WebServer.open({ pageDir: pageDir(), serve: (port) => app.serve(port) });
      return { url: (await server).link() };
    },
    close: async () => {
      await (await server)?.close();
    },
  };
}
