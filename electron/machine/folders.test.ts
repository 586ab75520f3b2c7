import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sharableFolders } from './folders.ts';

describe('shared folders', () => {
  let dir: string;

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'skiff-shares-'));
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  it('are those that are there', () => {
    writeFileSync(join(dir, 'file'), '');
    expect(sharableFolders([dir, dir, join(dir, 'gone'), join(dir, 'file'), 'relative'])).toEqual([dir]);
  });

  it('are refused when the guest could not be told of them all', () => {
    const many = Array.from({ length: 40 }, (_unused, index) => join(dir, `${index}`.padEnd(60, 'x')));
    for (const folder of many) mkdirSync(folder);
    expect(() => sharableFolders(many)).toThrow(/Too many folders/);
  });
});
