import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { type Host, joinHost } from '../services/join-host.ts';
import { projectRoot } from '../services/locations.ts';

/** The app of this home folder, started in the background when none runs. Throws with the log's path when it fails. */
export async function ensureHost(home: string): Promise<Host> {
  const running = await joinHost(home);
  if (running) return running;
  mkdirSync(home, { recursive: true, mode: 0o700 });
  const logPath = join(home, 'app.log');
  const log = openSync(logPath, 'a', 0o600);
  const fromSource = import.meta.filename.endsWith('.ts');
  const entry = join(import.meta.dirname, fromSource ? 'host.ts' : 'host.js');
  const child = spawn(nodeBinary(), [entry, '--background'], {
    cwd: home,
    detached: true,
    stdio: ['ignore', log, log, 'ipc'],
    env: process.env,
  });
  await new Promise<void>((done, fail) => {
    child.once('message', () => done());
    child.once('error', fail);
    child.once('exit', (code) => fail(new Error(`Skiff ended at once (code ${code}); see ${logPath}`)));
  });
  child.unref();
  const host = await joinHost(home);
  if (!host) throw new Error(`Skiff does not answer; see ${logPath}`);
  return host;
}

/** The Node that the checkout pins, for the app runs its TypeScript sources there; else the one we run on. */
function nodeBinary(): string {
  const pinned = join(projectRoot(), 'node_modules', '.bin', 'node');
  return existsSync(pinned) ? pinned : process.execPath;
}
