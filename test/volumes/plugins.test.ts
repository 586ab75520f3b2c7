import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { canRun, Testbed } from '../engine/testbed.ts';

const IMAGE = 'skiff/welcome';

/** A volume driver: folders below /tmp/toy, and a log of what it was asked. */
const PLUGIN = `
const fs = require('fs');
const answers = {
  'Plugin.Activate': () => ({ Implements: ['VolumeDriver'] }),
  'VolumeDriver.Create': ({ Name, Opts }) => {
    if (Opts && Opts.fail) return { Err: 'no room' };
    fs.mkdirSync('/tmp/toy/' + Name, { recursive: true });
    return {};
  },
  'VolumeDriver.Remove': ({ Name }) => (fs.rmSync('/tmp/toy/' + Name, { recursive: true }), {}),
  'VolumeDriver.Mount': ({ Name }) => ({ Mountpoint: '/tmp/toy/' + Name }),
  'VolumeDriver.Unmount': () => ({}),
};
fs.mkdirSync('/run/docker/plugins', { recursive: true });
require('http').createServer((request, response) => {
  let body = '';
  request.on('data', (chunk) => (body += chunk)).on('end', () => {
    const method = request.url.slice(1);
    fs.appendFileSync('/tmp/toy.log', method + '\\n');
    response.end(JSON.stringify(answers[method](JSON.parse(body || '{}'))));
  });
}).listen('/run/docker/plugins/toy.sock', () => console.log('ready'));
`;

describe.skipIf(!canRun)('volume plugins, by the docker CLI (skipped without root on Linux)', () => {
  let bed: Testbed;
  let plugin: ChildProcess;
  const onMachine = (line: string) =>
    execFileSync('nsenter', ['-t', String(bed.pid), '-m', 'sh', '-c', line], { encoding: 'utf8' });

  beforeAll(async () => {
    bed = new Testbed();
    await bed.start();
    plugin = spawn('nsenter', ['-t', String(bed.pid), '-m', '/usr/bin/node', '-e', PLUGIN]);
    await once(plugin.stdout!, 'data');
  });
  afterAll(async () => {
    plugin.kill('SIGKILL');
    await bed[Symbol.asyncDispose]();
  });

  test('a volume of a plugin is made, mounted, unmounted and removed by it', async () => {
    await bed.ok('volume', 'create', '-d', 'toy', '-o', 'colour=red', 'things');
    expect(await bed.ok('volume', 'ls', '--format', '{{.Driver}} {{.Name}}')).toBe('toy things');
    await bed.ok('run', '--rm', '-v', 'things:/t', IMAGE, 'sh', '-c', 'echo here > /t/file');
    expect(onMachine('cat /tmp/toy/things/file')).toBe('here\n');
    await bed.ok('volume', 'rm', 'things');
    expect(onMachine('cat /tmp/toy.log; ls /tmp/toy').trim().split('\n')).toEqual([
      'Plugin.Activate',
      'VolumeDriver.Create',
      'VolumeDriver.Mount',
      'VolumeDriver.Unmount',
      'VolumeDriver.Remove',
    ]);
  });

  test('run makes it too; a running container keeps it over a dead engine, whose successor unmounts it', async () => {
    const options = [
      '--volume-driver',
      'toy',
      '-v',
      'made:/t',
      '--mount',
      'type=volume,src=other,dst=/o,volume-driver=toy',
    ];
    await bed.ok('run', '-d', '--stop-signal', 'KILL', '--name', 'user', ...options, IMAGE, 'sleep', '1000');
    await bed.kill();
    await bed.start();
    onMachine(': > /tmp/toy.log');
    await bed.ok('rm', '-f', 'user');
    expect(onMachine('grep -c Unmount /tmp/toy.log').trim()).toBe('2');
    await bed.ok('volume', 'rm', 'made', 'other');
  });

  test("what a plugin refuses is told in its words, and what isn't there in Docker's", async () => {
    expect((await bed.docker(['volume', 'create', '-d', 'toy', '-o', 'fail=1', 'never'])).stderr).toContain(
      'create never: VolumeDriver.Create: no room',
    );
    expect((await bed.docker(['volume', 'create', '-d', 'ghost', 'never'])).stderr).toContain(
      'create never: error looking up volume plugin ghost: plugin "ghost" not found',
    );
    await bed.ok('volume', 'create', 'plain');
    expect((await bed.docker(['volume', 'create', '-d', 'toy', 'plain'])).stderr).toContain(
      'volume name must be unique',
    );
    await bed.ok('volume', 'rm', 'plain');
    expect(await bed.ok('volume', 'ls', '-q')).toBe('');
  });
});
