import { promisify } from 'node:util';
import { constants, crc32, deflateRaw, type InputType, type ZlibOptions } from 'node:zlib';

import { BlockDeflater, hasIsal } from '../linux/isal.ts';

const deflate = promisify(deflateRaw) as (data: InputType, options: ZlibOptions) => Promise<Buffer>;

const BLOCK = 1024 * 1024;
/** Pushed layers cross networks: between speed and size, nearer to speed. */
const LEVEL = 2;
const HEADER = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]);
/** An empty last block. */
const END = Buffer.from([3, 0]);

interface Deflater {
  /** Where a block has to be; untouched until `deflate` resolves. */
  readonly input: Buffer;
  deflate(length: number): Promise<Buffer>;
}

class ZlibDeflater implements Deflater {
  readonly input = Buffer.allocUnsafeSlow(BLOCK);

  deflate(length: number): Promise<Buffer> {
    return deflate(this.input.subarray(0, length), { level: LEVEL, finishFlush: constants.Z_FULL_FLUSH });
  }
}

/**
 * Compresses to one gzip member on all processors: blocks are deflated side by side and joined. The same bytes, however cut,
 * give the same bytes on the same machine.
 * @param source its chunks need be valid only until the next one is asked for
 * @param parallel blocks at a time
 * @param isal by libisal, where it is installed; else by zlib
 */
export async function* gzip(source: AsyncIterable<Buffer>, parallel: number, isal = hasIsal()): AsyncGenerator<Buffer> {
  const idle: Deflater[] = Array.from({ length: parallel + 1 }, () =>
    isal ? new BlockDeflater(BLOCK) : new ZlibDeflater(),
  );
  const running: { deflater: Deflater; result: Promise<Buffer> }[] = [];
  const take = async (): Promise<Buffer> => {
    const { deflater, result } = running.shift() as (typeof running)[number];
    const piece = await result;
    idle.push(deflater);
    return piece;
  };
  let check = 0;
  let size = 0;
  let deflater = idle.pop() as Deflater;
  let filled = 0;
  const start = (): void => {
    check = crc32(deflater.input.subarray(0, filled), check);
    const result = deflater.deflate(filled);
    result.catch(() => undefined);
    running.push({ deflater, result });
    filled = 0;
  };
  try {
    yield HEADER;
    for await (const chunk of source) {
      size += chunk.length;
      for (let at = 0; at < chunk.length; ) {
        const copied = chunk.copy(deflater.input, filled, at);
        at += copied;
        filled += copied;
        if (filled < BLOCK) continue;
        start();
        if (idle.length === 0) yield await take();
        deflater = idle.pop() as Deflater;
      }
    }
    if (filled > 0) start();
    while (running.length > 0) yield await take();
    yield END;
    const trailer = Buffer.alloc(8);
    trailer.writeUInt32LE(check, 0);
    trailer.writeUInt32LE(size % 2 ** 32, 4);
    yield trailer;
  } finally {
    // Their memory is in use until they are through.
    await Promise.allSettled(running.map(({ result }) => result));
  }
}
