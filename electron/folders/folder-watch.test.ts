import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { lstat, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { FolderChange } from '../ports/types.ts';
import { FolderWatch } from './folder-watch.ts';

describe('changes in folders that containers have mounted', () => {
  let root: string;
  let told: FolderChange[];
  let messages: number;
  let logged: string[];
  let watch: FolderWatch;
  /** What the machine does with what it is told. */
  let answer: (changes: FolderChange[]) => void;
  const of = (path: string) => told.filter((change) => change.path === join(root, path));
  const soon = (check: () => void) => vi.waitFor(check, { timeout: 20_000 });

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'skiff-watch-'));
    mkdirSync(join(root, 'src/deep'), { recursive: true });
    writeFileSync(join(root, 'src/deep/file'), 'one');
    [told, messages, logged, answer] = [[], 0, [], () => {}];
    watch = new FolderWatch(
      (changes) => {
        messages++;
        told.push(...changes);
        answer(changes);
      },
      (line) => logged.push(line),
    );
  });
  afterEach(() => {
    watch.close();
    rmSync(root, { recursive: true, force: true });
  });

  test('are told with their time: content, new files, folders that come later, what is removed and renamed', async () => {
    expect((await watch.follow([root])).sort()).toEqual([root, join(root, 'src'), join(root, 'src/deep')]);
    writeFileSync(join(root, 'src/deep/file'), 'two');
    const { mtimeNs } = await lstat(join(root, 'src/deep/file'), { bigint: true });
    await soon(() =>
      expect(of('src/deep/file').at(-1)).toEqual({ path: join(root, 'src/deep/file'), mtime: `${mtimeNs}` }),
    );

    mkdirSync(join(root, 'new'));
    await soon(() => expect(of('new').at(-1)).toMatchObject({ folder: true }));
    writeFileSync(join(root, 'new/工作'), 'x');
    await soon(() => expect(of('new/工作').at(-1)?.mtime).toBeDefined());

    renameSync(join(root, 'new/工作'), join(root, 'new/other'));
    await soon(() => expect(of('new/工作').at(-1)).toEqual({ path: join(root, 'new/工作') }));
    await soon(() => expect(of('new/other').at(-1)?.mtime).toBeDefined());
    // Its folder is told too: there a watcher looks for what has gone.
    expect(of('new').length).toBeGreaterThan(0);

    rmSync(join(root, 'src'), { recursive: true });
    await soon(() => expect(of('src').at(-1)).toEqual({ path: join(root, 'src') }));
  });

  test('of a folder that was replaced are told as gone and come, so that the machine looks at the new one', async () => {
    await watch.follow([root]);
    rmSync(join(root, 'src'), { recursive: true });
    mkdirSync(join(root, 'src'));
    writeFileSync(join(root, 'src/fresh'), '');
    await soon(() => expect(of('src').map(({ mtime }) => mtime !== undefined)).toEqual([false, true]));
    await soon(() => expect(of('src/fresh').at(-1)?.mtime).toBeDefined());
    told.length = 0;
    writeFileSync(join(root, 'src/fresh'), 'again');
    await soon(() => expect(of('src/fresh')).toHaveLength(1));
  });

  test('are told once: a touch by the machine that leaves the time as it is wakes nobody again', async () => {
    answer = (changes) => {
      for (const { path } of changes) {
        void lstat(path)
          .then((info) => utimes(path, info.atime, info.mtime))
          .catch(() => {});
      }
    };
    // Whole milliseconds, which is what Node can set again exactly.
    const write = (n: number) => {
      writeFileSync(join(root, 'src/deep/file'), `content ${n}`);
      utimesSync(join(root, 'src/deep/file'), 1_700_000_000 + n, 1_700_000_000 + n);
    };
    await watch.follow([root]);
    for (let n = 0; n < 3; n++) {
      write(n);
      await soon(() => expect(of('src/deep/file').at(-1)?.mtime).toBe(`${1_700_000_000 + n}000000000`));
    }
    // Whatever the touches stirred up has come by now; the second second is silent.
    await delay(1_000);
    const before = messages;
    await delay(1_000);
    expect(messages).toBe(before);
  });

  test('by the thousand come in few messages', async () => {
    await watch.follow([root]);
    for (let n = 0; n < 5_000; n++) writeFileSync(join(root, `src/${n}`), '');
    await soon(() => expect(of('src').length).toBeGreaterThan(0));
    await delay(500);
    expect(messages).toBeLessThan(100);
  });

  test('are told of no folder longer than a container has it, and of none through a symlink', async () => {
    const outside = mkdtempSync(join(tmpdir(), 'skiff-outside-'));
    symlinkSync(outside, join(root, 'link'));
    expect(await watch.follow([root])).not.toContain(join(root, 'link'));
    expect(await watch.follow([join(root, 'src'), join(root, 'src/deep')])).toEqual([
      join(root, 'src'),
      join(root, 'src/deep'),
    ]);
    writeFileSync(join(root, 'unwatched'), '');
    writeFileSync(join(root, 'src/watched'), '');
    await soon(() => expect(of('src/watched')).toHaveLength(1));
    expect(of('unwatched')).toEqual([]);
    rmSync(outside, { recursive: true });
  });

  test('of a single file are told too', async () => {
    await watch.follow([join(root, 'src/deep/file')]);
    writeFileSync(join(root, 'src/deep/file'), 'two');
    writeFileSync(join(root, 'src/deep/beside'), '');
    await soon(() => expect(of('src/deep/file')).toHaveLength(1));
    expect(of('src/deep/beside')).toEqual([]);
    expect(logged).toEqual([]);
  });
});
