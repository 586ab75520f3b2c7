import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openPort, parseUserNet } from './ports.ts';
import { QmpClient, type QmpEvent } from './qmp.ts';

let dir: string;
let server: Server;
let qemu: Socket;
let answer: (command: string, args: unknown) => object | undefined;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'skiff-qmp-'));
  answer = () => ({ return: {} });
  server = createServer((socket) => {
    qemu = socket;
    socket.write('{"QMP": {"version": {}, "capabilities": []}}\r\n');
    socket.on('data', (data) => {
      for (const line of data
        .toString()
        .split('\n')
        .filter((text) => text.trim())) {
        const { id, execute, arguments: args } = JSON.parse(line);
        const reply = execute === 'qmp_capabilities' ? { return: {} } : answer(execute, args);
        if (reply) socket.write(`${JSON.stringify({ ...reply, id })}\r\n`);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(join(dir, 'qmp'), resolve));
});
afterEach(() => {
  qemu?.destroy();
  server.close();
  rmSync(dir, { recursive: true, force: true });
});

const open = () => QmpClient.open(connect(join(dir, 'qmp')));

describe('the monitor', () => {
  it('gives each command its own answer, also when answers come in another order', async () => {
    const qmp = await open();
    answer = (command) => (command === 'slow' ? undefined : { return: command });
    const slow = qmp.execute('slow');
    expect(await qmp.execute('fast')).toBe('fast');
    qemu.write('{"return": "late", "id": 2}\r\n');
    expect(await slow).toBe('late');
  });

  it("makes QEMU's errors ours", async () => {
    const qmp = await open();
    answer = () => ({ error: { class: 'GenericError', desc: 'Device not found' } });
    await expect(qmp.execute('x')).rejects.toMatchObject({ kind: 'qmp', message: 'Device not found' });
  });

  it('does not wait for ever', async () => {
    const qmp = await open();
    answer = () => undefined;
    await expect(qmp.execute('x', undefined, 50)).rejects.toThrow(/did not answer x within 0.05 s/);
  });

  it('passes events on, also ones that arrive in pieces', async () => {
    const qmp = await open();
    const event = new Promise<QmpEvent>((resolve) => qmp.on('event', resolve));
    qemu.write('{"event": "SHUTDOWN", "data": {"gu');
    setTimeout(() => qemu.write('est": true}}\r\n'), 10);
    expect(await event).toEqual({ event: 'SHUTDOWN', data: { guest: true } });
  });

  it('fails what is under way when QEMU dies', async () => {
    const qmp = await open();
    answer = () => undefined;
    const waiting = qmp.execute('x');
    qemu.destroy();
    await expect(waiting).rejects.toMatchObject({ kind: 'qmp' });
    await expect(qmp.execute('y')).rejects.toMatchObject({ kind: 'qmp' });
  });
});

describe('opening a host port', () => {
  const port = { proto: 'tcp', hostIp: '127.0.0.1', hostPort: 8080, guestPort: 80 } as const;

  it('is done by the user network of QEMU', async () => {
    const qmp = await open();
    const lines: unknown[] = [];
    answer = (_, args) => {
      lines.push(args);
      return { return: '' };
    };
    await openPort(qmp, port);
    expect(lines).toEqual([{ 'command-line': 'hostfwd_add net tcp:127.0.0.1:8080-:80' }]);
  });

  it('that another program uses fails with port-taken, though QEMU reports success with a text', async () => {
    const qmp = await open();
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port: taken } = other.address() as { port: number };
    answer = () => ({ return: `could not set up host forwarding rule 'tcp:127.0.0.1:${taken}-:80'\r\n` });
    await expect(openPort(qmp, { ...port, hostPort: taken })).rejects.toMatchObject({
      kind: 'port-taken',
      message: `Port 127.0.0.1:${taken}/tcp on this computer is already in use.`,
    });
    other.close();
  });

  it('on an address that is not of this computer fails with port-refused', async () => {
    const qmp = await open();
    answer = () => ({ return: 'could not set up' });
    await expect(openPort(qmp, { ...port, hostIp: '192.0.2.77' })).rejects.toMatchObject({ kind: 'port-refused' });
  });

  it("is read back from QEMU's own list", () => {
    const text = `Hub -1 (net):
  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ
  TCP[HOST_FORWARD]  16       127.0.0.1 18080       10.0.2.15    80     0     0
  TCP[ESTABLISHED]   18       127.0.0.1 33505       10.0.2.15 65022     0     0
  UDP[HOST_FORWARD]  17               *  5353       10.0.2.15    53     0     0`;
    expect(parseUserNet(text)).toEqual([
      { proto: 'tcp', hostIp: '127.0.0.1', hostPort: 18080, guestPort: 80 },
      { proto: 'udp', hostIp: '0.0.0.0', hostPort: 5353, guestPort: 53 },
    ]);
  });
});
