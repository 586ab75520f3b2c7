import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { canRun, Testbed } from '../engine/testbed.ts';
import { ContextFolder } from './samples.ts';

const BASE = 'FROM skiff/welcome\n';

describe.skipIf(!canRun)('the build cache (skipped without root on Linux: needs namespaces)', () => {
  let bed: Testbed;

  beforeAll(async () => {
    bed = new Testbed();
    await bed.start();
  });
  afterAll(() => bed[Symbol.asyncDispose]());

  /** Which steps came from the cache: their numbers. */
  const cachedSteps = async (folder: ContextFolder, ...args: string[]): Promise<number[]> => {
    const log = await bed.ok('build', '-t', 'c', ...args, folder.path);
    let step = 0;
    const found: number[] = [];
    for (const line of log.split('\n')) {
      step = Number(/^Step (\d+)\//.exec(line)?.[1] ?? step);
      if (line === ' ---> Using cache') found.push(step);
    }
    return found;
  };
  const idOf = (name: string): Promise<string> => bed.ok('image', 'inspect', '-f', '{{.Id}}', name);

  test('looks at the content of files, not at their times', async () => {
    using folder = new ContextFolder({ Dockerfile: `${BASE}COPY f /f\nRUN cat /f > /g`, f: 'one' });
    expect(await cachedSteps(folder)).toEqual([]);
    const before = await idOf('c');
    folder.touch('f', 1_000_000);
    expect(await cachedSteps(folder)).toEqual([2, 3]);
    expect(await idOf('c')).toBe(before);
    folder.write('f', 'two');
    expect(await cachedSteps(folder)).toEqual([]);
    expect(await bed.ok('run', '--rm', 'c', 'cat', '/g')).toBe('two');
    folder.write('f', 'one');
    expect(await cachedSteps(folder)).toEqual([2, 3]);
  });

  test('looks at modes and names', async () => {
    using folder = new ContextFolder({ Dockerfile: `${BASE}COPY d /d`, 'd/a': 'x' });
    await cachedSteps(folder);
    folder.write('d/a', { content: 'x', mode: 0o755 });
    expect(await cachedSteps(folder)).toEqual([]);
    expect(await bed.ok('run', '--rm', 'c', 'stat', '-c', '%a', '/d/a')).toBe('755');
  });

  test('is shared between Dockerfiles and keeps what a LABEL before a RUN does not change', async () => {
    using first = new ContextFolder({ Dockerfile: `${BASE}RUN echo shared > /s` });
    await cachedSteps(first);
    using second = new ContextFolder({ Dockerfile: `${BASE}LABEL a=b\nRUN echo shared > /s` });
    expect(await cachedSteps(second)).toEqual([3]);
  });

  test('an ARG matters from where it is declared, ENV to every RUN after it', async () => {
    using folder = new ContextFolder({ Dockerfile: `${BASE}RUN echo 1 > /a\nARG V\nRUN echo $V > /b` });
    await cachedSteps(folder, '--build-arg', 'V=1');
    expect(await cachedSteps(folder, '--build-arg', 'V=2')).toEqual([2, 3]);
    expect(await bed.ok('run', '--rm', 'c', 'cat', '/b')).toBe('2');
    expect(await cachedSteps(folder, '--build-arg', 'V=1')).toEqual([2, 3, 4]);
  });

  test('a changed stage changes what is copied from it, an unchanged file in it does not', async () => {
    const dockerfile =
      'FROM skiff/welcome AS s\nCOPY . /s/\nFROM skiff/welcome\nCOPY --from=s /s/kept /kept\nRUN cat /kept > /k';
    using folder = new ContextFolder({ Dockerfile: dockerfile, kept: '1', other: '1' });
    await cachedSteps(folder);
    folder.write('other', '2');
    expect(await cachedSteps(folder)).toEqual([4, 5]);
    folder.write('kept', '2');
    expect(await cachedSteps(folder)).toEqual([]);
    expect(await bed.ok('run', '--rm', 'c', 'cat', '/k')).toBe('2');
  });

  test('--no-cache runs everything again', async () => {
    using folder = new ContextFolder({ Dockerfile: `${BASE}RUN cat /proc/sys/kernel/random/uuid > /u` });
    await cachedSteps(folder);
    const before = await bed.ok('run', '--rm', 'c', 'cat', '/u');
    expect(await cachedSteps(folder, '--no-cache')).toEqual([]);
    const after = await bed.ok('run', '--rm', 'c', 'cat', '/u');
    expect(after).not.toBe(before);
    await cachedSteps(folder);
    expect(await bed.ok('run', '--rm', 'c', 'cat', '/u')).toBe(after);
  });

  test('survives a restart, a failed build and the removal of the image', async () => {
    using folder = new ContextFolder({ Dockerfile: `${BASE}RUN echo long > /l\nRUN false` });
    expect((await bed.docker(['build', folder.path])).code).toBe(1);
    await bed.kill();
    await bed.start();
    folder.write('Dockerfile', `${BASE}RUN echo long > /l\nRUN true`);
    expect(await cachedSteps(folder)).toEqual([2]);
    await bed.ok('rmi', 'c');
    expect(await cachedSteps(folder)).toEqual([2, 3]);
  });

  test('the same inputs and SOURCE_DATE_EPOCH give the same image', async () => {
    using folder = new ContextFolder({ Dockerfile: `${BASE}WORKDIR /w\nCOPY f .\nRUN echo made > m`, f: 'x' });
    const args = ['--no-cache', '--build-arg', 'SOURCE_DATE_EPOCH=1000000000'];
    await cachedSteps(folder, ...args);
    const first = await idOf('c');
    folder.touch('f', 1_700_000_000);
    await cachedSteps(folder, ...args);
    expect(await idOf('c')).toBe(first);
    expect(await bed.ok('image', 'inspect', '-f', '{{.Created}}', 'c')).toMatch(/^2001-09-09T01:46:40/);
  });

  test('--cache-from takes the steps of an image', async () => {
    using folder = new ContextFolder({ Dockerfile: `${BASE}RUN cat /proc/sys/kernel/random/uuid > /u` });
    await bed.ok('build', '--no-cache', '-t', 'donor', folder.path);
    const made = await bed.ok('run', '--rm', 'donor', 'cat', '/u');
    await bed.ok('builder', 'prune', '-af');
    await bed.ok('build', '--cache-from', 'donor', '-t', 'taker', folder.path);
    expect(await bed.ok('run', '--rm', 'taker', 'cat', '/u')).toBe(made);
  });

  test('prune removes what no image shares, or all, and says how much', async () => {
    using folder = new ContextFolder({ Dockerfile: `${BASE}RUN dd if=/dev/zero of=/big bs=1M count=3` });
    await bed.ok('builder', 'prune', '-af');
    await cachedSteps(folder);
    expect(await bed.ok('system', 'df', '--format', '{{.Type}} {{.TotalCount}}')).toContain('Build Cache 1');
    expect(await bed.ok('builder', 'prune', '-f')).toMatch(/Total(:| reclaimed space:)\s+0B/);
    expect(await cachedSteps(folder)).toEqual([2]);
    await bed.ok('rmi', 'c');
    expect(await bed.ok('builder', 'prune', '-f')).toMatch(/3\.\d+MB/);
    expect(await cachedSteps(folder)).toEqual([]);
    expect(await bed.ok('builder', 'prune', '-af', '--keep-storage', '1GB')).toMatch(/\s0B/);
    expect(await cachedSteps(folder)).toEqual([2]);
    expect(
      await bed.ok(
        'events',
        '--since',
        '1h',
        '--until',
        String(Math.floor(Date.now() / 1000) + 1),
        '--filter',
        'type=builder',
      ),
    ).toContain('builder prune');
  });
});
