import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { canRun, Testbed } from '../engine/testbed.ts';

const IMAGE = 'skiff/welcome';

interface Asked {
  readonly id?: number;
  readonly op: string;
  readonly hostIp?: string;
  readonly hostPort?: number;
}

/** The test is the app: it answers what the engine asks of the computer around the VM. */
describe.skipIf(!canRun)('ports of the computer around the VM (skipped without root on Linux)', () => {
  let bed: Testbed;
  let app: Socket;
  let asked: Asked[] = [];
  let refuse: ((port: Asked) => object | undefined) | undefined;

  beforeAll(async () => {
    bed = new Testbed({ engine: ['--host-channel', '/run/host/host.sock'] });
    await bed.start();
    app = connect(join(bed.shared, 'host.sock')).setEncoding('utf8');
    await once(app, 'connect');
    let pending = '';
    app.on('data', (text: string) => {
      pending += text;
      for (let at = pending.indexOf('\n'); at >= 0; at = pending.indexOf('\n')) {
        const message = JSON.parse(pending.slice(0, at)) as Asked;
        pending = pending.slice(at + 1);
        asked.push(message);
        if (message.id !== undefined)
          app.write(`${JSON.stringify({ id: message.id, ok: true, ...refuse?.(message) })}\n`);
      }
    });
  });
  afterAll(async () => {
    app.destroy();
    await bed[Symbol.asyncDispose]();
  });

  const of = (op: string) => asked.flatMap((one) => (one.op === op ? `${one.hostIp} ${one.hostPort}` : [])).sort();

  test('are opened before the start is answered and closed at the end, on each address that was asked for', async () => {
    asked = [];
    const ports = ['-p', '127.0.0.1:8301:80', '-p', '[::1]:8301:80', '-p', '8302:80'];
    await bed.ok('run', '-d', '--stop-signal', 'KILL', '--name', 'web', ...ports, IMAGE);
    expect(of('expose')).toEqual(['127.0.0.1 8301', '0.0.0.0 8302', '::1 8301'].sort());
    expect((await bed.ok('port', 'web', '80')).split('\n').sort()).toEqual([
      '0.0.0.0:8302',
      '127.0.0.1:8301',
      '[::1]:8301',
    ]);
    await bed.ok('rm', '-f', 'web');
    expect(of('unexpose')).toEqual(['127.0.0.1 8301', '0.0.0.0 8302', '::1 8301'].sort());
  });

  test('are opened for both families when the container has both', async () => {
    await bed.ok('network', 'create', '--ipv6', 'six');
    asked = [];
    await bed.ok('run', '-d', '--stop-signal', 'KILL', '--name', 'both', '--network', 'six', '-p', '8303:80', IMAGE);
    expect(of('expose')).toEqual(['0.0.0.0 8303', ':: 8303']);
    // Another container's is another's, whatever the address.
    const other = await bed.docker(['run', '--rm', '-p', '127.0.0.1:8303:80', IMAGE, 'true']);
    expect(other.stderr).toContain('Bind for 127.0.0.1:8303 failed: port is already allocated');
    await bed.ok('rm', '-f', 'both');
    await bed.ok('network', 'rm', 'six');
  });

  test('that are taken fail the start with the name of the program that has them, and nothing stays open', async () => {
    asked = [];
    refuse = ({ op, hostPort }) =>
      op === 'expose' && hostPort === 8305
        ? { ok: undefined, error: 'port is already allocated', holder: 'nginx (pid 7)' }
        : undefined;
    const { code, stderr } = await bed.docker(['run', '--rm', '-p', '8304:80', '-p', '8305:81', IMAGE, 'true']);
    refuse = undefined;
    expect(code).toBe(125);
    expect(stderr).toContain('Bind for 0.0.0.0:8305 failed: port is already allocated (held by nginx (pid 7))');
    expect(of('unexpose')).toContain('0.0.0.0 8304');
    await bed.ok('run', '--rm', '-p', '8304:80', IMAGE, 'true');
  });

  test('are said all at once to an app that comes later', async () => {
    await bed.ok('run', '-d', '--stop-signal', 'KILL', '--name', 'kept', '-p', '[::]:8306:80', IMAGE);
    const later = connect(join(bed.shared, 'host.sock')).setEncoding('utf8');
    const [text] = (await once(later, 'data')) as [string];
    expect(JSON.parse(text.split('\n')[0]!)).toEqual({
      op: 'sync',
      ports: [{ proto: 'tcp', hostIp: '::', hostPort: 8306 }],
    });
    later.destroy();
    await bed.ok('rm', '-f', 'kept');
  });
});
