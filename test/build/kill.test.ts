import { spawn } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';

import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';

import { dockerCli } from '../../scripts/setup.mjs';
import { canRun, Testbed } from '../engine/testbed.ts';
import { cgroupsOf, leftovers } from './leftovers.ts';
import { ContextFolder } from './samples.ts';

/** SKIFF_KILLS=50 is the full count; a few find what is broken altogether. */
const KILLS = Number(process.env.SKIFF_KILLS ?? 5);
const BASE = 'FROM skiff/welcome';
/** Two stages side by side, every kind of step that writes; each result follows from the inputs alone. */
const DOCKERFILE = `${BASE} AS one
RUN --mount=type=cache,target=/cache echo one > /one; echo x >> /cache/seen
RUN seq 20000 > /numbers
FROM ${BASE.slice(5)} AS two
WORKDIR /work
COPY data data
RUN --mount=type=bind,target=/context cat /context/data data > both
${BASE}
COPY --from=one /one /numbers /
COPY --from=two /work/ /work/
ADD archive.tar /unpacked/
RUN cat /one /work/both > /all && mkdir /d && mv /numbers /d/
RUN rm -r /unpacked && sha256sum /d/numbers >> /all
CMD cat /all
`;

describe.skipIf(!canRun)('builds that are cut off (skipped without root on Linux: needs namespaces)', () => {
  let bed: Testbed;
  let folder: ContextFolder;
  let expected = '';
  let duration = 0;

  beforeAll(async () => {
    bed = new Testbed();
    await bed.start();
    folder = new ContextFolder({
      Dockerfile: DOCKERFILE,
      data: 'three\n',
      'archive.tar': { archive: { f: 'packed' } },
    });
    const before = Date.now();
    await bed.ok('build', '-t', 'whole', folder.path);
    duration = Date.now() - before;
    expected = await bed.ok('run', '--rm', 'whole');
    expect(expected).toMatch(/^one\nthree\nthree\n[0-9a-f]{64} /);
  });
  afterAll(async () => {
    folder[Symbol.dispose]();
    await bed[Symbol.asyncDispose]();
  });

  const startBuild = (...args: string[]) => {
    const child = spawn(dockerCli(), ['-H', `unix://${bed.socket}`, 'build', ...args, folder.path]);
    const build = { output: '', child };
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (build.output += chunk));
    return build;
  };

  test(`kill -9 of the engine at ${KILLS} random moments leaves a right cache and nothing else`, {
    timeout: 60_000 + KILLS * 20_000,
  }, async () => {
    let output = '';
    for (let round = 0; round < KILLS; round++) {
      // With and without what earlier rounds have left in the cache.
      const build = startBuild('-t', `cut${round}`, ...(round % 3 === 0 ? [] : ['--no-cache']));
      await delay(Math.random() * duration);
      await bed.kill();
      build.child.kill('SIGKILL');
      output += build.output;
      if (round % 5 === 4) expect(await bed.fsck()).toEqual({ code: 0, output: 'consistent\n' });
      await bed.start();
      await vi.waitFor(() => expect(leftovers(bed)).toEqual([]), 20_000);
      await bed.ok('build', '-t', 'after', folder.path);
      expect(await bed.ok('run', '--rm', 'after')).toBe(expected);
    }
    await vi.waitFor(() => expect(cgroupsOf(output)).toEqual([]), 20_000);
    expect((await bed.ok('build', '-t', 'after', folder.path)).match(/Using cache/g)).toHaveLength(11);
    expect(await bed.ok('ps', '-aq')).toBe('');
    await bed.stop();
    expect(await bed.fsck('--deep')).toEqual({ code: 0, output: 'consistent\n' });
    await bed.start();
  });

  test('the death of the shim ends a build with an error, and the next one works', async () => {
    using slow = new ContextFolder({ Dockerfile: `${BASE}\nRUN echo begun; sleep 1000` });
    const child = spawn(dockerCli(), ['-H', `unix://${bed.socket}`, 'build', slow.path]);
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
    await vi.waitFor(() => expect(output).toContain('begun'), 20_000);
    process.kill(bed.shimPid ?? 0, 'SIGKILL');
    expect(await ended).not.toBe(0);
    await vi.waitFor(() => expect(leftovers(bed)).toEqual([]), 20_000);
    await vi.waitFor(() => expect(cgroupsOf(output)).toEqual([]), 20_000);
    await bed.ok('build', '--no-cache', '-t', 'after', folder.path);
    expect(await bed.ok('run', '--rm', 'after')).toBe(expected);
  });
});
