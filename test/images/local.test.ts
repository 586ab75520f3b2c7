import { execFileSync, fork } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { gzipSync, zstdCompressSync } from 'node:zlib';

import { describe, expect, it } from 'vitest';

import type { Image } from '../../engine/daemon/images/images.ts';
import { startEngine, type TestEngine } from './engine.ts';
import { busyboxLayer, dockerArchive, type FixtureImage, imageOf, noise, ociArchive, tarOf } from './fixtures.ts';
import { sh } from './registry.ts';

const isRoot = process.getuid?.() === 0;
const never = new AbortController().signal;
const quiet = () => undefined;
const stream = async function* (bytes: Buffer, size = 65_536) {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
};
const base = imageOf([tarOf({ 'etc/': '', 'etc/a': 'a', 'etc/b': 'b' })], { Env: ['A=1'], Labels: { x: 'y' } });
const child = imageOf([...base.layers, tarOf({ 'etc/.wh.a': '', new: noise(2_000_000) })], { Cmd: ['sh'] });

async function load(engine: TestEngine, ...images: [FixtureImage, ...string[]][]): Promise<void> {
  const archive = dockerArchive(images.map(([image, ...tags]) => ({ image, tags })));
  await engine.images.load(stream(archive), { quiet: true }, quiet, never);
}
const whole = async (engine: TestEngine) => {
  expect(await engine.images.check(true)).toEqual([]);
};
const ids = (engine: TestEngine) => engine.images.list({ all: true }).map(({ Id }) => Id);

describe.runIf(isRoot)('images on this machine', () => {
  it.each([
    ['plain', (bytes: Buffer) => bytes],
    ['gzip', gzipSync],
    ['zstd', zstdCompressSync],
    ['xz', (bytes: Buffer) => execFileSync('xz', ['-1', '-c'], { input: bytes, maxBuffer: 64 * 1024 * 1024 })],
    ['bzip2', (bytes: Buffer) => execFileSync('bzip2', ['-1', '-c'], { input: bytes, maxBuffer: 64 * 1024 * 1024 })],
  ])('load a %s archive', async (_name, compress) => {
    await using engine = await startEngine();
    const lines: string[] = [];
    const archive = compress(dockerArchive([{ image: child, tags: ['child:1', 'example.com:5000/other:x'] }]));
    await engine.images.load(stream(archive, 7000), {}, (line) => line.stream && lines.push(line.stream), never);
    expect(lines).toEqual(['Loaded image: child:1\n', 'Loaded image: example.com:5000/other:x\n']);
    expect(engine.images.get('child:1')).toMatchObject({
      id: child.id,
      size: 2_000_002,
      repoTags: ['child:1', 'example.com:5000/other:x'],
    });
    await whole(engine);
  });

  it('load an OCI layout, with and without a name', async () => {
    await using engine = await startEngine();
    const lines: string[] = [];
    const say = (line: { stream?: string }) => line.stream && lines.push(line.stream);
    await engine.images.load(stream(ociArchive(child)), {}, say, never);
    await engine.images.load(
      stream(ociArchive(child, { 'io.containerd.image.name': 'docker.io/library/oci:2' })),
      {},
      say,
      never,
    );
    expect(lines).toEqual([`Loaded image ID: ${child.id}\n`, 'Loaded image: oci:2\n']);
    await whole(engine);
  });

  it.each([
    ['an archive without a manifest', () => tarOf({ file: 'x' }), /manifest\.json/],
    [
      'an archive that is cut off',
      () => dockerArchive([{ image: child }]).subarray(0, 1_000_000),
      /unexpected EOF|missing/,
    ],
    [
      'a layer that is not what the configuration says',
      () => dockerArchive([{ image: { ...child, layers: [child.layers[0]!, tarOf({ other: 'x' })] } }]),
      /invalid diffID for layer 1/,
    ],
    ['no archive at all', () => Buffer.from('hello'), /unexpected EOF|manifest/],
    ['an invalid tag', () => dockerArchive([{ image: base, tags: ['UPPER:1'] }]), /must be lowercase/],
  ])('refuse %s and leave nothing', async (_what, make, words) => {
    await using engine = await startEngine();
    await expect(engine.images.load(stream(make()), {}, quiet, never)).rejects.toThrow(words);
    expect(ids(engine)).toEqual([]);
    expect(engine.images.unfinished()).toEqual([]);
    await whole(engine);
    await load(engine, [child, 'child:1']);
  });

  it('are found by name, id and unique prefix, in Docker’s words when not', async () => {
    await using engine = await startEngine();
    await load(engine, [base, 'base:1', 'base:latest'], [child]);
    const hex = base.id.slice('sha256:'.length);
    for (const name of [
      'base',
      'base:1',
      'docker.io/library/base:1',
      base.id,
      hex,
      hex.slice(0, 12),
      base.id.slice(0, 20),
    ]) {
      expect(engine.images.get(name).id, name).toBe(base.id);
    }
    const message = (name: string) => {
      try {
        engine.images.get(name);
        return 'found';
      } catch (error) {
        return (error as Error).message;
      }
    };
    expect(message('nope')).toBe('No such image: nope:latest');
    expect(message('a/b@sha256:'.padEnd(75, '0'))).toBe('No such image: a/b@sha256:'.padEnd(90, '0'));
    expect(message('sha256:'.padEnd(71, '0'))).toBe('No such image: sha256:'.padEnd(86, '0'));
    expect(message('Bad')).toBe('invalid reference format: repository name (library/Bad) must be lowercase');
    expect(message('a:b:c')).toBe('invalid reference format');
  });

  it('are removed with Docker’s refusals', async () => {
    await using engine = await startEngine();
    await load(engine, [base, 'base:1', 'other:1'], [child, 'child:1']);
    const short = base.id.slice(7, 19);
    expect(() => engine.images.remove(short, {})).toThrow(
      `conflict: unable to delete ${short} (must be forced) - image is referenced in multiple repositories`,
    );
    expect(engine.images.remove('other:1', {})).toEqual([{ Untagged: 'other:1' }]);
    engine.containers.push({ id: 'c'.repeat(64), running: true, imageId: base.id });
    expect(() => engine.images.remove('base:1', {})).toThrow(
      `conflict: unable to remove repository reference "base:1" (must force) - container cccccccccccc is using its referenced image ${short}`,
    );
    expect(() => engine.images.remove(short, { force: true })).toThrow(
      `conflict: unable to delete ${short} (cannot be forced) - image is being used by running container cccccccccccc`,
    );
    engine.containers[0] = { id: 'd'.repeat(64), running: false, imageId: base.id };
    expect(() => engine.images.remove(short, {})).toThrow(
      `conflict: unable to delete ${short} (must be forced) - image is being used by stopped container dddddddddddd`,
    );
    expect(engine.images.remove(short, { force: true })).toEqual([{ Untagged: 'base:1' }, { Deleted: base.id }]);
    const deleted = engine.images.remove('child:1', {});
    expect(deleted).toHaveLength(4);
    expect(deleted.slice(0, 2)).toEqual([{ Untagged: 'child:1' }, { Deleted: child.id }]);
    await whole(engine);
    await engine.snapshots.settled();
    expect(await sh('find', [engine.root, '-path', '*/snapshots/l/*'])).toBe('');
    expect(engine.events.map(({ action }) => action)).toEqual([
      'load',
      'load',
      'untag',
      'untag',
      'delete',
      'untag',
      'delete',
    ]);
  });

  it('keep their layers while a container’s snapshot stands on them', async () => {
    await using engine = await startEngine();
    await load(engine, [child, 'child:1']);
    const { chainId } = engine.images.get('child:1');
    engine.snapshots.prepare('container', chainId);
    engine.containers.push({ id: 'e'.repeat(64), running: false, imageId: child.id });
    engine.images.remove(child.id, { force: true });
    expect(engine.snapshots.hasLayer(chainId!)).toBe(true);
    expect(engine.snapshots.lowerDirs('container')).toHaveLength(3);
    engine.snapshots.remove('container');
    engine.images.prune(new Map(), never);
    await load(engine, [base, 'base:1']);
    expect(engine.snapshots.hasLayer(chainId!)).toBe(false);
  });

  it('are listed with every filter', async () => {
    await using engine = await startEngine();
    const older = imageOf([tarOf({ o: 'o' })], {}, { created: '2020-01-01T00:00:00Z' });
    await load(engine, [base, 'base:1'], [older, 'team/older:1', 'team/older:2'], [child]);
    const list = (name: string, ...values: string[]) =>
      engine.images.list({ filters: new Map([[name, values]]) }).map(({ RepoTags }) => RepoTags[0] ?? '<none>');
    expect(list('dangling', 'true')).toEqual(['<none>']);
    expect(list('dangling', 'false')).toEqual(['base:1', 'team/older:1']);
    expect(list('label', 'x=y')).toEqual(['base:1']);
    expect(list('label', 'x=z')).toEqual([]);
    expect(list('before', 'base:1')).toEqual(['team/older:1']);
    expect(list('since', 'team/older:1').sort()).toEqual(['<none>', 'base:1']);
    expect(list('until', '2021-01-01')).toEqual(['team/older:1']);
    expect(list('reference', 'team/*:2')).toEqual(['team/older:2']);
    expect(list('reference', 'team/*')).toEqual(['team/older:1']);
    expect(list('reference', '*')).toEqual(['base:1']);
    expect(() => list('nonsense', 'x')).toThrow("invalid filter 'nonsense'");
    const shared = engine.images.list({ sharedSize: true }).map(({ Id, SharedSize }) => [Id, SharedSize]);
    expect(Object.fromEntries(shared)).toEqual({ [base.id]: 2, [older.id]: 0, [child.id]: 2 });
    expect(engine.images.diskUsage().LayersSize).toBe(2_000_003);
  });

  it('prune what nothing uses and say truly how much that was', async () => {
    await using engine = await startEngine();
    await load(engine, [base, 'base:1'], [child]);
    engine.containers.push({ id: 'f'.repeat(64), running: false, imageId: base.id });
    const size = async () => Number((await sh('du', ['-sb', `${engine.root}/content`])).split('\t')[0]);
    const before = await size();
    const result = engine.images.prune(new Map(), never);
    expect(result.ImagesDeleted?.[0]).toEqual({ Deleted: child.id });
    // The unpacked layer and the configuration; its tar was never kept.
    expect(result.SpaceReclaimed).toBe(2_000_000 + child.config.length);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(before - (await size())).toBe(child.config.length);
    expect(engine.images.prune(new Map([['dangling', ['false']]]), never).ImagesDeleted).toBeNull();
    await whole(engine);
  });

  it('import a root, commit on top of it, and say how they were made', async () => {
    await using engine = await startEngine();
    const imported = {
      source: '-',
      body: stream(gzipSync(busyboxLayer())),
      repo: 'made',
      tag: '1',
      message: '',
      changes: ['ENV A=b C="d e"', 'CMD ["sh"]', 'EXPOSE 80 443/udp'],
    };
    await engine.images.import(imported, quiet, never);
    const image: Image = engine.images.get('made:1');
    expect(image.config.config).toEqual({
      Env: ['A=b', 'C=d e'],
      Cmd: ['sh'],
      ExposedPorts: { '80/tcp': {}, '443/udp': {} },
    });
    engine.snapshots.prepare('c', image.chainId);
    writeFileSync(`${engine.snapshots.upperDir('c')}/made`, 'by the container');
    expect(await engine.snapshots.changes('c')).toEqual([{ path: '/made', kind: 1 }]);
    const request = {
      parent: image.id,
      diff: engine.snapshots.diffTar('c', never),
      config: { ...image.config.config },
      changes: ['LABEL a=b'],
      reference: 'made:2',
      author: 'me',
      comment: 'why',
    };
    const id = await engine.images.commit(request, never);
    expect(engine.images.get('made:2')).toMatchObject({ id, size: image.size + 16 });
    expect(engine.images.inspect(id)).toMatchObject({ Parent: image.id, Author: 'me', Comment: 'why' });
    expect(engine.images.history(id).map(({ Id, Tags, Comment }) => [Id, Tags, Comment])).toEqual([
      [id, ['made:2'], 'why'],
      [image.id, ['made:1'], 'Imported from -'],
    ]);
    expect(() => engine.images.remove('made:1', {})).not.toThrow();
    expect(() => engine.images.remove(image.id, { force: true })).toThrow(/image has dependent child images/);
    const { chainId } = engine.images.get(id);
    engine.snapshots.prepare('d', chainId);
    mkdirSync(`${engine.root}/mnt`);
    engine.snapshots.mount('d', `${engine.root}/mnt`);
    try {
      expect(execFileSync('chroot', [`${engine.root}/mnt`, '/bin/cat', '/made'], { encoding: 'utf8' })).toBe(
        'by the container',
      );
      expect(await engine.snapshots.changes('d')).toEqual([]);
    } finally {
      engine.snapshots.unmount(`${engine.root}/mnt`);
    }
    await whole(engine);
  });

  it('mount with more layers than one page of options would hold by full paths', async () => {
    await using engine = await startEngine();
    const layers = Array.from({ length: 127 }, (_, index) =>
      tarOf({ [`file${index}`]: String(index), same: String(index) }),
    );
    await load(engine, [imageOf([...layers, layers[0]!]), 'tall:1']);
    engine.snapshots.prepare('tall', engine.images.get('tall:1').chainId);
    mkdirSync(`${engine.root}/mnt`);
    engine.snapshots.mount('tall', `${engine.root}/mnt`);
    try {
      // The first layer comes again as the last one: its files win.
      expect(execFileSync('cat', [`${engine.root}/mnt/same`, `${engine.root}/mnt/file126`], { encoding: 'utf8' })).toBe(
        '0126',
      );
    } finally {
      engine.snapshots.unmount(`${engine.root}/mnt`);
    }
  });

  it('are preloaded once: what a user removes stays away', async () => {
    const folder = mkdtempSync(`${tmpdir()}/skiff-preload-`);
    writeFileSync(`${folder}/welcome.tar`, dockerArchive([{ image: base, tags: ['skiff/welcome:latest'] }]));
    const root = `${folder}/root`;
    try {
      for (const expected of [1, 0]) {
        await using engine = await startEngine({ root });
        await engine.images.loadPreloaded(folder);
        expect(ids(engine)).toHaveLength(expected);
        if (expected) engine.images.remove('skiff/welcome', {});
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it('survive any order of load, tag, remove and prune at the same time', async () => {
    await using engine = await startEngine();
    const images = Array.from({ length: 6 }, (_, index) =>
      imageOf([
        base.layers[0]!,
        tarOf({ [`f${index % 3}`]: noise(200_000, (index % 3) + 1) }),
        tarOf({ n: String(index) }),
      ]),
    );
    let seed = 42;
    const random = (limit: number) => {
      seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
      return seed % limit;
    };
    const actions = [
      async (index: number) => load(engine, [images[index]!, `r${index}:1`]),
      async (index: number) => load(engine, [images[index]!, `r${index}:1`]),
      async (index: number) => void engine.images.remove(`r${index}:1`, {}),
      async (index: number) => void engine.images.remove(images[index]!.id, { force: true }),
      async (index: number) => engine.images.tag(images[index]!.id, `t${index}`, undefined),
      async () => void engine.images.prune(new Map([['dangling', ['false']]]), never),
      async (index: number) => {
        const key = `k${index}`;
        engine.snapshots.remove(key);
        engine.snapshots.prepare(key, engine.images.get(images[index]!.id).chainId);
      },
    ];
    for (let round = 0; round < 12; round++) {
      const work = Array.from({ length: 6 }, async () => {
        await new Promise((resolve) => setTimeout(resolve, random(10)));
        await actions[random(actions.length)]!(random(images.length)).catch((error: { kind?: string }) => {
          if (error.kind !== 'notFound' && error.kind !== 'conflict') throw error;
        });
      });
      await Promise.all(work);
      expect(await engine.images.check()).toEqual([]);
      for (let index = 0; index < images.length; index++) {
        if (engine.snapshots.hasSnapshot(`k${index}`)) engine.snapshots.lowerDirs(`k${index}`);
      }
    }
    await whole(engine);
  });

  it('are whole after the engine was killed at any moment of a load', async () => {
    const folder = mkdtempSync(`${tmpdir()}/skiff-killed-`);
    const root = `${folder}/root`;
    writeFileSync(`${folder}/image.tar`, dockerArchive([{ image: child, tags: ['child:1'] }]));
    try {
      for (const delay of [0, 30, 60, 100, 150, 200, 300]) {
        const victim = fork(new URL('./load-and-die.ts', import.meta.url).pathname, [root, `${folder}/image.tar`], {
          stdio: 'ignore',
        });
        await new Promise((resolve) => victim.once('message', resolve));
        await new Promise((resolve) => setTimeout(resolve, delay));
        const gone = new Promise((resolve) => victim.once('exit', resolve));
        victim.kill('SIGKILL');
        await gone;
        await using engine = await startEngine({ root, keep: true });
        await whole(engine);
        expect(engine.images.unfinished().filter((name) => !name.startsWith('removed-'))).toEqual([]);
        await load(engine, [child, 'child:1']);
        engine.images.remove('child:1', {});
        await whole(engine);
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
