import { execFileSync } from 'node:child_process';
import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';

import { describe, expect, it } from 'vitest';

import { digestHex, digestOf } from '../../engine/store/digest.ts';
import { startEngine, type TestEngine } from './engine.ts';
import { dockerArchive, imageOf, noise, tarOf } from './fixtures.ts';
import { startRegistry } from './registry.ts';

const isRoot = process.getuid?.() === 0;
const never = new AbortController().signal;

async function load(engine: TestEngine, layer: Buffer): Promise<void> {
  const archive = dockerArchive([{ image: imageOf([layer]), tags: ['it:1'] }]);
  const body = (async function* () {
    for (let at = 0; at < archive.length; at += 50_021) yield archive.subarray(at, at + 50_021);
  })();
  await engine.images.load(body, { quiet: true }, () => undefined, never);
}

/** The layer as `docker save` gives it. */
async function saved(engine: TestEngine, layer: Buffer): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of await engine.images.save(['it:1'], undefined, never)) pieces.push(Buffer.from(piece));
  const name = `blobs/sha256/${digestHex(digestOf(layer))}`;
  return execFileSync('tar', ['-xO', name], { input: Buffer.concat(pieces), maxBuffer: 1 << 28 });
}

const blobs = (engine: TestEngine) => readdirSync(`${engine.root}/content/blobs/sha256`);
const layerFolder = (engine: TestEngine) => engine.snapshots.chainDirs(engine.images.get('it:1').chainId!)[0]!;

/** What GNU tar makes of links, holes, long names and a name that is not UTF-8. */
function gnuTar(root: string, format: string): Buffer {
  const folder = `${root}/tree`;
  mkdirSync(`${folder}/${'d'.repeat(90)}/${'e'.repeat(90)}`, { recursive: true });
  writeFileSync(`${folder}/${'d'.repeat(90)}/${'e'.repeat(90)}/long`, noise(70_000));
  writeFileSync(`${folder}/empty`, '');
  writeFileSync(`${folder}/large`, noise(1_300_000));
  writeFileSync(Buffer.from(`${folder}/b\xffd`, 'latin1'), 'not utf-8');
  linkSync(`${folder}/large`, `${folder}/second`);
  symlinkSync('large', `${folder}/soft`);
  writeFileSync(`${folder}/sparse`, 'x');
  truncateSync(`${folder}/sparse`, 3_000_000);
  return execFileSync('tar', ['-C', folder, '-cS', `--format=${format}`, '.'], { maxBuffer: 1 << 28 });
}

describe.runIf(isRoot)('the tar of a layer', () => {
  it.each(['gnu', 'pax'])(
    'comes back byte for byte from its folder, and is not kept beside it (%s)',
    async (format) => {
      await using engine = await startEngine();
      const layer = gnuTar(engine.root, format);
      await load(engine, layer);
      expect(blobs(engine)).not.toContain(digestHex(digestOf(layer)));
      expect((await saved(engine, layer)).equals(layer)).toBe(true);
      expect(await engine.images.check(true)).toEqual([]);
    },
  );

  it('is kept when the folder does not hold all of it', async () => {
    await using engine = await startEngine();
    const layer = Buffer.concat([tarOf({ a: 'first' }).subarray(0, 1024), tarOf({ a: 'second', b: 'b' })]);
    await load(engine, layer);
    expect(readFileSync(`${layerFolder(engine)}/a`, 'utf8')).toBe('second');
    expect(blobs(engine)).toContain(digestHex(digestOf(layer)));
    expect((await saved(engine, layer)).equals(layer)).toBe(true);
    expect(await engine.images.check(true)).toEqual([]);
  });

  it('a second load of it changes nothing, and removing the image leaves nothing', async () => {
    await using engine = await startEngine();
    const layer = tarOf({ 'etc/': '', 'etc/a': noise(300_000), 'etc/.wh.gone': '' });
    await load(engine, layer);
    await load(engine, layer);
    expect(blobs(engine)).not.toContain(digestHex(digestOf(layer)));
    engine.images.remove('it:1', {});
    await engine.snapshots.settled();
    for (const folder of ['o', 'l', 'tmp']) expect(readdirSync(`${engine.root}/snapshots/${folder}`)).toEqual([]);
    expect(await engine.images.check(true)).toEqual([]);
  });

  it('of a build step is its folder’s, with capitals, links and whiteouts', async () => {
    await using engine = await startEngine();
    engine.snapshots.prepare('step', undefined);
    const upper = engine.snapshots.upperDir('step');
    mkdirSync(`${upper}/deep/er`, { recursive: true });
    writeFileSync(`${upper}/deep/er/File`, noise(200_000));
    writeFileSync(`${upper}/deep/tiny`, 'x');
    linkSync(`${upper}/deep/tiny`, `${upper}/other`);
    execFileSync('mknod', [`${upper}/deep/gone`, 'c', '0', '0']);
    const pieces: Buffer[] = [];
    for await (const piece of engine.snapshots.diffTar('step', never)) pieces.push(Buffer.from(piece));
    const tar = Buffer.concat(pieces);
    const outlined = await engine.snapshots.outlineDiff('step', never);
    expect(outlined).toMatchObject({ diffId: digestOf(tar), tarSize: tar.length });
    engine.snapshots.adopt('step', outlined, 200_001);
    const again: Buffer[] = [];
    for await (const piece of engine.snapshots.layerTar(outlined.diffId, never)!) again.push(Buffer.from(piece));
    expect(Buffer.concat(again).equals(tar)).toBe(true);
    expect(existsSync(outlined.outline)).toBe(false);
  });

  it('goes to a registry as it is when the image came with a manifest that names it', async () => {
    await using engine = await startEngine();
    await using registry = await startRegistry();
    const layer = tarOf({ 'etc/': '', 'etc/a': noise(400_000), b: 'b' });
    await load(engine, layer);
    const pieces: Buffer[] = [];
    for await (const piece of await engine.images.save(['it:1'], undefined, never)) pieces.push(Buffer.from(piece));
    engine.images.remove('it:1', {});
    // What we save has an OCI layout, whose manifest has the plain layers.
    const body = (async function* () {
      yield* pieces;
    })();
    await engine.images.load(body, { quiet: true }, () => undefined, never);
    const ref = `${registry.host}/plain`;
    engine.images.tag('it:1', ref, '1');
    await engine.images.push({ image: ref, tag: '1' }, () => undefined, never);
    await using other = await startEngine();
    await other.images.pull({ image: `${ref}:1` }, () => undefined, never);
    expect(other.images.get(`${ref}:1`).id).toBe(engine.images.get('it:1').id);
    expect(await other.images.check(true)).toEqual([]);
  });

  it('an altered folder is an error, not another tar', async () => {
    await using engine = await startEngine();
    const layer = tarOf({ a: noise(10_000), b: 'b' });
    await load(engine, layer);
    truncateSync(`${layerFolder(engine)}/a`, 9_999);
    await expect(saved(engine, layer)).rejects.toThrow('layer is damaged: a is shorter than it was');
    expect(await engine.images.check(true)).toEqual([
      `blob ${digestOf(layer)} can't be read: layer is damaged: a is shorter than it was`,
    ]);
  });
});
