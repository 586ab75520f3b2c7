import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { makePlugin } from '../engine/sample-plugin.ts';
import { type Call, call, type Reply } from './http.ts';
import type { Operation, Swagger } from './swagger.ts';
import { createTar } from './tar.ts';

const IMAGE = 'skiff/welcome';

/** What an operation was seen doing. */
export interface Seen {
  readonly statuses: number[];
  readonly problems: string[];
}

/** Drives operations of the API against a living engine and checks each answer against the specification. */
export class Driver {
  readonly seen = new Map<Operation, Seen>();
  readonly #swagger: Swagger;
  readonly #socket: string;

  constructor(swagger: Swagger, socket: string) {
    this.#swagger = swagger;
    this.#socket = socket;
  }

  /** @param path the specification's, with `{names}` filled from `params`; a query after `?` */
  async drive(
    method: string,
    path: string,
    params: Readonly<Record<string, string>> = {},
    options: Call = {},
  ): Promise<Reply> {
    const [template = '', query] = path.split('?');
    const operation = this.#swagger.find(method, template);
    const filled = template.replace(/\{(\w+)\}/g, (_all, name: string) => params[name] ?? 'missing');
    const answer = await call(
      this.#socket,
      method,
      `/v${this.#swagger.version}${filled}${query ? `?${query}` : ''}`,
      options,
    );
    const seen = this.seen.get(operation) ?? { statuses: [], problems: [] };
    seen.statuses.push(answer.status);
    // Streams are lines of JSON: one schema each; a body that was cut off is no body.
    const streams = options.enough !== undefined || options.headersOnly || answer.status === 101;
    if (!streams) {
      // Streams of events and progress: a document a line.
      const lines = answer.json === undefined ? linesOf(answer.body) : [answer.json];
      const problems = lines.flatMap((line) => this.#swagger.problems(operation, answer.status, line));
      seen.problems.push(...problems.map((problem) => `${problem}: ${answer.body.toString('utf8').slice(0, 300)}`));
    }
    this.seen.set(operation, seen);
    return answer;
  }

  /** Whatever nothing has driven yet, with made-up names: what a standalone engine refuses. */
  async driveRest(): Promise<void> {
    for (const operation of this.#swagger.operations) {
      if (this.seen.has(operation)) continue;
      const body = operation.method === 'POST' ? { body: {} } : {};
      await this.drive(operation.method, operation.path, { id: 'x', name: 'x' }, body);
    }
  }
}

function linesOf(body: Buffer): unknown[] {
  const lines = body.toString('utf8').split('\n').filter(Boolean);
  return lines.map((line) => {
    try {
      return JSON.parse(line) as unknown;
    } catch {
      return undefined;
    }
  });
}

const id = (reply: Reply): string => (reply.json as { Id?: string; ID?: string } | undefined)?.Id ?? '';

/** One story through every operation that the engine has. @param registry host:port of a registry the engine reaches */
export async function driveAll(driver: Driver, registry: string): Promise<void> {
  await driveSystem(driver);
  await driveContainers(driver);
  await driveImages(driver, registry);
  await driveNetworksAndVolumes(driver);
  await drivePlugins(driver, registry);
  await driver.drive('POST', '/containers/prune');
  await driver.drive('GET', '/system/df');
}

async function driveSystem(driver: Driver): Promise<void> {
  await driver.drive('GET', '/_ping');
  await driver.drive('HEAD', '/_ping');
  await driver.drive('GET', '/version');
  await driver.drive('GET', '/info');
  await driver.drive('GET', '/system/df');
  await driver.drive('GET', '/events?since=0&until=1');
}

async function driveContainers(driver: Driver): Promise<void> {
  const body = {
    Image: IMAGE,
    Entrypoint: ['sleep'],
    Cmd: ['1000'],
    Labels: { a: 'b' },
    ExposedPorts: { '80/tcp': {} },
    Healthcheck: { Test: ['CMD', 'true'], Interval: 1e9 },
    HostConfig: { PortBindings: { '80/tcp': [{ HostPort: '' }] }, Binds: ['drivenvol:/data'], Memory: 64 << 20 },
  };
  const container = id(await driver.drive('POST', '/containers/create?name=driven', {}, { body }));
  const of = { id: container };
  await driver.drive('POST', '/containers/create', {}, { body: { Image: 'no-such-image' } });
  await driver.drive('POST', '/containers/{id}/start', of);
  await driver.drive('POST', '/containers/{id}/start', of);
  await driver.drive('POST', '/containers/{id}/start', { id: 'no-such-container' });
  await driver.drive('GET', '/containers/json?all=1&size=1');
  await driver.drive('GET', '/containers/{id}/json?size=1', of);
  await driver.drive('GET', '/containers/{id}/json', { id: 'no-such-container' });
  await driver.drive('GET', '/containers/{id}/top', of);
  await driver.drive('GET', '/containers/{id}/stats?stream=false', of);
  await driver.drive('GET', '/containers/{id}/logs?stdout=1', of);
  await driver.drive('GET', '/containers/{id}/changes', of);
  await driver.drive('GET', '/containers/{id}/export', of, { enough: 1024 });
  await driver.drive('HEAD', '/containers/{id}/archive?path=/', of);
  await driver.drive('GET', '/containers/{id}/archive?path=/etc', of);
  await driver.drive('PUT', '/containers/{id}/archive?path=/', of, {
    body: await createTar({ 'driven.txt': 'driven\n' }),
  });
  await driver.drive('POST', '/containers/{id}/resize?h=20&w=80', of);
  await driver.drive('POST', '/containers/{id}/update', of, { body: { Memory: 128 << 20, MemorySwap: 256 << 20 } });
  await driver.drive('POST', '/containers/{id}/rename?name=driven-again', of);
  await driver.drive('POST', '/containers/{id}/pause', of);
  await driver.drive('POST', '/containers/{id}/unpause', of);
  await driver.drive('POST', '/containers/{id}/attach?logs=1&stdout=1', of);
  const upgrade = {
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': 'AAAAAAAAAAAAAAAAAAAAAA==',
  };
  await driver.drive('GET', '/containers/{id}/attach/ws?stream=1&stdout=1', of, { headers: upgrade });
  const exec = id(
    await driver.drive('POST', '/containers/{id}/exec', of, {
      body: { Cmd: ['sleep', '5'], AttachStdout: true, Tty: true },
    }),
  );
  await driver.drive('POST', '/exec/{id}/start', { id: exec }, { body: { Detach: true, Tty: true } });
  await driver.drive('POST', '/exec/{id}/resize?h=20&w=80', { id: exec });
  await driver.drive('GET', '/exec/{id}/json', { id: exec });
  await driver.drive('POST', '/containers/{id}/restart?t=0', of);
  await driver.drive('POST', '/containers/{id}/kill', of);
  await driver.drive('POST', '/containers/{id}/wait', of);
  await driver.drive('POST', '/containers/{id}/stop', of);
  await driver.drive('POST', '/commit?container=driven-again&repo=driven&tag=commit', {}, { body: {} });
  await driver.drive('DELETE', '/containers/{id}?v=1', of);
  await driver.drive('DELETE', '/containers/{id}', of);
}

async function driveImages(driver: Driver, registry: string): Promise<void> {
  const name = `${registry}/driven`;
  const dockerfile = { Dockerfile: `FROM ${IMAGE}\nRUN echo driven > /driven\n` };
  await driver.drive('POST', '/build?t=driven:build', {}, { body: await createTar(dockerfile) });
  await driver.drive('POST', '/build/prune?all=1');
  await driver.drive('GET', '/images/json?all=1&shared-size=1&digests=1');
  await driver.drive('POST', `/images/{name}/tag?repo=${name}&tag=1`, { name: 'driven:commit' });
  await driver.drive('POST', '/images/{name}/push?tag=1', { name }, { headers: { 'X-Registry-Auth': 'e30=' } });
  await driver.drive('POST', `/images/create?fromImage=${name}&tag=1`);
  await driver.drive('GET', '/distribution/{name}/json', { name: `${name}:1` });
  await driver.drive('POST', '/auth', {}, { body: { serveraddress: registry, username: 'a', password: 'b' } });
  await driver.drive('GET', '/images/{name}/json', { name: `${name}:1` });
  await driver.drive('GET', '/images/{name}/history', { name: `${name}:1` });
  await driver.drive('GET', '/images/search?term=driven&limit=1');
  const saved = await driver.drive('GET', '/images/{name}/get', { name: 'driven:commit' });
  await driver.drive('GET', `/images/get?names=driven:commit`);
  await driver.drive('POST', '/images/load', {}, { body: saved.body });
  await driver.drive('DELETE', '/images/{name}?force=1', { name: 'driven:commit' });
  await driver.drive('DELETE', '/images/{name}', { name: 'no-such-image' });
  await driver.drive('POST', '/images/prune');
}

async function driveNetworksAndVolumes(driver: Driver): Promise<void> {
  const network = id(
    await driver.drive('POST', '/networks/create', {}, { body: { Name: 'driven', Labels: { a: 'b' } } }),
  );
  await driver.drive('POST', '/networks/create', {}, { body: { Name: 'driven' } });
  const container = id(
    await driver.drive(
      'POST',
      '/containers/create',
      {},
      { body: { Image: IMAGE, Entrypoint: ['sleep'], Cmd: ['1000'] } },
    ),
  );
  await driver.drive('POST', '/containers/{id}/start', { id: container });
  await driver.drive('POST', '/networks/{id}/connect', { id: network }, { body: { Container: container } });
  await driver.drive('GET', '/networks');
  await driver.drive('GET', '/networks/{id}', { id: network });
  await driver.drive('GET', '/networks/{id}', { id: 'no-such-network' });
  await driver.drive('DELETE', '/networks/{id}', { id: network });
  await driver.drive('POST', '/networks/{id}/disconnect', { id: network }, { body: { Container: container } });
  await driver.drive('DELETE', '/networks/{id}', { id: network });
  await driver.drive('POST', '/networks/prune');
  await driver.drive('DELETE', '/containers/{id}?force=1', { id: container });
  await driver.drive('POST', '/volumes/create', {}, { body: { Name: 'driven', Labels: { a: 'b' } } });
  await driver.drive('GET', '/volumes');
  await driver.drive('GET', '/volumes/{name}', { name: 'driven' });
  await driver.drive('GET', '/volumes/{name}', { name: 'no-such-volume' });
  await driver.drive('DELETE', '/volumes/{name}', { name: 'driven' });
  await driver.drive('POST', '/volumes/prune');
}

async function drivePlugins(driver: Driver, registry: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'skiff-driven-plugin-'));
  makePlugin(folder);
  const body = execFileSync('tar', ['-c', '-C', folder, '.'], { maxBuffer: 64 * 1024 * 1024 });
  rmSync(folder, { recursive: true, force: true });
  const name = `${registry}/driven-plugin:1`;
  const headers = { 'Content-Type': 'application/x-tar' };
  await driver.drive('POST', `/plugins/create?name=${name}`, {}, { body, headers });
  await driver.drive('POST', '/plugins/{name}/push', { name });
  await driver.drive('DELETE', '/plugins/{name}', { name });
  await driver.drive('DELETE', '/plugins/{name}', { name: 'no-such-plugin' });
  const granted = (await driver.drive('GET', `/plugins/privileges?remote=${name}`)).json as object[];
  await driver.drive('POST', `/plugins/pull?remote=${name}&name=driven`, {}, { body: granted });
  const of = { name: 'driven' };
  await driver.drive('POST', `/plugins/{name}/upgrade?remote=${name}`, of, { body: granted });
  await driver.drive('POST', '/plugins/{name}/set', of, { body: ['PREFIX=driven '] });
  await driver.drive('POST', '/plugins/{name}/enable?timeout=5', of);
  await driver.drive('GET', '/plugins');
  await driver.drive('GET', '/plugins/{name}/json', of);
  await driver.drive('GET', '/plugins/{name}/json', { name: 'no-such-plugin' });
  await driver.drive('POST', '/plugins/{name}/disable', of);
  await driver.drive('DELETE', '/plugins/{name}', of);
}
