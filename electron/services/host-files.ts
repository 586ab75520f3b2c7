import { readdir, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Implementation } from '../contract/contract.ts';
import type { HostEntry } from '../contract/host.ts';
import { ServiceError } from './errors.ts';
import { hostPath } from './inputs.ts';

const MOST_ENTRIES = 2_000;

/** This computer's folders, as the user who runs the app sees them. */
export function hostServices(): Implementation['host'] {
  return {
    async folder(wanted) {
      const path = wanted ? hostPath(wanted) : homedir();
      const found = await readdir(path, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
        throw new ServiceError('not-found', `${path} can't be opened: ${error.code ?? error.message}`);
      });
      const entries = await Promise.all(found.slice(0, MOST_ENTRIES).map((entry) => look(path, entry.name)));
      const parent = dirname(path);
      return {
        path,
        parent: parent === path ? undefined : parent,
        entries: entries.filter((entry) => entry !== undefined).sort(inOrder),
      };
    },
    async freePort(from) {
      const first = Math.max(1_024, Math.min(Number(from) || 8_080, 65_000));
      for (let port = first; port < first + 500; port++) if (await isFree(port)) return port;
      throw new ServiceError('failed', `No port from ${first} on is free.`);
    },
  };
}

/** On all addresses, as a published port will be. */
function isFree(port: number): Promise<boolean> {
  return new Promise((done) => {
    const server = createServer();
    server.once('error', () => done(false));
    server.listen({ port, host: '0.0.0.0', exclusive: true }, () => server.close(() => done(true)));
  });
}

/** Links count as what they lead to; those that lead nowhere are left out. */
async function look(folder: string, name: string): Promise<HostEntry | undefined> {
  const found = await stat(join(folder, name)).catch(() => undefined);
  if (!found || !(found.isDirectory() || found.isFile())) return undefined;
  return { name, folder: found.isDirectory(), sizeBytes: found.isFile() ? found.size : 0 };
}

function inOrder(a: HostEntry, b: HostEntry): number {
  const rank = (entry: HostEntry) => (entry.name.startsWith('.') ? 2 : 0) + (entry.folder ? 0 : 1);
  return rank(a) - rank(b) || a.name.localeCompare(b.name);
}
