import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BrokenAccelerators } from './accelerator-memory.ts';

describe('accelerators that did not work', () => {
  let dir: string;
  let file: string;

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'skiff-accelerators-'));
    file = join(dir, 'broken.json');
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  it('are left out for a day, then tried again', () => {
    let now = 1_000_000;
    new BrokenAccelerators(file, () => now).add('kvm');
    const later = new BrokenAccelerators(file, () => now);
    expect(later.without(['kvm', 'tcg'])).toEqual(['tcg']);
    now += 25 * 3_600_000;
    expect(later.without(['kvm', 'tcg'])).toEqual(['kvm', 'tcg']);
  });

  it('never are emulation', () => {
    const broken = new BrokenAccelerators(file);
    broken.add('tcg');
    expect(broken.without(['tcg'])).toEqual(['tcg']);
  });

  it('are forgotten when the file is damaged', () => {
    writeFileSync(file, '{"kvm":');
    expect(new BrokenAccelerators(file).without(['kvm', 'tcg'])).toEqual(['kvm', 'tcg']);
  });
});
