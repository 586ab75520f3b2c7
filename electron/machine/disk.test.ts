import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ensureDisk, realSize, virtualSize } from './disk.ts';
import { findQemu, thisHost } from './platform.ts';

const qemuImg = findQemu(thisHost(), 'x64').img;
let dir: string;
let path: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'skiff-disk-'));
  path = join(dir, 'data.qcow2');
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

describe.skipIf(!qemuImg)('the data disk (needs qemu-img)', () => {
  it('is made sparse, in the wished size', async () => {
    await ensureDisk(path, 64, qemuImg!);
    expect(await virtualSize(path)).toBe(64 * 1024 ** 3);
    expect(await realSize(path)).toBeLessThan(2 * 1024 ** 2);
  });

  it('grows when a larger one is wished, and never shrinks', async () => {
    await ensureDisk(path, 2, qemuImg!);
    await ensureDisk(path, 4, qemuImg!);
    expect(await virtualSize(path)).toBe(4 * 1024 ** 3);
    await ensureDisk(path, 1, qemuImg!);
    expect(await virtualSize(path)).toBe(4 * 1024 ** 3);
  });

  it('that is something else is left alone and reported', async () => {
    writeFileSync(path, 'my thesis, and not a disk image at all');
    await expect(ensureDisk(path, 4, qemuImg!)).rejects.toMatchObject({ kind: 'disk-failed', step: 'disk' });
    expect(statSync(path).size).toBe(38);
  });

  it('is not begun when the host has no room', async () => {
    await expect(ensureDisk(path, 4, qemuImg!, 1e18)).rejects.toMatchObject({
      kind: 'disk-full',
      hint: expect.stringContaining('Free some space'),
    });
  });
});
