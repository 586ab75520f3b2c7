import { createHash } from 'node:crypto';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

/** The app's folder: SKIFF_HOME, else `~/.skiff`. */
export function skiffHome(env: NodeJS.ProcessEnv = process.env): string {
  return env.SKIFF_HOME ? resolve(env.SKIFF_HOME) : join(homedir(), '.skiff');
}

/** Where `docker` finds the engine. */
export function engineSocketPath(home: string, platform: NodeJS.Platform = process.platform): string {
  return localSocket(home, 'docker.sock', 'skiff_engine', platform);
}

/** Where the `skiff` command finds the running app. */
export function appSocketPath(home: string, platform: NodeJS.Platform = process.platform): string {
  return localSocket(home, 'app.sock', 'skiff_app', platform);
}

/** The value of DOCKER_HOST for a local socket. */
export function dockerHost(socketPath: string, platform: NodeJS.Platform = process.platform): string {
  return platform === 'win32' ? `npipe://${socketPath.replaceAll('\\', '/')}` : `unix://${socketPath}`;
}

/** Windows has no socket files: pipes live in one global namespace, so only the usual home gets the plain name. */
function localSocket(home: string, file: string, pipe: string, platform: NodeJS.Platform): string {
  if (platform !== 'win32') return join(home, file);
  if (resolve(home) === join(homedir(), '.skiff')) return `\\\\.\\pipe\\${pipe}`;
  return `\\\\.\\pipe\\${pipe}_${createHash('sha256').update(resolve(home)).digest('hex').slice(0, 12)}`;
}
