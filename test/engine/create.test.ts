import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';

import { canRun, Testbed } from './testbed.ts';

const IMAGE = 'skiff/welcome';

describe.skipIf(!canRun)('docker create and run, flag by flag (skipped without root on Linux)', () => {
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

  /** What a shell command prints in a container made with these flags. */
  const inside = (flags: string[], command: string): Promise<string> =>
    bed.ok('run', '--rm', ...flags, IMAGE, 'sh', '-c', command);
  const refused = async (...flags: string[]): Promise<string> => (await bed.docker(['create', ...flags, IMAGE])).stderr;

  test.each<[string, string[], string, string | RegExp]>([
    ['--user by number', ['-u', '1234:99'], 'id -u; id -g', '1234\n99'],
    ['--group-add', ['-u', '1234', '--group-add', '55', '--group-add', '66'], 'id -G', /\b55\b.*\b66\b/],
    ['--workdir, made when missing', ['-w', '/made/here'], 'pwd', '/made/here'],
    [
      '--hostname and --domainname',
      ['-h', 'name', '--domainname', 'here'],
      'hostname; cat /proc/sys/kernel/domainname',
      'name\nhere',
    ],
    ['--env and --env without a value', ['-e', 'A=b', '-e', 'NOT_THERE'], 'echo $A; env | grep -c NOT_THERE', 'b\n0'],
    ['--init', ['--init'], 'cat /proc/1/cmdline | tr "\\0" " "', /docker-init/],
    [
      '--read-only with --tmpfs',
      ['--read-only', '--tmpfs', '/t:size=1m'],
      'touch /x 2>/dev/null || echo no; touch /t/x && echo yes',
      'no\nyes',
    ],
    ['--shm-size', ['--shm-size', '8m'], 'df -m /dev/shm | tail -1 | tr -s " " | cut -d" " -f2', '8'],
    [
      '--ulimit',
      ['--ulimit', 'nofile=123:456', '--ulimit', 'core=0'],
      'ulimit -Sn; ulimit -Hn; ulimit -c',
      '123\n456\n0',
    ],
    ['--sysctl', ['--sysctl', 'net.ipv4.ip_forward=1'], 'cat /proc/sys/net/ipv4/ip_forward', '1'],
    [
      '--device',
      ['--device', '/dev/null:/dev/mine:r'],
      'ls -l /dev/mine; cat /dev/mine && echo open',
      /1, +3[\s\S]*open/,
    ],
    [
      '--device-cgroup-rule',
      ['--device-cgroup-rule', 'c 1:11 rwm', '--cap-add', 'MKNOD', '--cap-add', 'SYSLOG'],
      'mknod /k c 1 11; head -c 0 /k && echo open',
      'open',
    ],
    [
      '--cap-drop all and --cap-add one',
      ['--cap-drop', 'ALL', '--cap-add', 'chown'],
      'grep CapEff /proc/self/status',
      /0000000000000001/,
    ],
    ['no-new-privileges', ['--security-opt', 'no-new-privileges'], 'grep NoNewPrivs /proc/self/status', /1$/],
    ['seccomp=unconfined', ['--security-opt', 'seccomp=unconfined'], 'grep Seccomp: /proc/self/status', /0$/],
    [
      'systempaths=unconfined',
      ['--security-opt', 'systempaths=unconfined'],
      'head -c1 /proc/timer_list | wc -c; mount | grep -c /proc/sys',
      /0$/,
    ],
    ['--uts host', ['--uts', 'host'], 'readlink /proc/1/ns/uts', /^uts/],
    ['--ipc none', ['--ipc', 'none'], 'mount | grep -c /dev/shm', '0'],
    ['--stop-signal and --annotation', ['--stop-signal', 'SIGUSR1', '--annotation', 'a=b'], 'echo fine', 'fine'],
  ])('%s takes effect', async (_name, flags, command, expected) => {
    const out = await bed.docker(['run', '--rm', ...flags, IMAGE, 'sh', '-c', `${command} 2>&1`]);
    if (typeof expected === 'string') expect(out.stdout.trim()).toBe(expected);
    else expect(out.stdout.trim()).toMatch(expected);
  });

  test('a container of --pid, --ipc and --network of another sees what the other sees', async () => {
    await bed.ok(
      'run',
      '-d',
      '--name',
      'donor',
      '--ipc',
      'shareable',
      IMAGE,
      'sh',
      '-c',
      'echo shared > /dev/shm/file; exec sleep 987',
    );
    expect(await inside(['--pid', 'container:donor'], 'cat /proc/1/cmdline | tr "\\0" " "')).toContain('sleep 987');
    expect(await inside(['--ipc', 'container:donor'], 'cat /dev/shm/file')).toBe('shared');
    const address = await bed.ok('inspect', '-f', '{{.NetworkSettings.IPAddress}}', 'donor');
    expect(await inside(['--network', 'container:donor'], 'ip -o -4 addr show eth0')).toContain(address);
    await bed.ok('run', '-d', '--name', 'own', IMAGE, 'sleep', '1000');
    expect((await bed.docker(['run', '--rm', '--ipc', 'container:own', IMAGE, 'true'])).stderr).toContain(
      'non-shareable IPC',
    );
    await bed.ok('create', '--name', 'still', IMAGE);
    expect((await bed.docker(['run', '--rm', '--pid', 'container:still', IMAGE, 'true'])).stderr).toContain(
      'cannot join PID of a non running container',
    );
  });

  test('--pid host and --cgroupns tell what they are', async () => {
    expect(Number(await inside(['--pid', 'host'], 'ls /proc | grep -c "^[0-9]"'))).toBeGreaterThan(2);
    const own = await inside(['--cgroupns', 'private'], 'readlink /proc/1/ns/cgroup');
    const machine = await inside(['--cgroupns', 'host'], 'readlink /proc/1/ns/cgroup');
    expect(own).not.toBe(machine);
  });

  test('--privileged has every capability and device of the machine, and may mount', async () => {
    const out = await inside(
      ['--privileged'],
      'grep Seccomp: /proc/self/status; mount -t tmpfs x /tmp 2>&1 && echo mounted; test -e /dev/loop-control -o -e /dev/kmsg && echo devices',
    );
    expect(out).toMatch(/Seccomp:\s+0\nmounted/);
  });

  test('a seccomp profile from a file is obeyed', async () => {
    const file = join(bed.data, 'profile.json');
    const syscalls = [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO' }];
    writeFileSync(file, JSON.stringify({ defaultAction: 'SCMP_ACT_ALLOW', syscalls }));
    expect(await inside(['--security-opt', `seccomp=${file}`], 'mkdir /x 2>&1 || echo refused')).toContain('refused');
    writeFileSync(file, '{"nonsense":1}');
    expect(await refused('--security-opt', `seccomp=${file}`)).toContain('Decoding seccomp profile failed');
  });

  test('limits reach the cgroup', async () => {
    const flags = [
      '--memory',
      '32m',
      '--memory-swap',
      '48m',
      '--cpus',
      '0.5',
      '--pids-limit',
      '77',
      '--cpu-shares',
      '512',
      '--cpuset-cpus',
      '0',
    ];
    await bed.ok('run', '-d', '--name', 'limited', ...flags, IMAGE, 'sleep', '1000');
    const read = async (v2: string, v1: string) =>
      bed.ok('exec', 'limited', 'sh', '-c', `cat /sys/fs/cgroup/${v2} 2>/dev/null || cat /sys/fs/cgroup/${v1}`);
    expect(await read('memory.max', 'memory/memory.limit_in_bytes')).toBe(String(32 * 1024 * 1024));
    expect(await read('pids.max', 'pids/pids.max')).toBe('77');
    expect(await read('cpu.max', 'cpu/cpu.cfs_quota_us')).toMatch(/^50000/);
    expect(await read('cpuset.cpus', 'cpuset/cpuset.cpus')).toBe('0');
    await bed.ok('update', '--memory', '40m', '--memory-swap', '60m', '--pids-limit', '88', 'limited');
    expect(await read('memory.max', 'memory/memory.limit_in_bytes')).toBe(String(40 * 1024 * 1024));
    expect(await read('pids.max', 'pids/pids.max')).toBe('88');
    expect(await bed.ok('inspect', '-f', '{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}}', 'limited')).toBe(
      '41943040 88',
    );
    const beyondSwap = await bed.docker(['update', '--memory', '80m', 'limited']);
    expect(beyondSwap.stderr).toContain('Memory limit should be smaller than already set memoryswap limit');
    const otherCpus = await bed.docker(['update', '--cpu-quota', '20000', 'limited']);
    expect(otherCpus.stderr).toContain('CPU Quota cannot be updated as NanoCPUs has already been set');
    expect(await read('memory.max', 'memory/memory.limit_in_bytes')).toBe(String(40 * 1024 * 1024));
  });

  test('entrypoint and command follow the image by Docker’s rules', async () => {
    expect(await bed.ok('run', '--rm', '--entrypoint', 'echo', IMAGE, 'a', 'b')).toBe('a b');
    expect(await bed.ok('run', '--rm', '--entrypoint', '', IMAGE, 'echo', 'c')).toBe('c');
    expect(await bed.ok('run', '--rm', '-e', 'X=1', IMAGE, 'sh', '-c', 'echo $PATH:$HOME')).toBe(
      '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/root',
    );
  });

  test('--volumes-from brings the mounts of another, read-only where asked', async () => {
    await bed.ok('create', '--name', 'donor', '-v', '/data', '-v', 'named:/named', IMAGE);
    const out = await inside(
      ['--volumes-from', 'donor:ro'],
      'touch /data/x 2>/dev/null || echo sealed; mount | grep -c " /named "',
    );
    expect(out).toBe('sealed\n1');
  });

  test('--cidfile gets the id', async () => {
    const file = join(bed.data, 'cid');
    const id = await bed.ok('create', '--cidfile', file, IMAGE);
    expect((await bed.docker(['ps', '-aq', '--no-trunc'])).stdout.trim()).toBe(id);
  });

  test.each<[string[], string]>([
    [['--memory', '1m'], 'Minimum memory limit allowed is 6MB'],
    [['--memory', '10m', '--memory-swap', '8m'], 'Minimum memoryswap limit should be larger than memory limit'],
    [['--memory-swap', '8m'], 'You should always set the Memory limit when using Memoryswap limit'],
    [['--cpus', '1000'], 'range of CPUs is from 0.01 to'],
    [['--cpus', '1', '--cpu-quota', '5000'], 'Nano CPUs and CPU Period/Quota cannot both be set'],
    [['--cpu-period', '10'], 'CPU cfs period can not be less than 1ms'],
    [['--cpu-quota', '10'], 'CPU cfs quota can not be less than 1ms'],
    [['--cpuset-cpus', '900'], 'Requested CPUs are not available - requested 900, available: '],
    [['--cpuset-cpus', 'x'], 'Invalid value x for cpuset cpus'],
    [['--blkio-weight', '5'], 'Range of blkio weight is from 10 to 1000'],
    [['--oom-score-adj', '2000'], 'range for oom score adj is [-1000, 1000]'],
    [['--cap-add', 'NOPE'], 'invalid CapAdd: unknown capability: "CAP_NOPE"'],
    [['--cap-drop', 'NOPE'], 'invalid CapDrop: unknown capability: "CAP_NOPE"'],
    [['--stop-signal', 'NOPE'], 'invalid signal: NOPE'],
    [['--workdir', 'relative'], "the working directory 'relative' is invalid, it needs to be an absolute path"],
    [['--security-opt', 'nonsense=1'], 'invalid --security-opt 2: "nonsense=1"'],
    [['--runtime', 'nosuch'], 'unknown or invalid runtime name: nosuch'],
    [['--log-driver', 'nosuch'], "logger: no log driver named 'nosuch' is registered"],
    [['--log-opt', 'nosuch=1'], "unknown log opt 'nosuch' for json-file log driver"],
    [['--log-opt', 'max-size=many'], 'invalid size'],
    [['--log-opt', 'mode=odd'], 'logger: logging mode not supported: odd'],
    [['--gpus', 'all'], 'could not select device driver "" with capabilities: [[gpu]]'],
    [['--storage-opt', 'size=1G'], "--storage-opt is supported only for overlay over xfs with 'pquota' mount option"],
    [['--name', 'x'], 'Invalid container name (x), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed'],
    [['--mount', 'type=bind,source=/no/such,target=/x'], 'bind source path does not exist: /no/such'],
    [['--uts', 'host', '-h', 'name'], 'conflicting options: hostname and the UTS mode'],
    [['--network', 'container:nosuch'], 'No such container: nosuch'],
    [['--network', 'nosuch'], 'network nosuch not found'],
    [['--volumes-from', 'nosuch'], 'No such container: nosuch'],
    [['--rm', '--restart', 'always'], 'Conflicting options'],
  ])('%j is refused, and nothing is left', async (flags, words) => {
    const text = flags.includes('--rm')
      ? `Conflicting options ${(await bed.docker(['run', ...flags, IMAGE])).stderr}`
      : await refused(...flags);
    expect(text).toContain(words);
    expect(await bed.ok('ps', '-aq')).toBe('');
  });

  test.each<[object, string]>([
    [
      { Image: IMAGE, HostConfig: { Memory: 'much' } },
      'cannot unmarshal string into Go struct field HostConfig.Memory of type int64',
    ],
    [
      { Image: IMAGE, Env: 'A=b' },
      'cannot unmarshal string into Go struct field ContainerConfigWrapper.Env of type []string',
    ],
    [{ Image: IMAGE, Tty: 1 }, 'cannot unmarshal number into Go struct field ContainerConfigWrapper.Tty of type bool'],
    [
      { Image: IMAGE, Labels: ['a'] },
      'cannot unmarshal array into Go struct field ContainerConfigWrapper.Labels of type map[string]string',
    ],
    [{ Image: IMAGE, HostConfig: { MemorySwappiness: 101 } }, 'valid memory swappiness range is 0-100'],
    [{ Image: IMAGE, HostConfig: { Privileged: true, NanoCpus: -1 } }, 'range of CPUs is from 0.01 to'],
  ])('a body with wrong types is the fault of the client: %j', async (body, words) => {
    const answer = await bed.request('POST', '/containers/create', body);
    expect(answer.status).toBe(400);
    expect((answer.body as { message: string }).message).toContain(words);
  });

  test('a command given as one text is one word; unknown fields are ignored', async () => {
    const answer = await bed.request('POST', '/containers/create?name=text', {
      Image: IMAGE,
      Cmd: 'id',
      NoSuchField: 1,
    });
    expect(answer.status).toBe(201);
    expect(await bed.ok('start', '-a', 'text')).toContain('uid=0');
  });

  test('a start that fails leaves no network, mount or process, and can be tried again', async () => {
    await bed.ok('create', '--name', 'broken', '--device', '/dev/nosuch', IMAGE);
    const failed = await bed.docker(['start', 'broken']);
    expect(failed.stderr).toContain('error gathering device information while adding custom device "/dev/nosuch"');
    expect(await bed.ok('inspect', '-f', '{{.State.Status}} {{.NetworkSettings.IPAddress}}', 'broken')).toBe('created');
    expect((await bed.docker(['start', 'broken'])).code).toBe(1);
  });
});
