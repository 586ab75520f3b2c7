import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';

import { canRun, Testbed } from '../engine/testbed.ts';

const IMAGE = 'skiff/welcome';

describe.skipIf(!canRun)('names on networks (skipped without root on Linux: needs namespaces and mounts)', () => {
  let bed: Testbed;
  const sleeper = (...args: string[]) => bed.ok('run', '-d', '--stop-signal', 'KILL', ...args, IMAGE, 'sleep', '1000');
  const ask = async (container: string, ...args: string[]) =>
    (await bed.docker(['exec', container, 'nslookup', ...args])).stdout.replace(/^.*?\n\n/s, '');
  const addressOf = (container: string, network: string) =>
    bed.ok('inspect', '-f', `{{(index .NetworkSettings.Networks "${network}").IPAddress}}`, container);

  beforeAll(async () => {
    bed = new Testbed();
    await bed.start();
    await bed.ok('network', 'create', 'town');
    await sleeper('--name', 'ann', '--network', 'town', '--network-alias', 'mayor', '--hostname', 'annshost');
    await sleeper('--name', 'bob', '--network', 'town', '--network-alias', 'folk');
    await sleeper('--name', 'cid', '--network', 'town', '--network-alias', 'folk');
  });
  afterAll(() => bed[Symbol.asyncDispose]());

  test('a container is found by its name, alias, short id, host name and its name in the network, in any case', async () => {
    const ip = await addressOf('ann', 'town');
    const id = await bed.ok('inspect', '-f', '{{.Id}}', 'ann');
    for (const name of ['ann', 'mayor', id.slice(0, 12), 'annshost', 'ann.town', 'ANN']) {
      expect(await ask('bob', name), name).toContain(ip);
    }
    expect(await bed.ok('exec', 'bob', 'cat', '/etc/resolv.conf')).toContain('nameserver 127.0.0.11');
    expect(await bed.ok('exec', 'bob', 'ping', '-c', '1', '-W', '5', 'ann')).toContain(ip);
  });

  test('several containers with one alias are all named, and an address leads back to a name', async () => {
    const all = [await addressOf('bob', 'town'), await addressOf('cid', 'town')];
    const answer = await ask('ann', 'folk');
    for (const ip of all) expect(answer).toContain(ip);
    expect(await ask('ann', all[0]!)).toContain('bob.town');
  });

  test('a known name without an IPv6 address is no error; an unknown one is answered, not left waiting', async () => {
    const six = await bed.docker(['exec', 'ann', 'nslookup', '-type=aaaa', 'bob']);
    expect(six.stdout).not.toMatch(/NXDOMAIN|SERVFAIL/);
    const unknown = await bed.docker(['exec', 'ann', 'nslookup', '-type=a', 'nobody.invalid']);
    expect(unknown.stdout + unknown.stderr).toMatch(/NXDOMAIN|SERVFAIL|can't resolve|can't find/);
  });

  test('names follow connect, disconnect and rename of running containers', async () => {
    await bed.ok('network', 'create', 'club');
    await bed.ok('network', 'connect', '--alias', 'guest', 'club', 'ann');
    await sleeper('--name', 'dan', '--network', 'club');
    expect(await ask('dan', 'guest')).toContain(await addressOf('ann', 'club'));
    expect(await bed.ok('exec', 'ann', 'ip', '-o', 'addr', 'show', 'eth1')).toContain(await addressOf('ann', 'club'));
    await bed.ok('rename', 'ann', 'anna');
    expect(await ask('dan', 'anna')).toContain(await addressOf('anna', 'club'));
    await bed.ok('network', 'disconnect', 'club', 'anna');
    expect((await bed.docker(['exec', 'dan', 'nslookup', 'guest'])).stdout).toContain("can't find guest");
    expect(await bed.ok('exec', 'anna', 'ip', 'link')).not.toContain('eth1');
    await bed.ok('rename', 'anna', 'ann');
    await bed.ok('rm', '-f', 'dan');
    await bed.ok('network', 'rm', 'club');
  });

  test('a container of the default bridge that is connected to a network gets its names', async () => {
    await sleeper('--name', 'eve');
    expect(await bed.ok('exec', 'eve', 'cat', '/etc/resolv.conf')).not.toContain('127.0.0.11');
    await bed.ok('network', 'connect', 'town', 'eve');
    expect(await ask('eve', 'ann')).toContain(await addressOf('ann', 'town'));
    await bed.ok('rm', '-f', 'eve');
  });

  test('names and running containers survive the engine, whose successor answers again', async () => {
    const ip = await addressOf('ann', 'town');
    await bed.kill();
    await bed.start();
    await vi.waitFor(async () => expect(await ask('bob', 'ann')).toContain(ip), { timeout: 15_000 });
    expect(await bed.ok('exec', 'bob', 'ping', '-c', '1', '-W', '5', 'ann')).toContain(ip);
  });

  test('a resolver that the user names is asked from inside: answers, long ones over TCP, and that there is none', async () => {
    await sleeper('--name', 'ns', '--network', 'town');
    const pid = await bed.ok('inspect', '-f', '{{.State.Pid}}', 'ns');
    const script = (name: string) => join(import.meta.dirname, name);
    const upstream = spawn('nsenter', ['-t', pid, '-n', process.execPath, script('upstream.mjs')]);
    try {
      await once(upstream.stdout, 'data');
      await sleeper('--name', 'fay', '--network', 'town', '--dns', await addressOf('ns', 'town'));
      const fay = await bed.ok('inspect', '-f', '{{.State.Pid}}', 'fay');
      const resolve = (name: string) =>
        execFileSync('nsenter', ['-t', fay, '-n', process.execPath, script('ask.mjs'), '127.0.0.11', name], {
          encoding: 'utf8',
        }).trim();
      expect(resolve('one.example')).toBe('["10.9.0.1"]');
      expect(JSON.parse(resolve('long.example'))).toHaveLength(200);
      expect(resolve('nothing.invalid')).toBe('ENOTFOUND');
      expect(resolve('ann')).toContain(await addressOf('ann', 'town'));
      // Off every network with a way out, nothing is asked outside.
      await bed.ok('network', 'create', '--internal', 'cellar');
      await bed.ok('network', 'connect', 'cellar', 'fay');
      await bed.ok('network', 'disconnect', 'town', 'fay');
      expect(resolve('one.example')).toBe('ESERVFAIL');
      await bed.ok('rm', '-f', 'fay');
      await bed.ok('network', 'rm', 'cellar');
    } finally {
      upstream.kill('SIGKILL');
    }
    await bed.ok('rm', '-f', 'ns');
  });

  test('links of the default bridge are lines in hosts and variables', async () => {
    await sleeper('--name', 'db', '--expose', '5432', '-e', 'SECRET=x');
    const ip = await addressOf('db', 'bridge');
    const out = await bed.ok('run', '--rm', '--link', 'db:data', IMAGE, 'sh', '-c', 'cat /etc/hosts; env');
    expect(out).toContain(`${ip}\tdata `);
    expect(out).toContain(`DATA_PORT_5432_TCP=tcp://${ip}:5432`);
    expect(out).toContain('DATA_ENV_SECRET=x');
    const linked = await bed.ok('run', '--rm', '--network', 'town', '--link', 'ann:boss', IMAGE, 'nslookup', 'boss');
    expect(linked).toContain(await addressOf('ann', 'town'));
    expect((await bed.docker(['run', '--rm', '--link', 'nobody', IMAGE, 'true'])).stderr).toContain(
      'could not get container for nobody',
    );
    await bed.ok('rm', '-f', 'db');
  });
});
