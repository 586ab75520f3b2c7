import { execFileSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { gzipSync, zstdCompressSync } from 'node:zlib';

import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';

import { getXattr } from '../../engine/linux/xattr.ts';
import { UnpackPool } from '../../engine/snapshots/unpack.ts';
import { digestOf } from '../../engine/store/digest.ts';
import { type Files, noise, tarOf } from './fixtures.ts';

const isRoot = process.getuid?.() === 0;
const pool = new UnpackPool(2);
let folder = '';

beforeEach(() => {
  folder = mkdtempSync(`${tmpdir()}/skiff-unpack-`);
  mkdirSync(`${folder}/layer`);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));
afterAll(() => pool.close());

async function unpackBytes(bytes: Buffer, options: Parameters<UnpackPool['unpack']>[2] = {}) {
  writeFileSync(`${folder}/blob`, bytes);
  return pool.unpack({ path: `${folder}/blob` }, `${folder}/layer`, options);
}
const unpack = (files: Files) => unpackBytes(tarOf(files));
function emptyLayer(): void {
  rmSync(`${folder}/layer`, { recursive: true, force: true });
  mkdirSync(`${folder}/layer`);
}
const at = (path: string) => `${folder}/layer/${path}`;
const outside = () => existsSync(`${folder}/evil`) || existsSync('/evil-skiff');

describe.runIf(isRoot)('unpacking a layer', () => {
  it('keeps content, modes, owners and times', async () => {
    const result = await unpack({
      'bin/': { type: 'directory', mode: 0o750, uid: 12, gid: 34, mtime: 1_000_000 },
      'bin/tool': { mode: 0o4755, uid: 1000, gid: 1001, mtime: 1_234_567, size: 0 },
      'bin/text': 'hello',
    });
    const tool = lstatSync(at('bin/tool'));
    expect([tool.mode & 0o7777, tool.uid, tool.gid, tool.mtimeMs]).toEqual([0o4755, 1000, 1001, 1_234_567_000]);
    const bin = lstatSync(at('bin'));
    expect([bin.mode & 0o7777, bin.uid, bin.gid, bin.mtimeMs]).toEqual([0o750, 12, 34, 1_000_000_000]);
    expect(readFileSync(at('bin/text'), 'utf8')).toBe('hello');
    expect(result).toMatchObject({ size: 5, entries: 3 });
  });

  it('makes hard links, symlinks, devices and fifos', async () => {
    await unpack({
      a: 'x',
      b: { type: 'link', linkName: 'a' },
      l: { type: 'symlink', mode: 0o777, linkName: '../../anywhere' },
      n: { type: 'char', mode: 0o666, major: 1, minor: 3 },
      p: { type: 'fifo', mode: 0o600 },
    });
    expect(lstatSync(at('a')).ino).toBe(lstatSync(at('b')).ino);
    expect(readlinkSync(at('l'))).toBe('../../anywhere');
    expect(lstatSync(at('n')).rdev).toBe(lstatSync('/dev/null').rdev);
    expect(lstatSync(at('p')).isFIFO()).toBe(true);
  });

  it('turns whiteouts into 0/0 devices and opaque markers into the attribute', async () => {
    await unpack({ 'etc/': '', 'etc/.wh.gone': '', 'var/': '', 'var/.wh..wh..opq': '', 'var/.wh..wh.plnk': '' });
    const gone = lstatSync(at('etc/gone'));
    expect([gone.isCharacterDevice(), gone.rdev]).toEqual([true, 0]);
    expect(getXattr(at('var'), 'trusted.overlay.opaque')?.toString()).toBe('y');
    expect(existsSync(at('var/.wh..wh.plnk'))).toBe(false);
  });

  it('hides what lies below a directory that replaces a whiteout of the same layer', async () => {
    await unpack({ '.wh.opt': '', 'opt/': '', 'opt/new': 'x' });
    expect(getXattr(at('opt'), 'trusted.overlay.opaque')?.toString()).toBe('y');
    expect(readFileSync(at('opt/new'), 'utf8')).toBe('x');
  });

  it('keeps capabilities and user attributes but never overlay’s own', async () => {
    const capability = Buffer.from('AQAAAgAEAAAAAAAAAAAAAAAAAAA=', 'base64');
    await unpack({
      ping: {
        mode: 0o755,
        size: 0,
        xattrs: new Map([
          ['security.capability', capability],
          ['user.note', Buffer.from('hi')],
          ['trusted.overlay.redirect', Buffer.from('/etc')],
        ]),
      },
    });
    expect(getXattr(at('ping'), 'security.capability')).toEqual(capability);
    expect(getXattr(at('ping'), 'user.note')?.toString()).toBe('hi');
    expect(getXattr(at('ping'), 'trusted.overlay.redirect')).toBeUndefined();
  });

  it.each([
    ['a name that climbs out', { '../evil': 'x' }],
    ['a name that climbs out through a directory', { 'a/': '', 'a/../../evil': 'x' }],
    ['a whiteout of the parent', { 'a/': '', 'a/.wh...': '' }],
    ['a hard link to a name outside', { h: { type: 'link', linkName: '../../etc/passwd' } as const }],
  ])('refuses %s', async (_what, files) => {
    await expect(unpack(files as Files)).rejects.toThrow(/outside of the layer|invalid whiteout/);
    expect(outside()).toBe(false);
  });

  it.each([
    ['an absolute symlink', '/'],
    ['a relative symlink', '../../../../../..'],
  ])('keeps a file that is written through %s inside the layer', async (_what, linkName) => {
    await unpack({ out: { type: 'symlink', mode: 0o777, linkName }, 'out/evil-skiff': 'x', 'out/sub/': '' });
    expect(readFileSync(at('evil-skiff'), 'utf8')).toBe('x');
    expect(outside()).toBe(false);
  });

  it('follows chains of symlinks inside the layer only, and gives up on loops', async () => {
    const link = (linkName: string) => ({ type: 'symlink', mode: 0o777, linkName }) as const;
    await unpack({ a: link('b/..'), b: link('/c'), 'a/file': 'x' });
    expect(readFileSync(at('file'), 'utf8')).toBe('x');
    emptyLayer();
    await expect(unpack({ x: link('y'), y: link('x'), 'x/file': '' })).rejects.toThrow(/too many levels/);
  });

  it('does not write through a hard link to a symlink', async () => {
    await unpack({
      s: { type: 'symlink', mode: 0o777, linkName: `${folder}/evil` },
      h: { type: 'link', linkName: 's' },
      'h ': 'y',
    });
    await expect(Promise.resolve(outside())).resolves.toBe(false);
    // A file of the link's own name replaces it.
    emptyLayer();
    const twice = Buffer.concat([
      tarOf({
        s: { type: 'symlink', mode: 0o777, linkName: `${folder}/evil` },
        h: { type: 'link', linkName: 's' },
      }).subarray(0, 1024),
      tarOf({ h: 'content' }),
    ]);
    await unpackBytes(twice);
    expect(readFileSync(at('h'), 'utf8')).toBe('content');
    expect(outside()).toBe(false);
  });

  it('reads what GNU tar writes: long names, sparse files in all formats, names that are not UTF-8', async () => {
    const source = `${folder}/source`;
    const long = `${'d'.repeat(120)}/${'f'.repeat(150)}`;
    mkdirSync(`${source}/${'d'.repeat(120)}`, { recursive: true });
    writeFileSync(`${source}/${long}`, 'long');
    execFileSync('truncate', ['-s', '8M', `${source}/sparse`]);
    execFileSync('sh', ['-c', `printf data | dd of=${source}/sparse bs=1 seek=5000000 conv=notrunc 2>/dev/null`]);
    const raw = Buffer.concat([Buffer.from(`${source}/`), Buffer.from([0x66, 0xff, 0xfe])]);
    writeFileSync(raw, 'raw');
    for (const format of [
      ['--format=gnu'],
      ['--format=posix', '--sparse-version=0.0'],
      ['--format=posix', '--sparse-version=0.1'],
      ['--format=posix', '--sparse-version=1.0'],
    ]) {
      emptyLayer();
      execFileSync('tar', [...format, '-cSf', `${folder}/made.tar`, '-C', source, '.']);
      await unpackBytes(readFileSync(`${folder}/made.tar`));
      expect(readFileSync(at(long), 'utf8')).toBe('long');
      const sparse = lstatSync(at('sparse'));
      expect([sparse.size, sparse.blocks < 100]).toEqual([8 * 1024 * 1024, true]);
      expect(readFileSync(at('sparse')).subarray(5_000_000, 5_000_004).toString()).toBe('data');
      expect(readFileSync(Buffer.concat([Buffer.from(at('')), Buffer.from([0x66, 0xff, 0xfe])]), 'utf8')).toBe('raw');
      execFileSync('diff', ['-r', '--no-dereference', source, `${folder}/layer`]);
    }
  });

  it.each([
    ['gzip', gzipSync],
    ['zstd', zstdCompressSync],
    ['none', (bytes: Buffer) => bytes],
  ])('verifies the diff id of a %s layer', async (_name, compress) => {
    const tar = tarOf({ file: noise(3_000_000) });
    const good = await unpackBytes(compress(tar), { diffId: digestOf(tar) });
    expect(good.diffId).toBe(digestOf(tar));
    emptyLayer();
    await expect(unpackBytes(compress(tar), { diffId: digestOf('other') })).rejects.toThrow(/diffID mismatch/);
  });

  it.each([
    ['a truncated gzip stream', () => gzipSync(tarOf({ file: noise(500_000) })).subarray(0, 200_000)],
    [
      'a gzip stream with a wrong byte',
      () => {
        const bytes = gzipSync(tarOf({ file: 'abc'.repeat(100_000) }));
        bytes[bytes.length - 20] = (bytes[bytes.length - 20] as number) ^ 0xff;
        return bytes;
      },
    ],
    ['a truncated zstd stream', () => zstdCompressSync(tarOf({ file: noise(500_000) })).subarray(0, 200_000)],
    ['an archive that ends inside a file', () => tarOf({ file: noise(500_000) }).subarray(0, 100_000)],
    [
      'a wrong header checksum',
      () => {
        const bytes = tarOf({ file: 'x' });
        bytes[0] = 0x79;
        return bytes;
      },
    ],
  ])('fails on %s', async (_what, make) => {
    await expect(unpackBytes(make())).rejects.toThrow();
  });

  it('stops a bomb before the disk is full', async () => {
    const limits = { reserveBytes: Number.MAX_SAFE_INTEGER, reserveInodes: 0 };
    const bomb = gzipSync(tarOf({ zeros: Buffer.alloc(80 * 1024 * 1024) }), { level: 1 });
    await expect(unpackBytes(bomb, { limits })).rejects.toThrow(/no space left on device/);
  });

  it('stops when it is cancelled', async () => {
    const controller = new AbortController();
    const work = unpackBytes(tarOf({ zeros: Buffer.alloc(200 * 1024 * 1024) }), { signal: controller.signal });
    setTimeout(() => controller.abort(), 30);
    await expect(work).rejects.toMatchObject({ kind: 'cancelled' });
  });
});
