import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { moveDisk } from './move-disk.ts';
import { machinePaths } from './paths.ts';
import { findQemu, thisHost } from './platform.ts';
import { createSnapshot, listSnapshots, removeSnapshot, restoreSnapshot } from './snapshots.ts';

const qemuImg = findQemu(thisHost(), 'x64').img ?? '';

describe.skipIf(!qemuImg)('the data disk of a stopped machine (needs qemu-img)', () => {
  let home: string;
  const files = () => {
    const { dir, dataDisk, diskFolder } = machinePaths(home);
    return { dir, dataDisk, diskFolder, qemuImg };
  };
  beforeEach(() => {
    home = mkdtempSync(join(tmpdir(), 'skiff-disk-'));
    execFileSync(qemuImg, ['create', '-q', '-f', 'qcow2', files().dataDisk, '1G']);
  });
  afterEach(() => rmSync(home, { recursive: true, force: true }));

  it('moves to another folder, is found there, and comes back', async () => {
    const old = files().dataDisk;
    const content = readFileSync(old);
    await moveDisk(files(), join(home, 'big'));
    expect(files().dataDisk).toBe(join(home, 'big', 'data.qcow2'));
    expect(existsSync(old)).toBe(false);
    expect(readFileSync(files().dataDisk).equals(content)).toBe(true);
    await moveDisk(files(), files().dir);
    expect(files().dataDisk).toBe(old);
    expect(readFileSync(old).equals(content)).toBe(true);
  });

  it('stays where it is when the folder is not fit', async () => {
    const old = files().dataDisk;
    mkdirSync(join(home, 'taken'));
    writeFileSync(join(home, 'taken', 'data.qcow2'), 'somebody else');
    await expect(moveDisk(files(), join(home, 'taken'))).rejects.toMatchObject({ kind: 'refused' });
    await expect(moveDisk(files(), 'relative')).rejects.toMatchObject({ kind: 'refused' });
    expect(files().dataDisk).toBe(old);
    expect(readFileSync(join(home, 'taken', 'data.qcow2'), 'utf8')).toBe('somebody else');
  });

  it('has snapshots with names of their own', async () => {
    await createSnapshot(files(), 'before-upgrade');
    expect(await listSnapshots(files())).toMatchObject([{ name: 'before-upgrade' }]);
    await expect(createSnapshot(files(), 'before-upgrade')).rejects.toThrow('already');
    await expect(createSnapshot(files(), '--help')).rejects.toMatchObject({ kind: 'refused' });
    await expect(restoreSnapshot(files(), 'other')).rejects.toThrow('no snapshot');
    await restoreSnapshot(files(), 'before-upgrade');
    await removeSnapshot(files(), 'before-upgrade');
    expect(await listSnapshots(files())).toEqual([]);
  });
});
