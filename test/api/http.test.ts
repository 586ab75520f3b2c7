import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { canRun, Testbed } from '../engine/testbed.ts';
import { call } from './http.ts';

const LIMIT_MS = 30_000;

/** What comes back for these bytes until the engine closes, or `until` has come. */
function raw(path: string, bytes: string, until?: RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    let answer = '';
    const finish = () => {
      clearTimeout(timer);
      socket.destroy();
      resolve(answer);
    };
    const timer = setTimeout(() => reject(new Error(`no end after ${LIMIT_MS} ms: ${answer}`)), LIMIT_MS);
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => {
      answer += chunk;
      if (until?.test(answer)) finish();
    });
    socket.on('close', finish);
    socket.on('error', finish);
    socket.write(bytes);
  });
}

describe.skipIf(!canRun)('the API over HTTP (skipped without root on Linux: needs namespaces)', () => {
  let bed: Testbed;

  beforeAll(async () => {
    bed = new Testbed();
    await bed.start();
  }, 60_000);
  afterAll(() => bed?.[Symbol.asyncDispose]());

  it('says with /_ping what it is, with and without a body', async () => {
    const get = await call(bed.socket, 'GET', '/_ping');
    expect(get.body.toString()).toBe('OK');
    const head = await call(bed.socket, 'HEAD', '/_ping');
    expect(head.status).toBe(200);
    for (const { headers } of [get, head]) {
      expect(headers).toMatchObject({
        'api-version': '1.51',
        ostype: 'linux',
        'builder-version': '1',
        swarm: 'inactive',
      });
      expect(headers.server).toMatch(/^Skiff\//);
    }
  });

  it.each([
    ['/v1.23/info', 400, /client version 1.23 is too old. Minimum supported API version is 1.24/],
    ['/v1.99/info', 400, /client version 1.99 is too new. Maximum supported API version is 1.51/],
    ['/v1.44/no/such/thing', 404, /^page not found$/],
    ['/containers', 404, /^page not found$/],
    ['/v1.44/containers/%2e%2e%2f%2e%2e/json', 404, /No such container: \.\.\/\.\./],
  ])('GET %s is answered with %i', async (path, status, message) => {
    const reply = await call(bed.socket, 'GET', path);
    expect(reply.status).toBe(status);
    expect((reply.json as { message: string }).message).toMatch(message);
  });

  it('takes any of its versions', async () => {
    for (const minor of [24, 30, 41, 44, 51])
      expect((await call(bed.socket, 'GET', `/v1.${minor}/info`)).status).toBe(200);
  });

  it('takes bodies in chunks, with a length, and after 100-continue', async () => {
    const body = '{"Name":"by-http"}';
    const head =
      'POST /v1.44/volumes/create HTTP/1.1\r\nHost: engine\r\nConnection: close\r\nContent-Type: application/json\r\n';
    const chunked = `${head}Transfer-Encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;
    expect(await raw(bed.socket, chunked)).toMatch(/^HTTP\/1.1 201/);
    expect(await raw(bed.socket, `${head}Content-Length: ${body.length}\r\n\r\n${body}`)).toMatch(/^HTTP\/1.1 201/);
    const expecting = `${head}Content-Length: ${body.length}\r\nExpect: 100-continue\r\n\r\n${body}`;
    expect(await raw(bed.socket, expecting)).toMatch(/^HTTP\/1.1 100 Continue\r\n\r\nHTTP\/1.1 201/);
  });

  it('keeps a connection for the next request', async () => {
    const ask = 'GET /_ping HTTP/1.1\r\nHost: engine\r\n\r\n';
    expect(await raw(bed.socket, ask + ask, /OK[\s\S]*OK/)).toMatch(/OK/);
  });

  it('refuses what is not HTTP, and bodies without end', async () => {
    expect(await raw(bed.socket, '\x16\x03\x01\x02\x00\r\n\r\n')).toMatch(/^HTTP\/1.1 400/);
    expect((await call(bed.socket, 'POST', '/containers/create', { body: Buffer.alloc(20 << 20, 0x20) })).status).toBe(
      400,
    );
    const long = await call(bed.socket, 'GET', `/containers/json?filters=${'x'.repeat(8_000)}`);
    expect(long.status).toBe(400);
  });

  it('goes on with a thousand idle connections, and with some that never finish their request', {
    timeout: 120_000,
  }, async () => {
    const sockets: Socket[] = [];
    while (sockets.length < 1_000) {
      const socket = connect(bed.socket);
      const connected = await new Promise((resolve) => {
        socket.once('connect', () => resolve(true));
        socket.once('error', () => resolve(false));
      });
      expect(connected).toBe(true);
      socket.on('error', () => {});
      // A slow loris: half a request line, then nothing.
      if (sockets.length % 10 === 0) socket.write('GET /_pi');
      sockets.push(socket);
    }
    expect((await call(bed.socket, 'GET', '/_ping')).status).toBe(200);
    expect(await bed.ok('run', '--rm', '--entrypoint', 'echo', 'skiff/welcome', 'beside them')).toBe('beside them');
    for (const socket of sockets) socket.destroy();
    expect((await call(bed.socket, 'GET', '/_ping')).status).toBe(200);
  });

  it('drops a client of /events that stops reading, and goes on', { timeout: 120_000 }, async () => {
    const socket = connect(bed.socket);
    socket.on('error', () => {});
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.write('GET /events HTTP/1.1\r\nHost: engine\r\n\r\n');
    await new Promise((resolve) => socket.once('data', resolve));
    socket.pause();
    // 120 KB of events a round: far more than it may lag behind.
    const body = { Image: 'skiff/welcome', Labels: { label: 'x'.repeat(60_000) } };
    for (let round = 0; round < 100; round++) {
      const created = await call(bed.socket, 'POST', '/containers/create', { body });
      await call(bed.socket, 'DELETE', `/containers/${(created.json as { Id: string }).Id}`);
    }
    socket.resume();
    await closed;
    expect((await call(bed.socket, 'GET', '/_ping')).status).toBe(200);
  });
});
