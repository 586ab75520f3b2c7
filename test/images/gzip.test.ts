import { gunzipSync, gzipSync } from 'node:zlib';

import { describe, expect, it } from 'vitest';
import { hasIsal, Inflater } from '../../engine/linux/isal.ts';
import { gzip } from '../../engine/snapshots/gzip.ts';
import { Random } from '../api/random.ts';

const random = new Random(7);

/** Half of it compresses, half doesn't. */
function content(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let at = 0; at < size; at += 64) {
    const noise = at % 2048 < 1024;
    for (let index = at; index < Math.min(at + 64, size); index++)
      bytes[index] = noise ? random.below(256) : index % 11;
  }
  return bytes;
}

function inflate(packed: Buffer, largestPart: number): Buffer {
  const inflater = new Inflater();
  const pieces: Buffer[] = [];
  for (let at = 0; at < packed.length; ) {
    const length = 1 + random.below(largestPart);
    for (const piece of inflater.push(packed.subarray(at, at + length))) pieces.push(Buffer.from(piece));
    at += length;
  }
  inflater.end();
  return Buffer.concat(pieces);
}

const code = (run: () => unknown): string | undefined => {
  try {
    run();
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code;
  }
};

async function* cut(bytes: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += 300_007) yield bytes.subarray(at, at + 300_007);
}

it.each([true, false])('a stream becomes one gzip member that others read (libisal: %s)', async (isal) => {
  for (const size of [0, 1, 1024 * 1024 - 1, 1024 * 1024, 3_500_000]) {
    const bytes = content(size);
    const pieces: Buffer[] = [];
    for await (const piece of gzip(cut(bytes), 2, isal)) pieces.push(piece);
    expect(gunzipSync(Buffer.concat(pieces)).equals(bytes)).toBe(true);
  }
});

describe('inflating by libisal', () => {
  it('is what the test runs with', () => expect(hasIsal()).toBe(true));

  it('gives what was compressed, however the stream is cut', () => {
    for (const [size, part] of [
      [0, 4],
      [1, 1],
      [5_000, 1],
      [300_000, 40],
      [3_000_000, 100_000],
    ] as const) {
      const bytes = content(size);
      for (const level of [1, 9]) expect(inflate(gzipSync(bytes, { level }), part).equals(bytes)).toBe(true);
    }
  });

  it('goes on through all members and leaves out what is none', () => {
    const parts = [content(100_000), content(1), content(0), content(70_000)];
    const packed = Buffer.concat([...parts.map((part) => gzipSync(part)), Buffer.alloc(1_000)]);
    for (const largest of [1, 7, 50_000]) expect(inflate(packed, largest).equals(Buffer.concat(parts))).toBe(true);
  });

  it('reads headers with a name, a comment and an extra field', () => {
    const packed = gzipSync('hello');
    const header = Buffer.from([0x1f, 0x8b, 8, 0x1c, 0, 0, 0, 0, 0, 3, 4, 0, 1, 2, 3, 4]);
    const named = Buffer.concat([header, Buffer.from('name\0comment\0'), packed.subarray(10)]);
    for (const largest of [1, 100]) expect(inflate(named, largest).toString()).toBe('hello');
  });

  it('a stream that ends early or has a wrong byte is an error with the code that zlib gives', () => {
    const packed = gzipSync(content(200_000));
    for (const length of [0, 5, 30, packed.length >> 1, packed.length - 1])
      expect(code(() => inflate(packed.subarray(0, length), 1_000))).toBe('Z_BUF_ERROR');
    const wrongSum = Buffer.from(packed);
    wrongSum[packed.length - 6]! ^= 1;
    expect(code(() => inflate(wrongSum, 1_000))).toBe('Z_DATA_ERROR');
    const noGzip = Buffer.from(packed);
    noGzip[0] = 0;
    expect(code(() => inflate(noGzip, 1_000))).toBe('Z_DATA_ERROR');
    for (let turn = 0; turn < 200; turn++) {
      const damaged = Buffer.from(packed);
      damaged[10 + random.below(packed.length - 20)]! ^= 1 + random.below(255);
      expect(code(() => inflate(damaged, 10_000))).toMatch(/^Z_(DATA|BUF)_ERROR$/);
    }
  });
});
