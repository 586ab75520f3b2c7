/**
 * Docker's own contexts, as its CLI keeps them: `contexts/meta/<sha256 of the name>/meta.json` below its configuration folder,
 * and the name of the current one in `config.json`.
 */
import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import type { DockerContextState } from '../contract/machine-care.ts';
import { ServiceError } from './errors.ts';

const NAME = 'skiff';

export class DockerContext {
  readonly #host: string;
  readonly #env: NodeJS.ProcessEnv;
  readonly #dir: string;

  /** `host`: the value of DOCKER_HOST that leads to us */
  constructor(host: string, env: NodeJS.ProcessEnv = process.env) {
    this.#host = host;
    this.#env = env;
    this.#dir = env.DOCKER_CONFIG || join(homedir(), '.docker');
  }

  async state(): Promise<DockerContextState> {
    const { DOCKER_HOST, DOCKER_CONTEXT } = this.#env;
    return {
      exists: (await this.#endpoint()) === this.#host,
      current: String((await this.#config()).currentContext || 'default'),
      override: DOCKER_HOST
        ? `DOCKER_HOST=${DOCKER_HOST}`
        : DOCKER_CONTEXT
          ? `DOCKER_CONTEXT=${DOCKER_CONTEXT}`
          : undefined,
    };
  }

  /** One that leads to another home's socket is led to ours. */
  async create(): Promise<void> {
    const meta = {
      Name: NAME,
      Metadata: { Description: 'Skiff' },
      Endpoints: { docker: { Host: this.#host, SkipTLSVerify: false } },
    };
    await mkdir(dirname(this.#metaFile()), { recursive: true, mode: 0o755 });
    await replace(this.#metaFile(), JSON.stringify(meta), 0o644);
  }

  async use(): Promise<void> {
    if ((await this.#endpoint()) !== this.#host) await this.create();
    await this.#setCurrent(NAME);
  }

  /** Nothing of ours stays; `docker` goes back to its default when it used us. */
  async remove(): Promise<void> {
    if ((await this.#config()).currentContext === NAME) await this.#setCurrent(undefined);
    for (const kind of ['meta', 'tls']) await rm(this.#folder(kind), { recursive: true, force: true });
  }

  #folder(kind: string): string {
    return join(this.#dir, 'contexts', kind, createHash('sha256').update(NAME).digest('hex'));
  }

  #metaFile(): string {
    return join(this.#folder('meta'), 'meta.json');
  }

  async #endpoint(): Promise<string | undefined> {
    try {
      const meta = JSON.parse(await readFile(this.#metaFile(), 'utf8')) as {
        Endpoints?: { docker?: { Host?: string } };
      };
      return meta.Endpoints?.docker?.Host;
    } catch {
      return undefined;
    }
  }

  /** Throws ServiceError 'conflict' for a file that is not JSON: it holds the user's logins and is not ours to replace. */
  async #config(): Promise<Record<string, unknown>> {
    const path = join(this.#dir, 'config.json');
    let text: string;
    try {
      text = await readFile(path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
      throw error;
    }
    try {
      return text.trim() ? JSON.parse(text) : {};
    } catch {
      throw new ServiceError('conflict', `${path} is not valid JSON; it was left alone.`);
    }
  }

  /** All else in the file stays as it is, indented as the CLI does. */
  async #setCurrent(name: string | undefined): Promise<void> {
    const { currentContext: _, ...others } = await this.#config();
    const config = name ? { ...others, currentContext: name } : others;
    await mkdir(this.#dir, { recursive: true, mode: 0o700 });
    const path = join(this.#dir, 'config.json');
    const mode = ((await stat(path).catch(() => undefined))?.mode ?? 0o600) & 0o777;
    await replace(path, JSON.stringify(config, undefined, '\t'), mode);
  }
}

async function replace(path: string, text: string, mode: number): Promise<void> {
  const temporary = `${path}.skiff-${process.pid}`;
  await writeFile(temporary, text, { mode, flush: true });
  await rename(temporary, path);
}
