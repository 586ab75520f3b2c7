import { execFileSync, spawn } from 'node:child_process';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { canRun, Testbed } from '../engine/testbed.ts';

const IMAGE = 'skiff/welcome';

describe.skipIf(!canRun)('published ports, by the docker CLI (skipped without root on Linux)', () => {
  let bed: Testbed;
  const web = (...args: string[]) => bed.ok('run', '-d', '--stop-signal', 'KILL', ...args, IMAGE);
  /** From the machine itself. */
  const fromMachine = async (url: string) =>
    (await bed.docker(['run', '--rm', '--network', 'host', IMAGE, 'sh', '-c', `wget -T 4 -qO- ${url} 2>&1`])).stdout;
  const nft = () =>
    execFileSync('nsenter', ['-t', String(bed.pid), '-n', '-m', 'nft', 'list', 'ruleset'], { encoding: 'utf8' });

  beforeAll(async () => {
    bed = new Testbed();
    await bed.start();
  });
  afterAll(() => bed[Symbol.asyncDispose]());

  test('a port is reached from the machine, from the container itself, and from other networks through the machine', async () => {
    await bed.ok('network', 'create', '--subnet', '10.90.0.0/24', 'here');
    await bed.ok('network', 'create', 'there');
    await web('--name', 'site', '--network', 'here', '-p', '8080:80');
    expect(await fromMachine('http://127.0.0.1:8080/')).toContain('<html');
    expect(await fromMachine('http://10.90.0.1:8080/')).toContain('<html');
    const inside = (name: string) => ['exec', name, 'wget', '-T', '5', '-qO-', 'http://10.90.0.1:8080/'];
    expect(await bed.ok(...inside('site'))).toContain('<html');
    await web('--name', 'other', '--network', 'there');
    expect(await bed.ok(...inside('other'))).toContain('<html');
    expect(await bed.ok('port', 'site')).toContain('80/tcp -> 0.0.0.0:8080');
    await bed.kill();
    await bed.start();
    expect(await fromMachine('http://127.0.0.1:8080/')).toContain('<html');
    await bed.ok('rm', '-f', 'site', 'other');
    expect(await fromMachine('http://127.0.0.1:8080/')).not.toContain('<html');
    await bed.ok('network', 'rm', 'here', 'there');
  });

  test('one port on two addresses, ranges, any free port, and every exposed one', async () => {
    await web('--name', 'p1', '-p', '127.0.0.1:8090:80');
    await web('--name', 'p2', '-p', '127.0.0.2:8090:80');
    expect(await fromMachine('http://127.0.0.1:8090/')).toContain('<html');
    expect(await fromMachine('http://127.0.0.2:8090/')).toContain('<html');
    const third = await bed.docker(['run', '--rm', '--name', 'p3', '-p', '8090:80', IMAGE]);
    expect(third.stderr).toMatch(
      /driver failed programming external connectivity on endpoint p3 \([0-9a-f]{64}\): Bind for 0\.0\.0\.0:8090 failed: port is already allocated/,
    );
    await web('--name', 'r1', '-p', '8100-8101:80');
    await web('--name', 'r2', '-p', '8100-8101:80');
    expect([await bed.ok('port', 'r1', '80'), await bed.ok('port', 'r2', '80')]).toEqual([
      '0.0.0.0:8100',
      '0.0.0.0:8101',
    ]);
    expect((await bed.docker(['run', '--rm', '-p', '8100-8101:80', IMAGE])).stderr).toContain('already allocated');
    await web('--name', 'any', '-P', '--expose', '81');
    expect(await bed.ok('port', 'any')).toMatch(
      /80\/tcp -> 0\.0\.0\.0:\d+\n81\/tcp -> 0\.0\.0\.0:\d+|81\/tcp.*\n80\/tcp/,
    );
    await bed.ok('rm', '-f', 'p1', 'p2', 'r1', 'r2', 'any');
  });

  test('a port that another program of the machine holds is refused', async () => {
    await bed.ok(
      'run',
      '-d',
      '--stop-signal',
      'KILL',
      '--name',
      'holder',
      '--network',
      'host',
      IMAGE,
      'nc',
      '-l',
      '-p',
      '8111',
    );
    await expect
      .poll(() => bed.ok('exec', 'holder', 'cat', '/proc/net/tcp', '/proc/net/tcp6'), { timeout: 15_000 })
      .toContain(':1FAF ');
    const taken = await bed.docker(['run', '--rm', '-p', '8111:80', IMAGE]);
    expect(taken.code).toBe(125);
    expect(taken.stderr).toContain('address already in use');
    await bed.ok('rm', '-f', 'holder');
  });

  test('UDP comes through, and its answers go back', async () => {
    await bed.ok('run', '-d', '--stop-signal', 'KILL', '--name', 'udp', '-p', '8123:9/udp', IMAGE, 'sleep', '1000');
    const pid = await bed.ok('inspect', '-f', '{{.State.Pid}}', 'udp');
    const echo =
      "const s=require('dgram').createSocket('udp4').bind(9);s.on('message',(m,f)=>s.send('re: '+m,f.port,f.address))";
    const server = spawn('nsenter', ['-t', pid, '-n', process.execPath, '-e', echo]);
    try {
      const ask =
        "const s=require('dgram').createSocket('udp4');const t=setInterval(()=>s.send('word',8123,'127.0.0.1'),100);" +
        "s.on('message',(m)=>{console.log(String(m));process.exit()});setTimeout(()=>process.exit(1),20000)";
      const answer = execFileSync('nsenter', ['-t', String(bed.pid), '-n', process.execPath, '-e', ask]);
      expect(String(answer)).toBe('re: word\n');
    } finally {
      server.kill('SIGKILL');
    }
    await bed.ok('rm', '-f', 'udp');
  });

  test('IPv6: through [::1] and the bridge, for containers with and without IPv6', async () => {
    await bed.ok('network', 'create', '--ipv6', '--subnet', 'fd00:91::/64', 'six');
    await web('--name', 'v6', '--network', 'six', '-p', '8130:80');
    expect(await bed.ok('port', 'v6', '80')).toBe('0.0.0.0:8130\n[::]:8130');
    expect(await fromMachine('http://[::1]:8130/')).toContain('<html');
    expect(await fromMachine('http://[fd00:91::1]:8130/')).toContain('<html');
    await web('--name', 'v4', '-p', '[::]:8131:80');
    expect(await fromMachine('http://[::1]:8131/')).toContain('<html');
    await bed.ok('rm', '-f', 'v6', 'v4');
    await bed.ok('network', 'rm', 'six');
  });

  test('a port stays when the network it came through is left for another', async () => {
    await bed.ok('network', 'create', 'old');
    await bed.ok('network', 'create', 'young');
    await web('--name', 'moving', '--network', 'old', '-p', '8140:80');
    await bed.ok('network', 'connect', 'young', 'moving');
    await bed.ok('network', 'disconnect', 'old', 'moving');
    expect(await bed.ok('port', 'moving', '80')).toBe('0.0.0.0:8140');
    expect(await fromMachine('http://127.0.0.1:8140/')).toContain('<html');
    await bed.kill();
    await bed.start();
    expect(await fromMachine('http://127.0.0.1:8140/')).toContain('<html');
    await bed.ok('network', 'disconnect', 'young', 'moving');
    expect(await bed.ok('port', 'moving')).toBe('');
    await bed.ok('rm', '-f', 'moving');
    await bed.ok('network', 'rm', 'old', 'young');
  });

  test('two thousand ports at once, in tables of our own only, and none is left', async () => {
    execFileSync('nsenter', ['-t', String(bed.pid), '-n', '-m', 'nft', 'add', 'table', 'ip', 'foreign']);
    await web('--name', 'many', '-p', '20000-21999:20000-21999');
    expect(nft().match(/: 172\.17\.0\.\d+ \. 2\d{4}/g)?.length).toBe(2000);
    await bed.ok('rm', '-f', 'many');
    const left = nft();
    expect(left).toContain('table ip foreign');
    expect(left).not.toMatch(/172\.17\.0\.\d+ \. 2\d{4}/);
  });
});
