import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { type Duplex, duplexPair, PassThrough } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type ExposedPort, MachineError } from '../machine/types.ts';
import type { Tunnel } from '../tunnel/types.ts';
import { lsofCommand, parseLsof, parseWindows, portHolder, windowsCommand } from './holder.ts';
import { PortKeeper, type PortsMachine } from './ports.ts';
import { freePort } from './six-relay.ts';

/** What the machine would forward, without one. */
class Forwards implements PortsMachine {
  open: ExposedPort[] = [];
  taken = new Set<number>();

  async expose(port: ExposedPort): Promise<void> {
    if (this.taken.has(port.hostPort)) throw new MachineError('port-taken', 'it is in use');
    this.open.push(port);
  }

  async unexpose(port: ExposedPort): Promise<void> {
    this.open = this.open.filter((one) => one.hostPort !== port.hostPort);
  }

  exposed(): ExposedPort[] {
    return this.open;
  }

  endpoint(): never {
    throw new MachineError('not-running', 'not now');
  }
}

describe('the ports of the host', () => {
  let machine: Forwards;
  let engine: Duplex;
  let connected: Promise<void>;
  let keeper: PortKeeper;
  let lines: AsyncIterator<string>;

  beforeEach(() => {
    machine = new Forwards();
    let told = () => {};
    connected = new Promise((done) => {
      told = done;
    });
    const channel = async () => {
      const [ours, theirs] = duplexPair();
      engine = theirs;
      lines = theirs.setEncoding('utf8')[Symbol.asyncIterator]() as AsyncIterator<string>;
      told();
      return ours as never;
    };
    const tunnel = { channel, onState: () => () => {} } as unknown as Tunnel;
    keeper = new PortKeeper(machine, tunnel, () => {});
  });
  afterEach(() => keeper.close());

  const ask = async (message: object) => {
    await connected;
    engine.write(`${JSON.stringify(message)}\n`);
    return JSON.parse((await lines.next()).value as string);
  };
  const port = (hostPort: number, hostIp = '0.0.0.0') => ({ proto: 'tcp', hostIp, hostPort });

  test('are opened and closed as the engine says, with an answer to each', async () => {
    expect(await ask({ id: 1, op: 'expose', ...port(8080) })).toEqual({ id: 1, ok: true });
    expect(machine.open).toEqual([{ proto: 'tcp', hostIp: '0.0.0.0', hostPort: 8080, guestPort: 8080 }]);
    expect(await ask({ id: 2, op: 'unexpose', ...port(8080) })).toEqual({ id: 2, ok: true });
    expect(machine.open).toEqual([]);
  });

  test('keep the address that was asked for', async () => {
    await ask({ id: 1, op: 'expose', ...port(8080, '127.0.0.1') });
    expect(machine.open[0]?.hostIp).toBe('127.0.0.1');
  });

  test('that are taken are refused in the words of Docker', async () => {
    machine.taken.add(8080);
    expect(await ask({ id: 1, op: 'expose', ...port(8080) })).toMatchObject({
      id: 1,
      error: 'port is already allocated',
    });
  });

  test('on IPv6 addresses are listened on here, and lead to a forward of their own', async () => {
    const taken = await freePort();
    expect(await ask({ id: 1, op: 'expose', ...port(taken, '::1') })).toEqual({ id: 1, ok: true });
    const [forward] = machine.open;
    expect(forward).toMatchObject({ proto: 'tcp', hostIp: '127.0.0.1', guestPort: taken });
    // What QEMU would forward.
    const guest = createServer((socket) => socket.end('from the machine')).listen(forward!.hostPort, '127.0.0.1');
    await once(guest, 'listening');
    const client = connect({ host: '::1', port: taken });
    expect(String(await buffer(client))).toBe('from the machine');
    guest.close();
    expect(await ask({ id: 2, op: 'unexpose', ...port(taken, '::1') })).toEqual({ id: 2, ok: true });
    expect(machine.open).toEqual([]);
    const [refused] = await once(connect({ host: '::1', port: taken }), 'error');
    expect(refused).toMatchObject({ code: 'ECONNREFUSED' });
  });

  test('on IPv6 addresses that are taken are refused, and the holder is named', async () => {
    const server = createServer().listen({ host: '::1', port: 0, ipv6Only: true });
    await once(server, 'listening');
    const { port: taken } = server.address() as { port: number };
    expect(await ask({ id: 1, op: 'expose', ...port(taken, '::1') })).toMatchObject({
      error: 'port is already allocated',
      ...(process.platform === 'linux' ? { holder: expect.stringContaining(`(pid ${process.pid})`) } : {}),
    });
    expect(machine.open).toEqual([]);
    server.close();
  });

  test('are made equal to what a new connection says', async () => {
    machine.open = [{ proto: 'tcp', hostIp: '0.0.0.0', hostPort: 1, guestPort: 1 }];
    await connected;
    engine.write(`${JSON.stringify({ op: 'sync', ports: [port(8081), port(8082)] })}\n`);
    await vi.waitFor(() => expect(machine.open.map((one) => one.hostPort)).toEqual([8081, 8082]));
  });

  test('of a taken port do not keep the others of a sync from being opened', async () => {
    machine.taken.add(8081);
    await connected;
    engine.write(`${JSON.stringify({ op: 'sync', ports: [port(8081), port(8082)] })}\n`);
    await vi.waitFor(() => expect(machine.open.map((one) => one.hostPort)).toEqual([8082]));
  });

  test('are kept again after the connection was lost', async () => {
    await connected;
    const first = engine;
    first.destroy();
    await vi.waitFor(() => expect(engine).not.toBe(first));
    expect(await ask({ id: 1, op: 'expose', ...port(8080) })).toEqual({ id: 1, ok: true });
  });
});

test.skipIf(process.platform !== 'linux')('the holder of a port is named', async () => {
  const server = createServer((_socket: Socket) => new PassThrough()).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  expect(await portHolder(port)).toContain(`(pid ${process.pid})`);
  server.close();
});

test('on macOS and Windows the system is asked who holds a port', () => {
  expect(lsofCommand(8080)).toEqual(['lsof', ['-nP', '-iTCP:8080', '-sTCP:LISTEN', '-Fpc']]);
  expect(parseLsof('p123\ncnginx\nf6\n')).toBe('nginx (pid 123)');
  expect(parseLsof('')).toBeUndefined();
  const [program, args] = windowsCommand(8080);
  expect(program).toBe('powershell.exe');
  expect(args.at(-1)).toContain('Get-NetTCPConnection -State Listen -LocalPort 8080');
  expect(parseWindows('Some Server 4711\r\n')).toBe('Some Server (pid 4711)');
  expect(parseWindows('')).toBeUndefined();
});
