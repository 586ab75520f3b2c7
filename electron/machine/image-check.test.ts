import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkImage } from './image-check.ts';
import type { BootImage } from './types.ts';

let dir: string;
let image: BootImage;
const verified = () => join(dir, 'verified.json');

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'skiff-image-'));
  const files = Object.fromEntries(
    ['kernel', 'initramfs', 'root.erofs'].map((name) => {
      writeFileSync(join(dir, name), `the ${name}`);
      const sha256 = createHash('sha256').update(`the ${name}`).digest('hex');
      return [name, { size: `the ${name}`.length, sha256 }];
    }),
  );
  writeFileSync(join(dir, 'manifest.json'), JSON.stringify({ version: 'v1', files }));
  const path = (name: string) => join(dir, name);
  image = {
    version: 'v1',
    arch: 'x64',
    dir,
    kernel: path('kernel'),
    initramfs: path('initramfs'),
    rootfs: path('root.erofs'),
  };
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

describe('the image is checked before it is booted', () => {
  it('and passes as it was built, twice', async () => {
    await checkImage(image, verified());
    await checkImage(image, verified());
  });

  it('a file that is missing is found', async () => {
    rmSync(image.rootfs);
    await expect(checkImage(image, verified())).rejects.toMatchObject({ kind: 'image-corrupt', step: 'image' });
  });

  it('a file that was cut off is found', async () => {
    writeFileSync(image.kernel, 'the');
    await expect(checkImage(image, verified())).rejects.toThrow(/kernel has 3 bytes instead of 10/);
  });

  it('a file whose content has changed is found, also after it was good once', async () => {
    await checkImage(image, verified());
    writeFileSync(image.kernel, 'THE kernel');
    utimesSync(image.kernel, new Date(), new Date(Date.now() + 5_000));
    await expect(checkImage(image, verified())).rejects.toThrow(/content of kernel has changed/);
  });

  it('a missing manifest is found, and the hint names the folder to remove', async () => {
    rmSync(join(dir, 'manifest.json'));
    await expect(checkImage(image, verified())).rejects.toMatchObject({ hint: expect.stringContaining(dir) });
  });
});
