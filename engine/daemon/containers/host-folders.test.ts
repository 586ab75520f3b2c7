import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { HostFolders } from './host-folders.ts';

describe('folders of the computer around the VM', () => {
  let directory: string;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'skiff-folders-'));
    writeFileSync(join(directory, 'list'), '/home/me\n/home/me/inner\n');
    mkdirSync(join(directory, '0'));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  it('lead to where they are mounted, the innermost first', () => {
    const folders = new HostFolders(directory);
    expect(folders.locate('/home/me')).toBe(join(directory, '0'));
    expect(folders.locate('/home/me/a b/ü')).toBe(join(directory, '0/a b/ü'));
    expect(folders.locate('/home/me/inner/x')).toBe(join(directory, '1/x'));
  });

  it('leave what the machine has itself, and refuse the rest with the setting to change', () => {
    const folders = new HostFolders(directory);
    expect(folders.locate('/proc')).toBe('/proc');
    expect(() => folders.locate('/home/meadow')).toThrow(
      /Mounts denied: the path \/home\/meadow is not shared.*File sharing/,
    );
  });

  it('are none where there is no VM', () => {
    expect(new HostFolders(undefined).locate('/no/such/path')).toBe('/no/such/path');
  });
});
