import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, test, vi } from 'vitest';
import { TreeWatch } from './tree-watch.ts';

test('a tree with more folders than may be watched is watched from the top, and said to be partial', async () => {
  const root = mkdtempSync(join(tmpdir(), 'skiff-tree-'));
  for (const name of ['a/deep', 'b', 'c']) mkdirSync(join(root, name), { recursive: true });
  const seen: string[] = [];
  const tree = new TreeWatch(root, (path) => seen.push(path), { limit: 4, platform: 'linux' });
  await tree.ready;
  expect(tree.folders()).toEqual([root, join(root, 'a'), join(root, 'b'), join(root, 'c')]);
  expect(tree.partial).toBe(true);
  writeFileSync(join(root, 'a/file'), '');
  await vi.waitFor(() => expect(seen).toContain(join(root, 'a/file')), { timeout: 20_000 });
  tree.close();
  rmSync(root, { recursive: true });
});

test('where the system watches trees by itself, its watch is used, and the folders are known all the same', async () => {
  const root = mkdtempSync(join(tmpdir(), 'skiff-tree-'));
  mkdirSync(join(root, 'a'));
  const seen: string[] = [];
  const tree = new TreeWatch(root, (path) => seen.push(path), { limit: 100, platform: 'darwin' });
  await tree.ready;
  expect(tree.folders()).toEqual([root, join(root, 'a')]);
  await vi.waitFor(
    () => {
      writeFileSync(join(root, 'file'), String(Math.random()));
      expect(seen).toContain(join(root, 'file'));
    },
    { timeout: 20_000 },
  );
  tree.close();
  rmSync(root, { recursive: true });
});
