import { spawn } from 'node:child_process';

import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';

import { dockerCli } from '../../scripts/setup.mjs';
import { canRun, Testbed } from './testbed.ts';

const IMAGE = 'skiff/welcome';

describe.skipIf(!canRun)('logs and attached streams (skipped without root on Linux)', () => {
  let bed: Testbed;

  beforeAll(async () => {
    bed = new Testbed();
    await bed.start();
  });
  afterEach(async () => {
    const left = (await bed.ok('ps', '-aq')).split('\n').filter(Boolean);
    if (left.length > 0) await bed.ok('rm', '-f', ...left);
  });
  afterAll(() => bed[Symbol.asyncDispose]());

  const numbers = (text: string): number[] => text.trim().split('\n').map(Number);
  const upTo = (last: number): number[] => Array.from({ length: last }, (_one, index) => index + 1);
  const count = (last: number): string => `i=0; while [ $i -lt ${last} ]; do i=$((i+1)); echo $i; done`;

  test.each([
    ['json-file', ['--log-opt', 'max-size=20k', '--log-opt', 'max-file=4']],
    ['json-file', ['--log-opt', 'max-size=20k', '--log-opt', 'max-file=4', '--log-opt', 'compress=true']],
    ['local', ['--log-opt', 'max-size=20k', '--log-opt', 'max-file=4']],
  ])('%s rotates with %j: the newest lines are kept, in order', async (driver, options) => {
    await bed.ok('run', '--name', 'talks', '--log-driver', driver, ...options, IMAGE, 'sh', '-c', count(5000));
    const kept = numbers(await bed.ok('logs', 'talks'));
    expect(kept.at(-1)).toBe(5000);
    expect(kept.length).toBeGreaterThan(100);
    expect(kept.length).toBeLessThan(4000);
    expect(kept).toEqual(upTo(5000).slice(-kept.length));
    expect(numbers(await bed.ok('logs', '--tail', '3', 'talks'))).toEqual([4998, 4999, 5000]);
  });

  test.each(['json-file', 'local'])(
    '%s is followed across rotations without a lost or doubled line',
    async (driver) => {
      const slow = 'i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo $i; [ $((i % 100)) = 0 ] && sleep 0.05; done';
      const options = ['--log-opt', 'max-size=10k', '--log-opt', 'max-file=30', '--log-driver', driver];
      await bed.ok('create', '--name', 'talks', ...options, IMAGE, 'sh', '-c', `sleep 1; ${slow}`);
      await bed.ok('start', 'talks');
      expect(numbers(await bed.ok('logs', '-f', 'talks'))).toEqual(upTo(3000));
    },
  );

  test('since, until, timestamps and details choose and dress the lines', async () => {
    const options = ['--log-opt', 'labels=team', '--log-opt', 'env=STAGE', '--log-opt', 'tag={{.Name}}'];
    const command = 'echo one; sleep 2; echo two >&2';
    await bed.ok(
      'run',
      '--name',
      'dated',
      ...options,
      '--label',
      'team=red',
      '-e',
      'STAGE=dev',
      IMAGE,
      'sh',
      '-c',
      command,
    );
    const both = await bed.docker(['logs', '-t', 'dated']);
    expect(both.stdout).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z one\n$/);
    expect(both.stderr).toMatch(/Z two\n$/);
    // Clients follow since the start: the first line may not be older.
    const started = await bed.ok('inspect', '-f', '{{.State.StartedAt}}', 'dated');
    expect(Date.parse(both.stdout.split(' ')[0]!)).toBeGreaterThanOrEqual(Date.parse(started));
    const between = new Date(Date.parse(both.stdout.split(' ')[0]!) + 1000).toISOString();
    expect(await bed.docker(['logs', '--since', between, 'dated'])).toMatchObject({ stdout: '', stderr: 'two\n' });
    expect(await bed.docker(['logs', '--until', between, 'dated'])).toMatchObject({ stdout: 'one\n', stderr: '' });
    expect((await bed.docker(['logs', '--details', 'dated'])).stdout).toBe('STAGE=dev,tag=dated,team=red one\n');
  });

  test('none keeps nothing, and says so', async () => {
    expect((await bed.docker(['run', '--name', 'mute', '--log-driver', 'none', IMAGE, 'echo', 'x'])).stdout).toBe(
      'x\n',
    );
    expect((await bed.docker(['logs', 'mute'])).stderr).toContain('configured logging driver does not support reading');
  });

  test('a non-blocking log never holds the container up', async () => {
    const options = ['--log-opt', 'mode=non-blocking', '--log-opt', 'max-buffer-size=64k', '--log-opt', 'max-size=1m'];
    await bed.ok(
      'run',
      '-d',
      '--name',
      'floods',
      ...options,
      IMAGE,
      'sh',
      '-c',
      'head -c 3000000 /dev/zero | tr "\\0" "\\n"',
    );
    expect(await bed.ok('wait', 'floods')).toBe('0');
  });

  test('a line of 100 KB and bytes that are no text come through whole', async () => {
    const long = await bed.ok('run', '--name', 'long', IMAGE, 'sh', '-c', 'head -c 100000 /dev/zero | tr "\\0" x');
    expect(long).toHaveLength(100_000);
    expect(await bed.ok('logs', 'long')).toBe(long);
  });

  test('the last lines without a newline are there, and an ended container can be followed', async () => {
    await bed.docker(['run', '--name', 'cut', IMAGE, 'sh', '-c', 'printf begun; printf broken >&2']);
    expect(await bed.docker(['logs', '-f', 'cut'])).toMatchObject({ stdout: 'begun', stderr: 'broken' });
  });

  test('many clients see the same output, and one that stops reading does not stop the container for ever', async () => {
    await bed.ok('create', '--name', 'shared', IMAGE, 'sh', '-c', 'sleep 1; echo to all');
    const clients = upTo(8).map(() => bed.docker(['attach', 'shared']));
    const started = bed.docker(['start', '-a', 'shared']);
    await Promise.allSettled(clients);
    expect((await started).stdout).toBe('to all\n');
  });

  test('detach keys let the client go and the container on; attach takes it up again', async () => {
    const client = spawn(
      'script',
      [
        '-qec',
        `${dockerCli()} -H unix://${bed.socket} run -it --name kept --detach-keys ctrl-x ${IMAGE} sh`,
        '/dev/null',
      ],
      { stdio: 'pipe' },
    );
    let seen = '';
    client.stdout.on('data', (chunk) => (seen += chunk));
    const ended = new Promise((resolve) => client.on('close', resolve));
    await vi.waitFor(() => expect(seen).toContain('#'), 20_000);
    client.stdin.write('\x18');
    await ended;
    expect(await bed.ok('inspect', '-f', '{{.State.Status}}', 'kept')).toBe('running');
  });

  test('stdin closes once with -i, and half-closed input still gets the answer', async () => {
    expect(await bed.docker(['run', '--rm', '-i', IMAGE, 'sh', '-c', 'cat; echo end'], 'input\n')).toMatchObject({
      stdout: 'input\nend\n',
    });
    await bed.ok('run', '-di', '--name', 'waits', IMAGE, 'sh', '-c', 'cat; echo end');
    expect((await bed.docker(['exec', '-i', 'waits', 'wc', '-c'], 'x'.repeat(500_000))).stdout.trim()).toBe('500000');
  });

  test('a terminal has the size it is told, for run and for exec', async () => {
    await bed.ok('run', '-dt', '--name', 'term', IMAGE, 'sleep', '1000');
    expect(await bed.request('POST', '/containers/term/resize?h=33&w=101')).toMatchObject({ status: 200 });
    expect(
      await bed.ok('exec', 'term', 'sh', '-c', 'stty size < /proc/1/fd/0 2>/dev/null || stty -F /proc/1/fd/0 size'),
    ).toBe('33 101');
    expect((await bed.request('POST', '/containers/term/resize?h=a&w=1')).status).toBe(400);
  });

  test('a WebSocket carries both ways, without frames', async () => {
    await bed.ok('run', '-di', '--name', 'socket', IMAGE, 'sh', '-c', 'while read line; do echo "got $line"; done');
    const path = '/v1.51/containers/socket/attach/ws?stream=1&stdin=1&stdout=1&stderr=1';
    const client = new WebSocket(`ws+unix://${bed.socket}:${path}`);
    let text = '';
    client.on('message', (data) => (text += data.toString()));
    await new Promise((resolve, reject) => client.on('open', resolve).on('error', reject));
    client.send('one\n');
    client.send('two\n');
    await vi.waitFor(() => expect(text).toBe('got one\ngot two\n'), 10_000);
    client.close();
    expect(await bed.request('GET', '/containers/socket/attach/ws')).toMatchObject({ status: 400 });
    expect(await bed.ok('inspect', '-f', '{{.State.Running}}', 'socket')).toBe('true');
  });
});
