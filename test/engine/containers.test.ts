import { existsSync, readFileSync } from 'node:fs';

import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';

import { canRun, Testbed } from './testbed.ts';

const IMAGE = 'skiff/welcome';

/** State letter of a process (proc(5)); Z is dead, only not yet collected by its new parent. */
function stateOf(pid: number): string {
  const stat = `/proc/${pid}/stat`;
  return existsSync(stat) ? (/\) (\S)/.exec(readFileSync(stat, 'utf8'))?.[1] ?? '') : 'gone';
}

/** The docker CLI against the real engine: skiffd, shim, crun, overlay, nftables on this machine's kernel. */
describe.skipIf(!canRun)(
  'containers, by the docker CLI (skipped without root on Linux: needs namespaces and mounts)',
  () => {
    let bed: Testbed;

    beforeAll(async () => {
      bed = new Testbed();
      await bed.start();
    });
    afterAll(() => bed[Symbol.asyncDispose]());

    test('run prints what the command prints and exits as it exits', async () => {
      const run = await bed.docker(['run', '--rm', IMAGE, 'sh', '-c', 'echo out; echo err >&2; exit 3']);
      expect(run).toEqual({ code: 3, stdout: 'out\n', stderr: 'err\n' });
      expect(await bed.ok('ps', '-aq')).toBe('');
    });

    test('run -i passes its input on and the end of it', async () => {
      expect(await bed.docker(['run', '-i', '--rm', IMAGE, 'cat'], 'hello\n')).toMatchObject({
        code: 0,
        stdout: 'hello\n',
      });
    });

    test('run -it has a terminal', async () => {
      expect((await bed.onTerminal(['run', '--rm', '-it', IMAGE, 'tty'])).stdout).toContain('/dev/pts/0');
    });

    test.each([
      ['a missing command', 'nosuch', 127, 'executable file not found in $PATH'],
      ['a missing path', '/no/such', 127, 'no such file or directory'],
      ['a file that is no program', '/etc/passwd', 126, 'permission denied'],
    ])('run of %s exits as with Docker and leaves nothing', async (_what, command, code, words) => {
      const run = await bed.docker(['run', '--rm', IMAGE, command]);
      expect(run.code).toBe(code);
      expect(run.stderr).toContain(words);
      expect(await bed.ok('ps', '-aq')).toBe('');
    });

    test('a detached container is listed, logs, runs commands, stops and goes', async () => {
      const id = await bed.ok('run', '-d', '--name', 'web', IMAGE);
      expect(await bed.ok('ps', '--no-trunc', '--format', '{{.ID}} {{.Names}} {{.State}}')).toBe(`${id} web running`);
      expect(await bed.ok('exec', 'web', 'wget', '-qO-', 'http://127.0.0.1/')).toContain('<html');
      expect(await bed.ok('exec', 'web', 'sh', '-c', 'echo $HOSTNAME')).toBe(id.slice(0, 12));
      expect(await bed.docker(['exec', 'web', 'sh', '-c', 'exit 9'])).toMatchObject({ code: 9 });
      expect(await bed.docker(['exec', '-i', 'web', 'cat'], 'in')).toMatchObject({ stdout: 'in' });
      expect((await bed.docker(['exec', 'web', 'nosuch'])).code).toBe(127);
      expect(await bed.docker(['rm', 'web'])).toMatchObject({ code: 1 });
      await bed.ok('stop', 'web');
      expect(await bed.ok('inspect', '-f', '{{.State.Status}} {{.State.ExitCode}}', 'web')).toBe('exited 143');
      await bed.ok('rm', 'web');
      expect((await bed.docker(['inspect', 'web'])).stderr).toContain('No such object: web');
    });

    test("a name that is taken is refused in Docker's words", async () => {
      await bed.ok('create', '--name', 'taken', IMAGE);
      const again = await bed.docker(['create', '--name', 'taken', IMAGE]);
      expect(again.stderr).toContain('Conflict. The container name "/taken" is already in use by container');
      await bed.ok('rm', 'taken');
    });

    test('logs -f follows to the end, wait tells the code', async () => {
      await bed.ok(
        'run',
        '-d',
        '--name',
        'lines',
        IMAGE,
        'sh',
        '-c',
        'for i in 1 2 3; do echo $i; sleep 0.2; done; exit 7',
      );
      expect(await bed.ok('logs', '-f', 'lines')).toBe('1\n2\n3');
      expect(await bed.ok('wait', 'lines')).toBe('7');
      expect(await bed.ok('logs', '--tail', '1', 'lines')).toBe('3');
      await bed.ok('rm', 'lines');
    });

    test("a container is isolated: its own processes, network and name, Docker's capabilities, no mounts", async () => {
      const show =
        'ls /proc | grep -c "^[0-9]"; ip -o -4 addr show eth0 | grep -c 172.17; grep CapEff /proc/self/status; mount -t tmpfs x /mnt 2>&1; true';
      const [processes = '', addresses = '', capabilities = '', mounting = ''] = (
        await bed.ok('run', '--rm', IMAGE, 'sh', '-c', show)
      ).split('\n');
      expect(Number(processes)).toBeLessThan(6);
      expect(addresses).toBe('1');
      expect(capabilities).toContain('00000000a80425fb');
      expect(mounting).toMatch(/denied|not permitted/);
    });

    test('a published port answers on the machine, and a taken one fails the start', async () => {
      await bed.ok('run', '-d', '--name', 'site', '-p', '127.0.0.1:8088:80', IMAGE);
      expect(
        await bed.ok('run', '--rm', '--network', 'host', IMAGE, 'wget', '-qO-', 'http://127.0.0.1:8088/'),
      ).toContain('<html');
      const second = await bed.docker(['run', '--rm', '-p', '127.0.0.1:8088:80', IMAGE]);
      expect(second.code).toBe(125);
      expect(second.stderr).toContain('Bind for 127.0.0.1:8088 failed: port is already allocated');
      await bed.ok('rm', '-f', 'site');
    });

    test('limits hold: memory kills, and says so', async () => {
      await bed.docker([
        'run',
        '--name',
        'hungry',
        '--memory',
        '16m',
        IMAGE,
        'sh',
        '-c',
        'x=a; while :; do x=$x$x; done',
      ]);
      expect(await bed.ok('inspect', '-f', '{{.State.OOMKilled}} {{.State.ExitCode}}', 'hungry')).toBe('true 137');
      await bed.ok('rm', 'hungry');
    });

    test('a volume keeps its content between containers', async () => {
      await bed.ok('run', '--rm', '-v', 'kept:/data', IMAGE, 'sh', '-c', 'echo here > /data/file');
      expect(await bed.ok('run', '--rm', '-v', 'kept:/data:ro', IMAGE, 'cat', '/data/file')).toBe('here');
      await bed.ok('volume', 'rm', 'kept');
    });

    test('containers on a network of their own get addresses of it', async () => {
      await bed.ok('network', 'create', '--subnet', '10.77.0.0/24', 'own');
      expect(
        await bed.ok('run', '--rm', '--network', 'own', IMAGE, 'ip', '-o', '-4', 'addr', 'show', 'eth0'),
      ).toContain('10.77.0.2/24');
      await bed.ok('network', 'rm', 'own');
    });

    test('what skiffd misses while it is dead is not lost: containers, output, exit codes', async () => {
      const lives = await bed.ok(
        'run',
        '-d',
        '--name',
        'lives',
        IMAGE,
        'sh',
        '-c',
        'i=0; while :; do echo $i; i=$((i+1)); sleep 0.1; done',
      );
      await bed.ok('run', '-d', '--name', 'ends', IMAGE, 'sh', '-c', 'sleep 1; echo last words; exit 5');
      await bed.ok('run', '-di', '--name', 'reads', IMAGE, 'sh', '-c', 'read word; echo got $word');
      await bed.kill();
      await new Promise((resolve) => setTimeout(resolve, 1500));
      await bed.start();
      expect(await bed.ok('inspect', '-f', '{{.State.Status}} {{.State.ExitCode}}', 'ends')).toBe('exited 5');
      expect(await bed.ok('logs', 'ends')).toBe('last words');
      expect(await bed.ok('inspect', '-f', '{{.State.Status}}', 'lives')).toBe('running');
      const numbers = bed
        .logFile(lives)
        .trim()
        .split('\n')
        .map((line) => Number(JSON.parse(line).log));
      expect(numbers.length).toBeGreaterThan(12);
      expect(numbers).toEqual(numbers.map((_number, index) => index));
      expect(await bed.ok('exec', 'lives', 'echo', 'well')).toBe('well');
      const attached = await bed.docker(['attach', 'reads'], 'still read\n');
      expect(attached.stdout).toBe('got still read\n');
      await bed.ok('rm', '-f', 'lives', 'ends', 'reads');
    });

    test('a process that started when its record could no longer be written is ended, and its container starts again', async () => {
      const id = await bed.ok('run', '-d', '--name', 'stray', IMAGE, 'sleep', '1000');
      const pid = Number(await bed.ok('inspect', '-f', '{{.State.Pid}}', 'stray'));
      await bed.kill();
      // As a crash between the two leaves it: the process runs, the record says that it never did.
      bed.editRecord(id, (record) => ({ ...record, state: { status: 'created', exitCode: 0, error: '' } }));
      await bed.start();
      expect(stateOf(pid)).toMatch(/^(gone|Z)$/);
      expect(await bed.ok('inspect', '-f', '{{.State.Status}}', 'stray')).toBe('created');
      expect(await bed.ok('start', 'stray')).toBe('stray');
      await bed.ok('rm', '-f', 'stray');
    });

    test("what can't be done is refused, not ignored", async () => {
      const refused = async (...args: string[]) => (await bed.docker(args)).stderr;
      expect(await refused('create', '--storage-opt', 'size=1G', IMAGE)).toContain(
        'supported only for overlay over xfs',
      );
      expect(await refused('create', '--platform', 'linux/s390x', '--pull', 'never', IMAGE)).toContain(
        'does not match the specified platform (linux/s390x)',
      );
      expect(await bed.ok('ps', '-aq')).toBe('');
    });

    test('volume prune says what it gave back', async () => {
      await bed.ok(
        'run',
        '-v',
        '/data',
        '--name',
        'full',
        IMAGE,
        'sh',
        '-c',
        'head -c 3000000 /dev/zero > /data/zeros',
      );
      await bed.ok('rm', 'full');
      expect(await bed.ok('volume', 'prune', '-f')).toContain('Total reclaimed space: 3MB');
    });

    test('when the shim dies its containers are ended, a new one starts, and restart policies apply', async () => {
      await bed.ok('run', '-d', '--name', 'gone', IMAGE, 'sleep', '1000');
      await bed.ok('run', '-d', '--name', 'back', '--restart', 'always', IMAGE, 'sleep', '1000');
      const pid = Number(await bed.ok('inspect', '-f', '{{.State.Pid}}', 'gone'));
      process.kill(bed.shimPid ?? 0, 'SIGKILL');
      await vi.waitFor(
        async () => {
          expect(await bed.ok('inspect', '-f', '{{.State.Status}}', 'gone')).toBe('exited');
          expect(await bed.ok('inspect', '-f', '{{.State.Status}} {{.RestartCount}}', 'back')).toMatch(
            /^running [1-9]/,
          );
        },
        { timeout: 15_000, interval: 200 },
      );
      expect(stateOf(pid)).toMatch(/^(gone|Z)$/);
      expect(await bed.ok('run', '--rm', IMAGE, 'echo', 'works')).toBe('works');
      await bed.ok('rm', '-f', 'gone', 'back');
    });

    test("bad input is the client's fault", async () => {
      expect((await bed.docker(['run', '--memory', '1m', IMAGE])).stderr).toContain(
        'Minimum memory limit allowed is 6MB',
      );
      expect((await bed.docker(['kill', '-s', 'NOPE', 'x'])).stderr).toContain('No such container: x');
      expect((await bed.docker(['run', '--rm', 'lower/UPPER', 'x'])).stderr).toContain('must be lowercase');
    });

    test('version and info say what runs', async () => {
      expect(await bed.ok('version', '-f', '{{.Server.APIVersion}}')).toBe('1.51');
      expect(await bed.ok('info', '-f', '{{.Driver}} {{.DefaultRuntime}}')).toBe('overlay2 crun');
    });
  },
);
