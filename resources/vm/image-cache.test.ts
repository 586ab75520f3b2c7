import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { removeOld } from './image.ts';

test('of the VM images the newest three stay, and those in use; what a dead builder left goes', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'skiff-cache-'));
  const dead = spawnSync(process.execPath, ['-e', '']).pid;
  try {
    const used = { a: 0, b: 0.5, c: 3, d: 4, e: 5 };
    for (const [name, hours] of Object.entries(used)) {
      mkdirSync(join(dir, name));
      const time = Date.now() / 1000 - hours * 3600;
      utimesSync(join(dir, name), time, time);
    }
    for (const pid of [dead, process.pid]) mkdirSync(join(dir, `f.building-${pid}-x`));
    await removeOld(dir);
    expect(readdirSync(dir).sort()).toEqual(['a', 'b', 'c', `f.building-${process.pid}-x`]);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});
