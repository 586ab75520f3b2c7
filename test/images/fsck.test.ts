import { spawn } from 'node:child_process';
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { canRun, Testbed } from '../engine/testbed.ts';

describe.skipIf(!canRun)('skiffd fsck (skipped without root on Linux: needs namespaces)', () => {
  let bed: Testbed;

  beforeAll(async () => {
    bed = new Testbed();
    await bed.start();
    await bed.ok('create', '--name', 'kept', '-v', 'kept:/data', 'skiff/welcome');
  }, 60_000);
  afterAll(() => bed?.[Symbol.asyncDispose]());

  it('refuses while an engine uses the folder', async () => {
    expect(await bed.fsck()).toMatchObject({ code: 1, output: expect.stringContaining('an engine is using') });
  });

  it('finds nothing after a stop, and nothing after a kill in the middle of work', async () => {
    await bed.stop();
    expect(await bed.fsck('--deep')).toEqual({ code: 0, output: 'consistent\n' });
    await bed.start();
    const work = spawn(
      'sh',
      [
        '-c',
        `for n in 1 2 3 4 5 6 7 8 9; do docker -H unix://${bed.socket} run --rm -v x$n:/x skiff/welcome true & done; wait`,
      ],
      { stdio: 'ignore' },
    );
    await new Promise((resolve) => setTimeout(resolve, 700));
    await bed.kill();
    work.kill('SIGKILL');
    expect(await bed.fsck('--deep')).toEqual({ code: 0, output: 'consistent\n' });
    await bed.start();
    expect(await bed.ok('inspect', '--format', '{{.State.Status}}', 'kept')).toBe('created');
    await bed.stop();
  });

  it('names what is missing and what was altered', async () => {
    const lib = join(bed.data, 'lib');
    const blobs = join(lib, 'content/blobs/sha256');
    const [blob = ''] = readdirSync(blobs);
    writeFileSync(join(blobs, blob), 'other');
    rmSync(join(lib, 'volumes/kept'), { recursive: true });
    const { code, output } = await bed.fsck();
    expect(code).toBe(1);
    expect(output).toContain(`blob sha256:${blob} has 5 bytes`);
    expect(output).toContain('volume kept: its folder is missing');
  });
});
