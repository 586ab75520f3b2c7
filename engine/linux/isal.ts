import { gzipSync } from 'node:zlib';

import koffi from 'koffi';

/**
 * Intel's ISA-L through FFI, where it is installed (libisal.so.2; the VM has it): inflates and deflates three to five times
 * as fast as zlib, without a program and pipes in between. Its two state structs are plain memory here, with fields at
 * the offsets of igzip_lib.h; a trial at first use says whether they are what the installed library means by them.
 */

type Native = (state: Buffer) => number;

interface Library {
  readonly inflateInit: Native;
  readonly inflate: Native;
  readonly deflateInit: Native;
  readonly deflate: Native & { async(state: Buffer, done: (error: Error | null, result: number) => void): void };
}

/** struct inflate_state */
const INFLATE = {
  size: 128 * 1024,
  nextOut: 0,
  availOut: 8,
  nextIn: 16,
  availIn: 32,
  blockState: 21_160,
  checksum: 21_172,
};
/** struct isal_zstream */
const DEFLATE = {
  size: 128 * 1024,
  nextIn: 0,
  availIn: 8,
  nextOut: 16,
  availOut: 24,
  level: 40,
  levelSize: 44,
  levelBuffer: 48,
  endOfStream: 56,
  flush: 58,
};
const GZIP = 1;
const FULL_FLUSH = 2;
const BLOCK_FINISH = 5;
/** As small as zlib's level 2. */
const LEVEL = 2;
/** ISAL_DEF_LVL2_DEFAULT */
const LEVEL_BUFFER = 331_776;
const OUTPUT = 512 * 1024;

let loaded: Library | false | undefined;

function library(): Library | undefined {
  loaded ??= load();
  return loaded || undefined;
}

function load(): Library | false {
  try {
    const isal = koffi.load('libisal.so.2');
    loaded = {
      inflateInit: isal.func('void isal_inflate_init(void *state)'),
      inflate: isal.func('int isal_inflate(void *state)'),
      deflateInit: isal.func('void isal_deflate_stateless_init(void *stream)'),
      deflate: isal.func('int isal_deflate_stateless(void *stream)') as unknown as Library['deflate'],
    };
    return passesTrial(loaded) && loaded;
  } catch {
    return false;
  }
}

function passesTrial({ deflateInit, deflate }: Library): boolean {
  const text = Buffer.from(Array.from({ length: 20_000 }, (_unused, index) => `${index * index}\n`).join(''));
  const packed = gzipSync(text);
  const inflater = new Inflater();
  const pieces: Buffer[] = [];
  for (const part of [packed.subarray(0, 1_000), packed.subarray(1_000)])
    for (const piece of inflater.push(part)) pieces.push(Buffer.from(piece));
  inflater.end();
  const stream = new DeflateStream(text.length);
  stream.prepare(deflateInit, text.length);
  text.copy(stream.input);
  return Buffer.concat(pieces).equals(text) && deflate(stream.state) === 0 && stream.output(text.length).length > 100;
}

export const hasIsal = (): boolean => library() !== undefined;

const point = (struct: Buffer, at: number, target: Buffer) => struct.writeBigUInt64LE(koffi.address(target), at);

/** Inflates a gzip stream of one or more members, checking their checksums, as zlib's gunzip does: what follows that is no member is ignored. */
export class Inflater {
  readonly #state = Buffer.alloc(INFLATE.size);
  readonly #output = Buffer.allocUnsafeSlow(OUTPUT);
  readonly #native: Library;
  #phase: 'start' | 'member' | 'between' | 'garbage' = 'start';

  /** Throws when the library is not there: ask hasIsal. */
  constructor() {
    const native = library();
    if (!native) throw new Error('libisal is not installed');
    this.#native = native;
  }

  /** What `input` inflates to; each piece is valid until the next one is asked for. Throws with zlib's codes. */
  *push(input: Buffer): Generator<Buffer> {
    const state = this.#state;
    let left = input;
    while (left.length > 0) {
      if (this.#phase !== 'member' && !this.#beginMember(left)) return;
      point(state, INFLATE.nextIn, left);
      state.writeUInt32LE(left.length, INFLATE.availIn);
      for (;;) {
        point(state, INFLATE.nextOut, this.#output);
        state.writeUInt32LE(OUTPUT, INFLATE.availOut);
        const result = this.#native.inflate(state);
        if (result < 0) throw corrupt(result);
        const room = state.readUInt32LE(INFLATE.availOut);
        if (room < OUTPUT) yield this.#output.subarray(0, OUTPUT - room);
        if (state.readUInt32LE(INFLATE.blockState) === BLOCK_FINISH) {
          this.#phase = 'between';
          break;
        }
        if (room > 0) break;
      }
      const rest = state.readUInt32LE(INFLATE.availIn);
      left = rest === 0 ? left.subarray(left.length) : left.subarray(left.length - rest);
    }
  }

  /** @returns false when what follows is no member */
  #beginMember(left: Buffer): boolean {
    if (this.#phase === 'garbage') return false;
    if (this.#phase === 'between' && left[0] !== 0x1f) {
      this.#phase = 'garbage';
      return false;
    }
    this.#native.inflateInit(this.#state);
    this.#state.writeUInt32LE(GZIP, INFLATE.checksum);
    this.#phase = 'member';
    return true;
  }

  /** Throws when the stream ended inside a member. */
  end(): void {
    if (this.#phase === 'start' || this.#phase === 'member')
      throw Object.assign(new Error('unexpected end of file'), { code: 'Z_BUF_ERROR' });
  }
}

const REASONS: Readonly<Record<number, string>> = {
  [-1]: 'invalid block type',
  [-2]: 'invalid code',
  [-3]: 'invalid distance too far back',
  [-4]: 'incorrect header check',
  [-5]: 'unknown compression method',
  [-6]: 'incorrect data check',
};

const corrupt = (result: number) =>
  Object.assign(new Error(REASONS[result] ?? 'invalid data'), { code: 'Z_DATA_ERROR' });

/** Deflates blocks of up to a fixed size, each independent of the others, ending at a byte and not ending the stream. */
export class BlockDeflater {
  readonly #native: Library;
  readonly #stream: DeflateStream;

  /** @param size of the largest block. Throws when the library is not there: ask hasIsal. */
  constructor(size: number) {
    const native = library();
    if (!native) throw new Error('libisal is not installed');
    this.#native = native;
    this.#stream = new DeflateStream(size);
  }

  /** Where the block has to be when `deflate` is called, and until it resolves. */
  get input(): Buffer {
    return this.#stream.input;
  }

  /** Deflates the first `length` bytes of the input on a thread of the pool. The result is the caller's. */
  deflate(length: number): Promise<Buffer> {
    const stream = this.#stream;
    stream.prepare(this.#native.deflateInit, length);
    return new Promise((resolve, reject) => {
      this.#native.deflate.async(stream.state, (error, result) => {
        if (error) reject(error);
        else if (result !== 0) reject(new Error(`libisal: deflate failed (${result})`));
        else resolve(Buffer.from(stream.output(length)));
      });
    });
  }
}

class DeflateStream {
  readonly state = Buffer.alloc(DEFLATE.size);
  readonly input: Buffer;
  readonly #level = Buffer.alloc(LEVEL_BUFFER);
  readonly #output: Buffer;

  constructor(size: number) {
    this.input = Buffer.allocUnsafeSlow(size);
    // What can't be compressed is stored, with five bytes for each 64 KB.
    this.#output = Buffer.allocUnsafeSlow(size + (size >> 8) + 4_096);
  }

  prepare(init: Native, length: number): void {
    const { state } = this;
    init(state);
    state.writeUInt32LE(LEVEL, DEFLATE.level);
    state.writeUInt32LE(LEVEL_BUFFER, DEFLATE.levelSize);
    point(state, DEFLATE.levelBuffer, this.#level);
    state.writeUInt16LE(0, DEFLATE.endOfStream);
    state.writeUInt16LE(FULL_FLUSH, DEFLATE.flush);
    point(state, DEFLATE.nextIn, this.input);
    state.writeUInt32LE(length, DEFLATE.availIn);
    point(state, DEFLATE.nextOut, this.#output);
    state.writeUInt32LE(this.#output.length, DEFLATE.availOut);
  }

  /** What was written for a block of `length` bytes, all of which must have been taken. */
  output(length: number): Buffer {
    const left = this.state.readUInt32LE(DEFLATE.availIn);
    if (left !== 0) throw new Error(`libisal: ${left} of ${length} bytes were not deflated`);
    return this.#output.subarray(0, this.#output.length - this.state.readUInt32LE(DEFLATE.availOut));
  }
}
