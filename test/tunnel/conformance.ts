import { once } from 'node:events';
import { request } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { Tunnel } from '../../electron/tunnel/types.ts';
import { get, getText, hijack, randomPayload, text } from './client.ts';

/** A tunnel whose far end is guest-server.mjs, wherever that runs. */
export interface Backend {
  name: string;
  open(): Promise<{ tunnel: Tunnel; close(): Promise<void> }>;
  /** how much slower than a local sshd everything is; 1 by default */
  patience?: number;
  /** why it can't run here */
  skip?: string | undefined;
}

/** What every tunnel must do, wherever its far end is. */
export function tunnelConformance(backend: Backend): void {
  const patience = backend.patience ?? 1;
  const title = `the tunnel to ${backend.name}${backend.skip ? `, skipped: ${backend.skip}` : ''}`;
  describe.skipIf(backend.skip)(title, { timeout: 30_000 * patience }, () => {
    let opened: Awaited<ReturnType<Backend['open']>>;
    let socket: string;
    beforeAll(async () => {
      opened = await backend.open();
      socket = opened.tunnel.socketPath;
    }, 30_000 * patience);
    afterAll(() => opened?.close());

    const seen = async () => JSON.parse(await getText(socket, '/seen'));
    const soon = { timeout: 5_000 * patience, interval: 20 };

    test('answers a request', async () => {
      expect(await getText(socket, '/_ping')).toBe('OK');
    });

    test('carries a large body to the engine unaltered', async () => {
      const { data, sha256 } = randomPayload((32 * 1024 * 1024) / patience);
      const sent = request({ socketPath: socket, path: '/sink', method: 'POST', agent: false }).end(data);
      const [response] = await once(sent, 'response');
      expect(JSON.parse(await text(response))).toEqual({ bytes: data.length, sha256 });
    });

    test('carries a large body from the engine in full', async () => {
      const bytes = Math.round(50_000_001 / patience);
      let got = 0;
      for await (const part of await get(socket, `/bytes?n=${bytes}`)) got += part.length;
      expect(got).toBe(bytes);
    });

    test('echoes on a hijacked connection, both ways at once', async () => {
      const stream = await hijack(socket, '/echo');
      const { data } = randomPayload((4 * 1024 * 1024) / patience);
      stream.end(data);
      const back: Buffer[] = [];
      for await (const part of stream) back.push(part);
      expect(Buffer.concat(back).equals(data)).toBe(true);
    });

    test('lets the client end its side and still get the answer', async () => {
      const stream = await hijack(socket, '/digest');
      const { data, sha256 } = randomPayload(300_000);
      stream.end(data);
      expect(JSON.parse(await text(stream))).toEqual({ bytes: data.length, sha256 });
    });

    test('lets the engine end its side and still hear the client', async () => {
      // A bare socket that may stay half open, as Node's HTTP client does not keep one.
      const stream = connect({ path: socket, allowHalfOpen: true });
      stream.write('POST /end-first HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n');
      expect(await text(stream)).toContain('that was all\n');
      stream.end(Buffer.alloc(200_000));
      await vi.waitFor(async () => expect((await seen()).afterEnd).toBe(200_000), soon);
    });

    test('keeps small messages apart and fast', async () => {
      const stream = await hijack(socket, '/echo');
      for (let n = 0; n < 50; n++) {
        stream.write(`${n}`);
        const [data] = await once(stream, 'data');
        expect(String(data)).toBe(`${n}`);
      }
      stream.destroy();
    });

    test('slows the engine down when the client does not read', async () => {
      const response = await get(socket, '/flood');
      response.pause();
      await sleep(500 * patience);
      const first = (await seen()).flooded;
      await sleep(300 * patience);
      expect((await seen()).flooded).toBe(first);
      expect(first).toBeLessThan(32 * 1024 * 1024);
      response.destroy();
    });

    test('serves 300 long streams at the same time', async () => {
      const leave = new AbortController();
      const streams = Array.from({ length: 300 }, async (_, name) => {
        const response = await get(socket, `/drip?name=${name}&ms=${200 * patience}`, leave.signal);
        response.setEncoding('utf8').on('error', () => {});
        let got = '';
        response.on('data', (data: string) => {
          got += data;
        });
        await vi.waitFor(() => expect(got).toContain(`${name} 1\n`), { ...soon, timeout: 20_000 * patience });
        expect(got).toBe(
          got
            .split('\n')
            .slice(0, -1)
            .map((_, n) => `${name} ${n}\n`)
            .join(''),
        );
      });
      await Promise.all(streams);
      // … and a short request does not wait behind them.
      expect(await getText(socket, '/_ping')).toBe('OK');
      leave.abort();
      await vi.waitFor(async () => expect(opened.tunnel.clients.joined).toBe(0), soon);
    });

    test('tells the engine when a client of a long stream has gone', async () => {
      const before = (await seen()).dripClosed;
      const leave = new AbortController();
      const response = await get(socket, '/drip?name=left&ms=50', leave.signal);
      response.on('error', () => {});
      leave.abort();
      await vi.waitFor(async () => expect((await seen()).dripClosed).toBe(before + 1), soon);
    });

    test('tells the client when the engine has dropped it', async () => {
      await expect(get(socket, '/die')).rejects.toThrow(/hang up|ECONNRESET/);
    });

    test('leaves nothing behind after many short connections', async () => {
      for (let n = 0; n < 100; n++) expect(await getText(socket, '/_ping')).toBe('OK');
      await vi.waitFor(() => expect(opened.tunnel.clients).toMatchObject({ joined: 0, waiting: 0 }), soon);
    });
  });
}
