import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { canRun, Testbed } from '../engine/testbed.ts';
import { CORPUS } from './corpus.ts';
import { ContextFolder } from './samples.ts';

describe.skipIf(!canRun)('docker build makes images that run (skipped without root on Linux: needs namespaces)', () => {
  let bed: Testbed;

  beforeAll(async () => {
    bed = new Testbed();
    await bed.start();
  });
  afterAll(() => bed[Symbol.asyncDispose]());

  test.each(CORPUS.map((sample) => [sample.name, sample] as const))('%s', async (_name, sample) => {
    using folder = ContextFolder.of(sample);
    const args = (sample.args ?? []).map((word, index, all) =>
      all[index - 1] === '-f' ? `${folder.path}/${word}` : word,
    );
    await bed.ok('build', '-t', 'sample', ...args, folder.path);
    const run = await bed.docker(['run', '--rm', 'sample', ...(sample.run ?? [])]);
    expect(run).toEqual({ code: 0, stdout: sample.prints, stderr: '' });
  });

  test('nothing is left of the builds but images and cache', async () => {
    expect(await bed.ok('ps', '-aq')).toBe('');
    expect(bed.log).not.toContain('level=error');
  });
});
