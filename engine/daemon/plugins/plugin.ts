import { existsSync, readFileSync } from 'node:fs';
import { type RequestOptions, request } from 'node:http';
import { join } from 'node:path';

import { messageOf, notFound, systemError } from '../../errors.ts';

const SOCKETS = '/run/docker/plugins';
const SPECS = ['/etc/docker/plugins', '/usr/lib/docker/plugins'];
const MEDIA_TYPE = 'application/vnd.docker.plugins.v1.2+json';
const LIMIT_MS = 30_000;

export type PluginAnswer = Readonly<Record<string, unknown>>;

/** What a plugin can do: the words of Plugin.Activate. */
export type Capability = 'VolumeDriver' | 'authz';

/** A managed plugin that runs: what it can do is known without asking it. */
export interface ManagedEndpoint {
  /** With its tag. */
  readonly name: string;
  readonly where: RequestOptions;
  /** As in docker.<capability>/1.0, in small letters. */
  readonly capabilities: readonly string[];
  readonly timeoutMs: number | undefined;
  /** Where something that the plugin names is on this machine. */
  hostPath(path: string): string;
}

/** Where managed plugins are found. */
export interface ManagedLookup {
  /** Throws conflict for one that is disabled. */
  find(name: string): ManagedEndpoint | undefined;
  /** With its tag when it is a managed plugin's name, else as it is. */
  nameOf(name: string): string;
}

/**
 * A program of its own that speaks Docker's plugin protocol, JSON by POST
 * (https://docs.docker.com/engine/extend/plugin_api/). One that isn't managed is activated before its first call.
 */
export class Plugin {
  readonly name: string;
  readonly #where: RequestOptions;
  readonly #capability: Capability;
  readonly #managed: ManagedEndpoint | undefined;
  #active = false;

  constructor(name: string, where: RequestOptions, capability: Capability, managed?: ManagedEndpoint) {
    this.name = name;
    this.#where = where;
    this.#capability = capability;
    this.#managed = managed;
    this.#active = managed !== undefined;
  }

  /** Where a path that the plugin names is on this machine. */
  hostPath(path: string): string {
    return this.#managed ? this.#managed.hostPath(path) : path;
  }

  /** Throws what the answer carries as `Err`, and when there is none. */
  async call(method: string, body: object): Promise<PluginAnswer> {
    if (!this.#active) {
      const { Implements = [] } = await this.#post('Plugin.Activate', {});
      if (!Array.isArray(Implements) || !Implements.includes(this.#capability)) {
        throw notFound(`plugin ${JSON.stringify(this.name)} does not implement ${this.#capability} interface`);
      }
      this.#active = true;
    }
    return this.#post(method, body);
  }

  #post(method: string, body: object): Promise<PluginAnswer> {
    return new Promise((resolve, reject) => {
      const fail = (reason: string): void => reject(systemError(`${method}: ${reason}`));
      const call = request(
        {
          ...this.#where,
          method: 'POST',
          path: `/${method}`,
          headers: { Accept: MEDIA_TYPE },
          timeout: this.#managed?.timeoutMs ?? LIMIT_MS,
        },
        (response) => {
          let text = '';
          response.setEncoding('utf8');
          response.on('data', (chunk: string) => {
            text += chunk;
          });
          response.on('error', (error) => fail(messageOf(error)));
          response.on('end', () => {
            const answer = parse(text);
            if (answer.Err) fail(String(answer.Err));
            else if (response.statusCode !== 200) fail(text.trim() || `HTTP status ${response.statusCode}`);
            else resolve(answer);
          });
        },
      );
      call.on('timeout', () => call.destroy(new Error('no answer from the plugin')));
      call.on('error', (error) => fail(messageOf(error)));
      call.end(JSON.stringify(body));
    });
  }
}

/**
 * Plugins of one capability, found where Docker looks for them: managed ones first, then sockets, then spec files with the address
 * of one.
 */
export class Plugins {
  readonly #capability: Capability;
  readonly #managed: ManagedLookup;
  readonly #known = new Map<string, Plugin>();

  constructor(capability: Capability, managed: ManagedLookup) {
    this.#capability = capability;
    this.#managed = managed;
  }

  /** Undefined when there is none of this name; throws when there is one that can't be asked. */
  find(name: string): Plugin | undefined {
    const managed = this.#managed.find(name);
    if (managed) return this.#asked(managed);
    const where = /^[A-Za-z0-9][\w.-]*$/.test(name) ? locate(name) : undefined;
    if (!where) {
      this.#known.delete(name);
      return undefined;
    }
    const known = this.#known.get(name) ?? new Plugin(name, where, this.#capability);
    this.#known.set(name, known);
    return known;
  }

  #asked(managed: ManagedEndpoint): Plugin {
    const capability = this.#capability.toLowerCase();
    if (!managed.capabilities.includes(capability)) {
      throw notFound(`plugin does not provide ${JSON.stringify(capability)} capability`);
    }
    return new Plugin(managed.name, managed.where, this.#capability, managed);
  }

  nameOf(name: string): string {
    return this.#managed.nameOf(name);
  }
}

function parse(text: string): PluginAnswer {
  try {
    return JSON.parse(text || '{}') as PluginAnswer;
  } catch {
    return {};
  }
}

function locate(name: string): RequestOptions | undefined {
  for (const path of [join(SOCKETS, `${name}.sock`), join(SOCKETS, name, `${name}.sock`)]) {
    if (existsSync(path)) return { socketPath: path };
  }
  for (const folder of SPECS) {
    for (const path of [join(folder, `${name}.spec`), join(folder, name, `${name}.spec`)]) {
      if (existsSync(path)) return addressOf(readFileSync(path, 'utf8').trim());
    }
    for (const path of [join(folder, `${name}.json`), join(folder, name, `${name}.json`)]) {
      if (!existsSync(path)) continue;
      const { Addr, TLSConfig } = parse(readFileSync(path, 'utf8'));
      if (TLSConfig)
        throw systemError(`plugin ${JSON.stringify(name)}: TLS to plugins is not supported by this engine`);
      return addressOf(String(Addr ?? ''));
    }
  }
  return undefined;
}

/** `unix:///path` or `tcp://host:port`. */
function addressOf(address: string): RequestOptions | undefined {
  if (address.startsWith('unix://')) return { socketPath: address.slice('unix://'.length) };
  const tcp = /^(?:tcp|http):\/\/([^/:]+):(\d+)$/.exec(address);
  return tcp ? { host: tcp[1], port: Number(tcp[2]) } : undefined;
}
