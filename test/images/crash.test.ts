import { execFileSync, fork } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';

import { describe, expect, it } from 'vitest';

import { startEngine } from './engine.ts';
import { dockerArchive, imageOf, noise, tarOf } from './fixtures.ts';
import { startRegistry } from './registry.ts';

const isRoot = process.getuid?.() === 0;
const never = new AbortController().signal;
const quiet = () => undefined;
const once = async function* (bytes: Buffer) {
  yield bytes;
};
const image = imageOf([tarOf({ a: noise(3_000_000) }), tarOf({ b: noise(1_000_000, 2), '.wh.c': '' })]);
const archive = (tag: string) => once(dockerArchive([{ image, tags: [tag] }]));

describe.runIf(isRoot)('after the worst', () => {
  it('a kill at any moment of pull and prune leaves a whole store', async () => {
    await using registry = await startRegistry();
    const ref = `${registry.host}/victim`;
    {
      await using engine = await startEngine();
      await engine.images.load(archive(`${ref}:1`), {}, quiet, never);
      await engine.images.push({ image: ref, tag: '1' }, quiet, never);
    }
    const folder = mkdtempSync(`${tmpdir()}/skiff-killed-`);
    const root = `${folder}/root`;
    try {
      for (const delay of [10, 50, 90, 140, 200, 280, 400]) {
        const script = new URL('./pull-and-die.ts', import.meta.url).pathname;
        const victim = fork(script, [root, `${ref}:1`], { stdio: 'ignore' });
        await new Promise((resolve) => victim.once('message', resolve));
        await new Promise((resolve) => setTimeout(resolve, delay));
        const gone = new Promise((resolve) => victim.once('exit', resolve));
        victim.kill('SIGKILL');
        await gone;
        await using engine = await startEngine({ root, keep: true });
        expect(await engine.images.check(true)).toEqual([]);
        await engine.images.pull({ image: `${ref}:1` }, quiet, never);
        expect(engine.images.get(`${ref}:1`).id).toBe(image.id);
        expect(await engine.images.check(true)).toEqual([]);
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it('a full disk fails the load, says so, and leaves room for the next', async () => {
    const folder = mkdtempSync(`${tmpdir()}/skiff-full-`);
    mkdirSync(`${folder}/disk`);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=12m', 'tmpfs', `${folder}/disk`]);
    try {
      const limits = { reserveBytes: 0, reserveInodes: 0 };
      await using engine = await startEngine({ root: `${folder}/disk/root`, snapshots: { limits } });
      const large = imageOf([tarOf({ large: noise(20_000_000) })]);
      await expect(
        engine.images.load(once(dockerArchive([{ image: large, tags: ['large:1'] }])), {}, quiet, never),
      ).rejects.toThrow(/no space left on device/i);
      expect(engine.images.list({ all: true })).toEqual([]);
      expect(await engine.images.check(true)).toEqual([]);
      await engine.snapshots.settled();
      await engine.images
        .load(archive('small:1'), {}, quiet, never)
        .catch((error: Error) => expect(error.message).toMatch(/no space/i));
      expect(await engine.images.check(true)).toEqual([]);
      engine.images.prune(new Map([['dangling', ['false']]]), never);
      await engine.images.load(
        once(dockerArchive([{ image: imageOf([tarOf({ tiny: 'x' })]), tags: ['tiny:1'] }])),
        {},
        quiet,
        never,
      );
      expect(engine.images.get('tiny:1').size).toBe(1);
    } finally {
      execFileSync('umount', ['-l', `${folder}/disk`]);
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
