import { describe, expect, test, vi } from 'vitest';
import type { Client, Implementation } from '../contract/contract.ts';
import type { WireError } from '../contract/errors.ts';
import { createClient, createClients } from './client.ts';
import { decode, encode } from './codec.ts';
import { createPipe } from './pipe.ts';
import { serve } from './server.ts';

const toWire = (error: unknown): WireError => ({ kind: 'failed', message: String(error), hint: '', detail: '' });

const opened = (services: object) => ({ services: services as Implementation, done: () => {} });

function join(services: Record<string, Record<string, unknown>>): { client: Client; close(): void } {
  const { shell, app } = createPipe();
  serve(app, () => opened(services), toWire);
  return { client: createClient(shell), close: () => shell.close() };
}

describe('the protocol between shells and the app', () => {
  test('a call answers with its result', async () => {
    const { client } = join({ app: { info: async () => ({ version: '1' }) } });
    expect(await client.app.info()).toEqual({ version: '1' });
  });

  test('a call that fails throws the error as data', async () => {
    const { client } = join({ machine: { start: () => Promise.reject(new Error('no')) } });
    await expect(client.machine.start()).rejects.toMatchObject({ kind: 'failed', message: 'Error: no' });
  });

  test('a call is made even when nobody awaits it', async () => {
    const stop = vi.fn(async () => {});
    const { client } = join({ machine: { stop } });
    client.machine.stop();
    await vi.waitFor(() => expect(stop).toHaveBeenCalledOnce());
  });

  test('methods that are not in the services are refused, inherited ones too', async () => {
    const { client } = join({ app: {} });
    const odd = client as unknown as Record<string, Record<string, () => Promise<unknown>>>;
    for (const [service, method] of [
      ['app', 'toString'],
      ['app', 'nothing'],
      ['constructor', 'keys'],
    ] as const) {
      await expect(odd[service]?.[method]?.()).rejects.toMatchObject({ kind: 'invalid' });
    }
  });

  test('a stream gives its items in order and ends', async () => {
    const { client } = join({
      containers: {
        async *logs() {
          for (let n = 0; n < 500; n++) yield { stream: 'stdout', text: `${n}` };
        },
      },
    });
    const got: string[] = [];
    for await (const { text } of client.containers.logs('x', { tail: 1, follow: true, timestamps: false }))
      got.push(text);
    expect(got).toEqual(Array.from({ length: 500 }, (_, n) => `${n}`));
  });

  test('leaving the loop cancels the stream at its source', async () => {
    let signal: AbortSignal | undefined;
    const { client } = join({
      app: {
        async *state(given: AbortSignal) {
          signal = given;
          for (;;) yield await new Promise((done) => setTimeout(done, 1, {}));
        },
      },
    });
    for await (const _ of client.app.state()) break;
    await vi.waitFor(() => expect(signal?.aborted).toBe(true));
  });

  test('a signal cancels a call at its source', async () => {
    let seen: AbortSignal | undefined;
    const { client } = join({
      machine: {
        start: (signal: AbortSignal) => {
          seen = signal;
          return new Promise(() => {});
        },
      },
    });
    const abort = new AbortController();
    const call = client.machine.start(abort.signal);
    await vi.waitFor(() => expect(seen).toBeDefined());
    abort.abort();
    await expect(call).rejects.toMatchObject({ kind: 'cancelled' });
    await vi.waitFor(() => expect(seen?.aborted).toBe(true));
  });

  test('a reader that is slow stops the source', async () => {
    let made = 0;
    const { client } = join({
      app: {
        async *state() {
          for (;;) yield { made: made++ };
        },
      },
    });
    const items = client.app.state()[Symbol.asyncIterator]();
    await items.next();
    await new Promise((done) => setTimeout(done, 30));
    expect(made).toBeLessThan(100);
    for (let n = 0; n < 1_000; n++) await items.next();
    expect(made).toBeGreaterThan(1_000);
    await items.return?.();
  });

  test('what was asked is cancelled and fails as lost when the connection goes', async () => {
    let seen: AbortSignal | undefined;
    const { client, close } = join({
      machine: {
        start: (signal: AbortSignal) => {
          seen = signal;
          return new Promise(() => {});
        },
      },
    });
    const call = client.machine.start();
    await vi.waitFor(() => expect(seen).toBeDefined());
    close();
    await expect(call).rejects.toMatchObject({ kind: 'lost' });
    expect(seen?.aborted).toBe(true);
    await expect(client.machine.stop()).rejects.toMatchObject({ kind: 'lost' });
  });

  test('the signal stays the last argument when optional ones were left out', async () => {
    const info = vi.fn(async (_first: unknown, _signal: AbortSignal) => ({}));
    const { client } = join({ app: { info } });
    await client.app.info();
    expect(info.mock.calls[0]?.[0]).toBeUndefined();
    expect(info.mock.calls[0]?.[1]).toBeInstanceOf(AbortSignal);
  });

  test('each client is answered by its own engine, and hears nothing more after its end', async () => {
    const { shell, app } = createPipe();
    const done = vi.fn();
    const answers: (() => void)[] = [];
    const list = (engine: string | undefined) => () =>
      new Promise((answer) => answers.push(() => answer([engine ?? 'own'])));
    serve(app, (engine) => ({ services: { containers: { list: list(engine) } } as never, done }), toWire);
    const clients = createClients(shell);
    const first = new AbortController();
    const old = clients('first', first.signal).containers.list();
    const now = clients('second', new AbortController().signal).containers.list();
    const own = clients(undefined, new AbortController().signal).containers.list();
    await vi.waitFor(() => expect(answers).toHaveLength(3));
    first.abort();
    for (const answer of answers) answer();
    await expect(old).rejects.toMatchObject({ kind: 'cancelled' });
    expect(await now).toEqual(['second']);
    expect(await own).toEqual(['own']);
    await expect(clients('first', first.signal).containers.list()).rejects.toMatchObject({ kind: 'cancelled' });
    expect(done).toHaveBeenCalledTimes(3);
  });

  test('an engine that is not known is an error of the one who asks for it', async () => {
    const { shell, app } = createPipe();
    const open = () => {
      throw new Error('no such engine');
    };
    serve(app, open, toWire);
    const client = createClients(shell)('gone', new AbortController().signal);
    await expect(client.containers.list()).rejects.toMatchObject({ message: 'Error: no such engine' });
  });

  test('messages that are not of the protocol are ignored', () => {
    const { shell, app } = createPipe();
    const sent = vi.fn();
    serve({ ...app, send: sent }, () => opened({}), toWire);
    for (const odd of [
      null,
      7,
      'ask',
      {},
      { t: 'ask', id: 'x' },
      { t: 'ask', id: 1, service: 'a', method: 'b', args: {} },
    ]) {
      shell.send(odd as never);
    }
    expect(sent).not.toHaveBeenCalled();
  });

  test('bytes survive the text form', () => {
    const bytes = Uint8Array.from({ length: 70_000 }, (_, n) => n % 256);
    expect(decode(encode({ a: [bytes] }))).toEqual({ a: [bytes] });
  });
});
