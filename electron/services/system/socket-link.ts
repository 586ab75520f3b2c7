import { execFile } from 'node:child_process';
import { lstat, readFile, readlink, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { SystemSocket } from '../../contract/system.ts';
import { ServiceError } from '../errors.ts';
import { socketOwner } from './socket-owner.ts';

const run = promisify(execFile);
/** Somebody has to type a password. */
const ASKING_MS = 120_000;

/** The system's socket as a link to ours, and back. A link of another product is remembered; a socket itself is never touched. */
export class SocketLink {
  readonly #path: string;
  readonly #ours: string;
  /** holds where the link led before it was ours */
  readonly #before: string;

  constructor(home: string, ours: string, path: string) {
    this.#path = path;
    this.#ours = ours;
    this.#before = join(home, 'system-socket-before');
  }

  state(): Promise<SystemSocket> {
    if (process.platform === 'win32') return Promise.resolve({ path: '', owner: 'none', product: '', target: '' });
    return socketOwner(this.#ours, this.#path);
  }

  async link(): Promise<void> {
    if ((await this.state()).owner === 'ours') return;
    const there = await lstat(this.#path).catch(() => undefined);
    if (there && !there.isSymbolicLink()) {
      throw new ServiceError(
        'conflict',
        `${this.#path} is another program's own socket.`,
        'Stop that program first; it makes its socket anew whenever it starts.',
      );
    }
    if (there) await writeFile(this.#before, await readlink(this.#path), { mode: 0o600 });
    await this.#set(this.#ours);
  }

  async unlink(): Promise<void> {
    if ((await this.state()).owner !== 'ours') return;
    const before = await readFile(this.#before, 'utf8').catch(() => undefined);
    await this.#set(before);
    await rm(this.#before, { force: true });
  }

  /** In one step, so that no tool finds nothing; as an administrator when we may not. */
  async #set(target: string | undefined): Promise<void> {
    const next = `${this.#path}.skiff`;
    try {
      if (target === undefined) return await rm(this.#path);
      await rm(next, { force: true });
      await symlink(target, next);
      await rename(next, this.#path);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'EACCES' && code !== 'EPERM') throw error;
      await asAdministrator(target === undefined ? ['rm', '-f', this.#path] : ['ln', '-sfn', target, this.#path]);
    }
  }
}

async function asAdministrator(command: string[]): Promise<void> {
  const line = command.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ');
  const script = `do shell script ${JSON.stringify(line)} with administrator privileges`;
  const [program, args] = process.platform === 'darwin' ? ['osascript', ['-e', script]] : ['pkexec', command];
  try {
    await run(program as string, args as string[], { timeout: ASKING_MS });
  } catch {
    throw new ServiceError('forbidden', 'That takes an administrator.', `In a terminal: sudo ${line}`);
  }
}
