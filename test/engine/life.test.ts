import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';

import { canRun, Testbed } from './testbed.ts';

const IMAGE = 'skiff/welcome';
const PATIENCE = { timeout: 25_000, interval: 100 };

describe.skipIf(!canRun)('the life of a container (skipped without root on Linux)', () => {
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

  const state = (name: string, format = '{{.State.Status}}'): Promise<string> => bed.ok('inspect', '-f', format, name);
  const now = (): string => (Date.now() / 1000).toFixed(3);
  /** Actions told of a container since a moment, in order. */
  const actions = async (name: string, since: string, format = '{{.Action}}'): Promise<string[]> => {
    const filters = ['--filter', `container=${name}`, '--filter', 'type=container', '--format', format];
    return (await bed.ok('events', '--since', since, '--until', now(), ...filters)).split('\n').filter(Boolean);
  };
  const sleeper = (name: string, ...flags: string[]): Promise<string> =>
    bed.ok('run', '-d', '--init', '--name', name, ...flags, IMAGE, 'sleep', '1000');

  test('each step is told of, in order and with its attributes', async () => {
    const since = now();
    await bed.ok('create', '--name', 'steps', '--init', '--label', 'team=red', IMAGE, 'sleep', '1000');
    await bed.ok('start', 'steps');
    await bed.ok('exec', 'steps', 'true');
    await bed.ok('pause', 'steps');
    await bed.ok('unpause', 'steps');
    await bed.ok('update', '--pids-limit', '99', 'steps');
    await bed.ok('kill', '-s', 'KILL', 'steps');
    await bed.ok('wait', 'steps');
    await bed.ok('rename', 'steps', 'other');
    await bed.ok('rm', 'other');
    const format = '{{.Action}} {{.Actor.Attributes.team}} {{.Actor.Attributes.exitCode}}';
    const told = (
      await bed.ok('events', '--since', since, '--until', now(), '--filter', 'type=container', '--format', format)
    ).split('\n');
    expect(told.map((line) => line.split(' red')[0])).toEqual([
      'create',
      'start',
      'exec_create: true',
      'exec_start: true',
      'exec_die',
      'pause',
      'unpause',
      'update',
      'kill',
      'die',
      'rename',
      'destroy',
    ]);
    expect(told).toContain('die red 137');
    expect(told).toContain('exec_die red 0');
  });

  test('paused processes stand still; stop ends a paused container by its signal', async () => {
    await sleeper('frozen');
    await bed.ok('pause', 'frozen');
    expect(await state('frozen', '{{.State.Status}} {{.State.Paused}}')).toBe('paused true');
    expect((await bed.docker(['exec', 'frozen', 'true'])).stderr).toContain(
      'is paused, unpause the container before exec',
    );
    expect((await bed.docker(['pause', 'frozen'])).stderr).toContain('is already paused');
    await bed.ok('stop', '-t', '20', 'frozen');
    expect(await state('frozen', '{{.State.Status}} {{.State.ExitCode}}')).toBe('exited 143');
  });

  test.each([
    ['TERM', '143'],
    ['SIGUSR1', '138'],
    ['2', '130'],
    ['RTMIN+1', '163'],
  ])('kill -s %s ends with %s', async (signal, code) => {
    await sleeper('shot');
    await bed.ok('kill', '-s', signal, 'shot');
    expect(await bed.ok('wait', 'shot')).toBe(code);
    expect((await bed.docker(['kill', 'shot'])).stderr).toMatch(/cannot kill container: .* is not running/i);
    expect((await bed.docker(['kill', '-s', 'NOPE', 'shot'])).stderr).toContain('invalid signal: NOPE');
  });

  test('restart policies: on-failure counts, always comes back, a stopped one stays', async () => {
    await bed.ok('run', '-d', '--name', 'fails', '--restart', 'on-failure:2', IMAGE, 'sh', '-c', 'exit 3');
    await bed.ok('run', '-d', '--name', 'again', '--restart', 'always', IMAGE, 'sh', '-c', 'sleep 0.2');
    await vi.waitFor(
      async () => expect(await state('fails', '{{.State.Status}} {{.RestartCount}}')).toBe('exited 2'),
      PATIENCE,
    );
    await vi.waitFor(
      async () => expect(Number(await state('again', '{{.RestartCount}}'))).toBeGreaterThan(2),
      PATIENCE,
    );
    await bed.ok('stop', 'again');
    const count = await state('again', '{{.State.Status}} {{.RestartCount}}');
    expect(count).toContain('exited');
    await new Promise((resolve) => setTimeout(resolve, 1500));
    expect(await state('again', '{{.State.Status}} {{.RestartCount}}')).toBe(count);
  });

  test.each([
    // Without a stop signal of its own, any signal says that its user wants it to end.
    ['always', '', 'KILL', 'ends'],
    ['always', '', 'TERM', 'ends'],
    ['always', '', 'HUP', 'ends'],
    ['on-failure', '', 'HUP', 'ends'],
    ['always', 'USR1', 'USR1', 'ends'],
    ['always', 'USR1', 'KILL', 'ends'],
    ['always', 'USR1', 'HUP', 'restarts'],
    ['always', 'USR1', 'TERM', 'restarts'],
    ['on-failure', 'USR1', 'HUP', 'restarts'],
    ['unless-stopped', 'USR1', 'HUP', 'ends'],
  ])('--restart=%s, stop signal "%s": after kill -s %s it %s', async (policy, stopSignal, signal, follows) => {
    const own = stopSignal ? ['--stop-signal', stopSignal] : [];
    const script = 'trap "exit 7" HUP USR1 TERM; echo ready; while :; do sleep 0.05; done';
    await bed.ok('run', '-d', '--name', 'shot', `--restart=${policy}`, ...own, IMAGE, 'sh', '-c', script);
    await vi.waitFor(async () => expect(await bed.ok('logs', 'shot')).toBe('ready'), PATIENCE);
    await bed.ok('kill', '-s', signal, 'shot');
    const shows = async () => bed.ok('inspect', '-f', '{{.State.Status}} {{.RestartCount}}', 'shot');
    await vi.waitFor(async () => expect(await shows()).toBe(follows === 'ends' ? 'exited 0' : 'running 1'), PATIENCE);
    await bed.ok('rm', '-f', 'shot');
  });

  test('a signal that is ignored gives the restart policy up all the same', async () => {
    const script = 'trap : HUP; echo ready; while [ ! -e /end ]; do sleep 0.05; done; exit 3';
    await bed.ok('run', '-d', '--name', 'deaf', '--restart=always', IMAGE, 'sh', '-c', script);
    await vi.waitFor(async () => expect(await bed.ok('logs', 'deaf')).toBe('ready'), PATIENCE);
    await bed.ok('kill', '-s', 'HUP', 'deaf');
    await bed.ok('exec', 'deaf', 'touch', '/end');
    const shows = async () => bed.ok('inspect', '-f', '{{.State.Status}} {{.State.ExitCode}}', 'deaf');
    await vi.waitFor(async () => expect(await shows()).toBe('exited 3'), PATIENCE);
    await bed.ok('rm', 'deaf');
  });

  test('a container that waits for its next restart is ended by kill and by stop', async () => {
    for (const end of ['kill', 'stop']) {
      await bed.ok('run', '-d', '--name', end, '--restart', 'always', IMAGE, 'false');
      await vi.waitFor(async () => expect(await state(end)).toBe('restarting'), PATIENCE);
      await vi.waitFor(async () => {
        await bed.docker([end, end]);
        expect(await state(end)).toBe('exited');
      }, PATIENCE);
      await new Promise((resolve) => setTimeout(resolve, 1000));
      expect(await state(end)).toBe('exited');
    }
  });

  test('after a restart of the engine: always and unless-stopped follow their rules, --rm is removed', async () => {
    for (const policy of ['always', 'unless-stopped', 'no']) await sleeper(`${policy}-1`, '--restart', policy);
    for (const policy of ['always', 'unless-stopped']) {
      await sleeper(`${policy}-2`, '--restart', policy);
      await bed.ok('stop', `${policy}-2`);
    }
    await bed.ok('run', '-d', '--rm', '--name', 'brief', IMAGE, 'sleep', '1');
    await bed.kill();
    await new Promise((resolve) => setTimeout(resolve, 1500));
    await bed.start();
    await vi.waitFor(async () => {
      const lines = (await bed.ok('ps', '-a', '--format', '{{.Names}} {{.State}}')).split('\n').sort();
      expect(lines).toEqual([
        'always-1 running',
        'always-2 running',
        'no-1 running',
        'unless-stopped-1 running',
        'unless-stopped-2 exited',
      ]);
    }, PATIENCE);
  });

  test('health: starting, healthy, unhealthy, with the last five results and its events', async () => {
    const since = now();
    const check = [
      '--health-cmd',
      'test -e /well && echo fine',
      '--health-interval',
      '300ms',
      '--health-retries',
      '2',
      '--health-start-period',
      '1h',
      '--health-start-interval',
      '100ms',
    ];
    await sleeper('patient', ...check);
    expect(await state('patient', '{{.State.Health.Status}}')).toBe('starting');
    await bed.ok('exec', 'patient', 'touch', '/well');
    await vi.waitFor(async () => expect(await state('patient', '{{.State.Health.Status}}')).toBe('healthy'), PATIENCE);
    expect(await bed.ok('ps', '--filter', 'health=healthy', '--format', '{{.Status}}')).toContain('(healthy)');
    await bed.ok('exec', 'patient', 'rm', '/well');
    await vi.waitFor(
      async () => expect(await state('patient', '{{.State.Health.Status}}')).toBe('unhealthy'),
      PATIENCE,
    );
    await vi.waitFor(async () => expect(await state('patient', '{{len .State.Health.Log}}')).toBe('5'), PATIENCE);
    const told = await actions('patient', since);
    expect(told).toContain('health_status: healthy');
    expect(told).toContain('health_status: unhealthy');
    expect(told.some((action) => action.startsWith('exec_create: /bin/sh -c test -e /well'))).toBe(true);
  });

  test('wait answers by its condition', async () => {
    await bed.ok('create', '--name', 'waited', IMAGE, 'sh', '-c', 'sleep 1; exit 4');
    expect(await bed.request('POST', '/containers/waited/wait')).toMatchObject({
      status: 200,
      body: { StatusCode: 0 },
    });
    const next = bed.request('POST', '/containers/waited/wait?condition=next-exit');
    const removed = bed.request('POST', '/containers/waited/wait?condition=removed');
    await bed.ok('start', 'waited');
    expect(await next).toMatchObject({ body: { StatusCode: 4 } });
    await bed.ok('rm', 'waited');
    expect(await removed).toMatchObject({ body: { StatusCode: 4 } });
    expect((await bed.request('POST', '/containers/nosuch/wait')).status).toBe(404);
    await sleeper('busy');
    expect((await bed.request('POST', '/containers/busy/wait?condition=odd')).status).toBe(400);
  });

  test('exec: user, environment, folder, privilege, exit code, and what inspect says of it', async () => {
    await sleeper('host', '-e', 'A=outer', '-w', '/tmp');
    const run = (...args: string[]): Promise<string> => bed.ok('exec', ...args);
    expect(await run('-u', '1234:55', 'host', 'sh', '-c', 'id -u; id -g')).toBe('1234\n55');
    expect(await run('-e', 'B=inner', 'host', 'sh', '-c', 'echo $A $B; pwd')).toBe('outer inner\n/tmp');
    expect(await run('-w', '/etc', 'host', 'pwd')).toBe('/etc');
    expect(await run('--privileged', 'host', 'sh', '-c', 'grep CapEff /proc/self/status')).not.toContain(
      '00000000a80425fb',
    );
    expect((await bed.docker(['exec', '-u', 'nobodyatall', 'host', 'id'])).stdout).toContain(
      'unable to find user nobodyatall',
    );
    expect((await bed.onTerminal(['exec', '-it', 'host', 'tty'])).stdout).toContain('/dev/pts/');
    await run('-d', 'host', 'sh', '-c', 'echo done > /tmp/detached');
    await vi.waitFor(async () => expect(await run('host', 'cat', '/tmp/detached')).toBe('done'), PATIENCE);
    const { body } = await bed.request('POST', '/containers/host/exec', { Cmd: ['sh', '-c', 'exit 9'] });
    const { Id } = body as { Id: string };
    expect(await bed.request('POST', `/exec/${Id}/start`, { Detach: true })).toMatchObject({ status: 200 });
    await vi.waitFor(async () => {
      expect(await bed.request('GET', `/exec/${Id}/json`)).toMatchObject({
        body: { ID: Id, Running: false, ExitCode: 9 },
      });
    }, PATIENCE);
    expect(await state('host', '{{.ExecIDs}}')).toBe('[]');
    expect((await bed.request('POST', `/exec/${Id}/start`, { Detach: true })).status).toBe(409);
    expect((await bed.request('GET', '/exec/nosuch/json')).status).toBe(404);
  });

  test('remove: a running one only by force, its anonymous volumes with -v, a link by its name', async () => {
    await sleeper('runs', '-v', '/anonymous');
    expect((await bed.docker(['rm', 'runs'])).stderr).toContain(
      'container is running: stop the container before removing or force remove',
    );
    expect(await bed.ok('volume', 'ls', '-q')).not.toBe('');
    await bed.ok('rm', '-fv', 'runs');
    expect(await bed.ok('volume', 'ls', '-q')).toBe('');
    await sleeper('base');
    await sleeper('user', '--link', 'base:db');
    expect(await bed.ok('inspect', '-f', '{{.HostConfig.Links}}', 'user')).toContain('db');
    await bed.ok('rm', '--link', '/user/db');
    expect(await bed.ok('inspect', '-f', '{{.HostConfig.Links}}', 'user')).toBe('[]');
    expect(await state('base')).toBe('running');
  });

  test('prune removes what does not run, by its filters', async () => {
    await bed.ok('create', '--name', 'old', IMAGE);
    await bed.ok('create', '--name', 'kept', '--label', 'keep', IMAGE);
    await sleeper('runs');
    await bed.ok('container', 'prune', '-f', '--filter', 'label!=keep');
    expect((await bed.ok('ps', '-a', '--format', '{{.Names}}')).split('\n').sort()).toEqual(['kept', 'runs']);
    await bed.ok('container', 'prune', '-f', '--filter', 'until=1h');
    expect((await bed.ok('ps', '-a', '--format', '{{.Names}}')).split('\n').sort()).toEqual(['kept', 'runs']);
  });

  test('while a dead shim is replaced, starts wait for the next one', async () => {
    await bed.ok('create', '--name', 'waits', IMAGE, 'echo', 'started');
    process.kill(bed.shimPid ?? 0, 'SIGKILL');
    await vi.waitFor(() => expect(bed.log).toContain('the shim has died'), PATIENCE);
    expect(await bed.ok('start', '-a', 'waits')).toBe('started');
  });
});
