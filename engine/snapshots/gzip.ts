import { type FileHandle, open } from 'node:fs/promises';
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
 * Compresses a file to one gzip member on all processors: blocks are deflated side by side and joined. The same file gives
 * the same bytes on the same machine.
 * @param parallel blocks at a time
 * @param isal by libisal, where it is installed; else by zlib
 */
export async function* gzipFile(path: string, parallel: number, isal = hasIsal()): AsyncGenerator<Buffer> {
  const file = await open(path, 'r');
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
  try {
    yield HEADER;
    for (;;) {
      if (idle.length === 0) yield await take();
      const deflater = idle.pop() as Deflater;
      const length = await fill(file, deflater.input);
      if (length === 0) break;
      check = crc32(deflater.input.subarray(0, length), check);
      size += length;
      const result = deflater.deflate(length);
      result.catch(() => undefined);
      running.push({ deflater, result });
    }
    while (running.length > 0) yield await take();
    yield END;
    const trailer = Buffer.alloc(8);
    trailer.writeUInt32LE(check, 0);
    trailer.writeUInt32LE(size % 2 ** 32, 4);
    yield trailer;
  } finally {
    // Their memory is in use until they are through.
    await Promise.allSettled(running.map(({ result }) => result));
    await file.close();
  }
}

/** @returns how many bytes there were; less than the buffer holds only at the end of the file */
async function fill(file: FileHandle, buffer: Buffer): Promise<number> {
  let length = 0;
  while (length < buffer.length) {
    const { bytesRead } = await file.read(buffer, length, buffer.length - length);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return length;
}
