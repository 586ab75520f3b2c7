import { existsSync, readFileSync } from 'node:fs';
import { type RequestOptions, request } from 'node:http';
import { join } from 'node:path';

import { messageOf, notFound, systemError } from '../../errors.ts';

const SOCKETS = '/run/docker/plugins';
const SPECS = ['/etc/docker/plugins', '/usr/lib/docker/plugins'];
const MEDIA_TYPE = 'application/vnd.docker.plugins.v1.2+json';
const LIMIT_MS = 30_000;

type Answer = Readonly<Record<string, unknown>>;

/**
 * A volume driver that is a program of its own, by the protocol of Docker's legacy plugins
 * (https://docs.docker.com/engine/extend/plugins_volume/). Every answer may carry `Err`, which is thrown.
 */
export class VolumePlugin {
  readonly name: string;
  readonly #where: RequestOptions;
  #active = false;

  constructor(name: string, where: RequestOptions) {
    this.name = name;
    this.#where = where;
  }

  async create(name: string, options: Readonly<Record<string, string>>): Promise<void> {
    await this.#call('VolumeDriver.Create', { Name: name, Opts: options });
  }

  async remove(name: string): Promise<void> {
    await this.#call('VolumeDriver.Remove', { Name: name });
  }

  /** @param id names the use, so that the plugin can count them. @returns where the volume is on this machine */
  async mount(name: string, id: string): Promise<string> {
    const { Mountpoint } = await this.#call('VolumeDriver.Mount', { Name: name, ID: id });
    if (typeof Mountpoint !== 'string' || !Mountpoint.startsWith('/')) {
      throw systemError(`VolumeDriver.Mount: plugin ${this.name} gave no mountpoint`);
    }
    return Mountpoint;
  }

  async unmount(name: string, id: string): Promise<void> {
    await this.#call('VolumeDriver.Unmount', { Name: name, ID: id });
  }

  async #call(method: string, body: object): Promise<Answer> {
    if (!this.#active) {
      const { Implements = [] } = await this.#post('Plugin.Activate', {});
      if (!Array.isArray(Implements) || !Implements.includes('VolumeDriver')) {
        throw notFound(`plugin ${JSON.stringify(this.name)} does not implement VolumeDriver interface`);
      }
      this.#active = true;
    }
    return this.#post(method, body);
  }

  #post(method: string, body: object): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const fail = (reason: string): void => reject(systemError(`${method}: ${reason}`));
      const call = request(
        { ...this.#where, method: 'POST', path: `/${method}`, headers: { Accept: MEDIA_TYPE }, timeout: LIMIT_MS },
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

function parse(text: string): Answer {
  try {
    return JSON.parse(text || '{}') as Answer;
  } catch {
    return {};
  }
}

/** Finds plugins where Docker looks for them: sockets first, then spec files with the address of one. */
export class VolumePlugins {
  readonly #known = new Map<string, VolumePlugin>();

  /** Throws in Docker's words when there is none. */
  get(name: string): VolumePlugin {
    const where = /^[A-Za-z0-9][\w.-]*$/.test(name) ? locate(name) : undefined;
    if (!where) {
      this.#known.delete(name);
      throw notFound(`error looking up volume plugin ${name}: plugin ${JSON.stringify(name)} not found`);
    }
    const known = this.#known.get(name) ?? new VolumePlugin(name, where);
    this.#known.set(name, known);
    return known;
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
