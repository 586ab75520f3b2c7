import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';

import { canRun, Testbed } from '../engine/testbed.ts';
import { contextTar, postBuild } from './api.ts';
import { leftovers } from './leftovers.ts';
import { ContextFolder } from './samples.ts';

const BASE = 'FROM skiff/welcome\n';
const MIB = 1024 * 1024;

describe.skipIf(!canRun)('options of docker build (skipped without root on Linux: needs namespaces)', () => {
  let bed: Testbed;

  beforeAll(async () => {
    bed = new Testbed();
    await bed.start();
  });
  afterAll(() => bed[Symbol.asyncDispose]());

  const build = async (dockerfile: string, ...args: string[]) => {
    using folder = new ContextFolder({ Dockerfile: dockerfile });
    return await bed.docker(['build', ...args, folder.path]);
  };

  /** A build that leaves its steps and no image. */
  const cacheOnly = async (dockerfile: string): Promise<string> => {
    const { stdout } = await build(dockerfile, '-t', 'gone');
    await bed.ok('rmi', 'gone');
    return stdout;
  };

  test('-q prints the id and nothing else, and of a failure what was said', async () => {
    const quiet = await build(`${BASE}RUN echo loud`, '-q', '-t', 'quiet');
    expect(quiet.code).toBe(0);
    expect(quiet.stdout.trim()).toBe(await bed.ok('image', 'inspect', '-f', '{{.Id}}', 'quiet'));
    const failed = await build(`${BASE}RUN echo loud; exit 3`, '-q');
    expect(failed.code).toBe(3);
    expect(failed.stdout + failed.stderr).toContain('loud\n');
  });

  test('the stream has the id as aux', async () => {
    const { text } = await postBuild(bed.socket, { t: 'streamed' }, await contextTar({ Dockerfile: BASE }));
    const id = await bed.ok('image', 'inspect', '-f', '{{.Id}}', 'streamed');
    expect(text).toContain(`{"aux":{"ID":"${id}"}}`);
    expect(text).toContain('Successfully tagged streamed:latest');
  });

  test('limits, names and the network reach RUN', async () => {
    const script = [
      'echo shm $(df -k /dev/shm | tail -n 1 | tr -s " " | cut -d" " -f2)',
      'echo files $(ulimit -n) $(ulimit -Hn)',
      'grep other.example /etc/hosts',
      'echo devices $(ls /sys/class/net)',
      'cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || true',
    ].join('; ');
    const options = ['--shm-size', '32m', '--ulimit', 'nofile=100:200', '--add-host', 'other.example:192.0.2.7'];
    const { stdout } = await build(`${BASE}RUN ${script}`, ...options, '--network', 'none', '--memory', '64m');
    expect(stdout).toContain('shm 32768\n');
    expect(stdout).toContain('files 100 200\n');
    expect(stdout).toContain('192.0.2.7\tother.example\n');
    expect(stdout).toContain('devices lo\n');
    expect(stdout).toContain('67108864\n');
  });

  test('triggers run in the build that starts from their image, and are gone after it', async () => {
    expect((await build(`${BASE}ONBUILD RUN echo pulled > /t\nONBUILD ENV T=1`, '-t', 'trigger')).code).toBe(0);
    expect(await bed.ok('image', 'inspect', '-f', '{{json .Config.OnBuild}}', 'trigger')).toBe(
      '["RUN echo pulled > /t","ENV T=1"]',
    );
    const { stdout } = await build('FROM trigger\nRUN echo own >> /t', '-t', 'triggered');
    expect(stdout).toContain('# Executing 2 build triggers\n');
    expect(await bed.ok('run', '--rm', 'triggered', 'sh', '-c', 'cat /t; echo $T')).toBe('pulled\nown\n1');
    expect(await bed.ok('image', 'inspect', '-f', '{{json .Config.OnBuild}}', 'triggered')).toBe('null');
  });

  test.each([
    [{ squash: '1' }, 'squash is only supported with experimental mode'],
    [{ outputs: '[{"Type":"local"}]' }, 'outputs are only supported with BuildKit'],
    [{ shmsize: '-1' }, 'SHM size can not be less than 0'],
    [{ securityopt: 'label=disable' }, 'security options are not supported on linux'],
    [{ isolation: 'hyperv' }, 'unsupported isolation: "hyperv"'],
    [{ ulimits: 'x' }, 'error reading ulimits'],
    [{ t: 'UPPER' }, 'must be lowercase'],
  ])('%j is refused', async (query, words) => {
    const outcome = await postBuild(bed.socket, query, await contextTar({ Dockerfile: BASE }));
    expect(outcome.status).toBe(400);
    expect(outcome.error).toContain(words);
  });

  test('prune takes what its filters name', async () => {
    await bed.ok('builder', 'prune', '-af');
    await build(`${BASE}RUN echo kept > /f`);
    await build(`${BASE}RUN echo doomed > /f`);
    const pruned = await bed.ok('builder', 'prune', '-af', '--filter', 'unused-for=1h');
    expect(pruned).toMatch(/\s0B/);
    const records = (): Promise<string> =>
      bed.ok('system', 'df', '-v', '--format', '{{range .BuildCache}}{{.ID}} {{.CacheType}}\n{{end}}');
    const before = (await records()).split('\n').filter(Boolean);
    expect(before).toHaveLength(2);
    await bed.ok('builder', 'prune', '-af', '--filter', 'type=exec.cachemount');
    expect((await records()).split('\n').filter(Boolean)).toHaveLength(2);
    await bed.ok('builder', 'prune', '-af', '--filter', `id=${before[0]?.split(' ')[0]}`);
    expect((await records()).split('\n').filter(Boolean)).toEqual(before.slice(1));
  });

  test.each([
    [['nope=1'], "invalid filter 'nope'"],
    [['shared=x'], "invalid filter 'shared=[x]'"],
    [['type=a', 'type=b'], 'filters expect only one value'],
    [['until=1h', 'unused-for=1h'], 'conflicting filters: "until" and "unused-for"'],
  ])('prune refuses the filters %j', async (filters, words) => {
    const options = filters.flatMap((filter) => ['--filter', filter]);
    expect((await bed.docker(['builder', 'prune', '-af', ...options])).stderr).toContain(words);
  });

  test('prune knows what an image shares, in its filters and without --all', async () => {
    await bed.ok('builder', 'prune', '-af');
    await build(`${BASE}RUN echo shared > /f`, '-t', 'sharing');
    await cacheOnly(`${BASE}RUN echo private > /f`);
    const shared = async (): Promise<string> =>
      (await bed.ok('system', 'df', '-v', '--format', '{{range .BuildCache}}{{.Shared}} {{end}}')).trim();
    const prune = async (...options: string[]): Promise<string> => {
      await bed.ok('builder', 'prune', '-f', ...options);
      return (await shared()).split(' ').sort().join(' ');
    };
    expect(await prune('-a', '--filter', 'inuse=true')).toBe('false true');
    expect(await prune('-a', '--filter', 'shared=true', '--filter', 'private=true')).toBe('false true');
    expect(await prune('--filter', 'shared=true')).toBe('false true');
    expect(await prune('-a', '--filter', 'shared=false')).toBe('true');
    await cacheOnly(`${BASE}RUN echo private > /f`);
    expect(await prune('-a', '--filter', 'private=false')).toBe('false');
    await bed.ok('rmi', 'sharing');
  });

  test('--keep-storage spares what was used last, and a step as long as what was made on it', async () => {
    await bed.ok('builder', 'prune', '-af');
    const fill = (name: string): string => `RUN (echo ${name}; dd if=/dev/zero bs=1M count=3) > /${name}`;
    const below = `${BASE}${fill('below')}`;
    const alone = `${BASE}${fill('alone')}`;
    await cacheOnly(`${BASE}${fill('below')}\n${fill('above')}`);
    await cacheOnly(alone);
    await cacheOnly(below);
    const hits = async (dockerfile: string): Promise<number> =>
      (await cacheOnly(dockerfile)).split('Using cache').length - 1;
    await bed.ok('builder', 'prune', '-af', '--keep-storage', '7MB');
    expect(await hits(alone)).toBe(1);
    expect(await hits(below)).toBe(1);
    await bed.ok('builder', 'prune', '-af', '--keep-storage', '4MB');
    expect(await hits(below)).toBe(1);
    expect(await hits(alone)).toBe(0);
  });

  // The image of the build itself shares its layer, and counts nothing.
  test('builder.gc keeps what was used last', async () => {
    await bed.ok('builder', 'prune', '-af');
    await bed.stop();
    bed.configure({ builder: { gc: { enabled: true, defaultKeepStorage: '4MB' } } });
    await bed.start();
    const big = (name: string) => `${BASE}RUN (echo ${name}; dd if=/dev/zero bs=1M count=3) > /big`;
    for (const name of ['first', 'second', 'first', 'third']) await cacheOnly(big(name));
    for (const name of ['third', 'first']) expect(await cacheOnly(big(name))).toContain('Using cache');
    expect(await cacheOnly(big('second'))).not.toContain('Using cache');
  });
});

describe.skipIf(!canRun)('docker build on a small disk (skipped without root on Linux: needs namespaces)', () => {
  let bed: Testbed;

  beforeAll(async () => {
    bed = new Testbed({ diskMegabytes: 128 });
    await bed.start();
  });
  afterAll(async () => {
    await bed.stop();
    await vi.waitFor(() => expect(bed.shimPid).toBeUndefined(), 20_000);
    await bed[Symbol.asyncDispose]();
  });

  test('a RUN or an ADD that fills it fails and frees it, and the next build works', async () => {
    using folder = new ContextFolder({ Dockerfile: `${BASE}RUN dd if=/dev/zero of=/big bs=1M` });
    const filled = await bed.docker(['build', folder.path]);
    expect(filled.code).toBe(1);
    expect(filled.stdout + filled.stderr).toContain('No space left on device');
    await vi.waitFor(() => expect(leftovers(bed)).toEqual([]), 20_000);

    const body = await contextTar({ Dockerfile: `${BASE}COPY big /`, big: Buffer.alloc(50 * MIB) });
    const twice = await contextTar({ Dockerfile: BASE, big: Buffer.alloc(127 * MIB) });
    expect((await postBuild(bed.socket, {}, twice)).status).not.toBe(200);
    await vi.waitFor(() => expect(leftovers(bed)).toEqual([]), 20_000);
    expect((await postBuild(bed.socket, { t: 'fits' }, body)).error).toBe('');
    expect(await bed.ok('run', '--rm', 'fits', 'stat', '-c', '%s', '/big')).toBe(String(50 * MIB));
    expect(bed.log).not.toContain('level=fatal');
  });
});
