import { invalidParameter } from '../../errors.ts';

import { BLOCK, isKnownType, readHeader, readNumber, readText, type SparsePiece, type TarEntry } from './header.ts';
import { applyRecords, parseMap, parseRecords, type Records } from './pax.ts';

/** An entry begins, bytes of its data, or its end (also sent for entries without data). */
export type TarEvent =
  | { readonly kind: 'entry'; readonly entry: TarEntry }
  | { readonly kind: 'data'; readonly data: Buffer }
  | { readonly kind: 'end' };

/** Long names and extended records of one entry may not be larger, as in Go's archive/tar. */
const META_LIMIT = 1024 * 1024;
const SPARSE_LIMIT = 1_000_000;
const END: TarEvent = { kind: 'end' };

type State = 'header' | 'meta' | 'sparseHeader' | 'sparseMap' | 'data' | 'padding' | 'finished';

/**
 * A streaming tar parser: ustar, v7, GNU (long names, base-256, sparse) and pax. `push` takes the next bytes and yields
 * what they hold, synchronously, so that extraction costs no promise per file; consumers may await between events.
 */
export class TarReader {
  #state: State = 'header';
  readonly #block = Buffer.allocUnsafe(BLOCK);
  #filled = 0;
  /** Bytes left of the current meta body, data or padding. */
  #left = 0;
  #padding = 0;
  #metaFlag = '';
  #meta: Buffer[] = [];
  #longName: string | undefined;
  #longLink: string | undefined;
  #globals: Records = [];
  #records: Records = [];
  #entry: TarEntry | undefined;
  #pieces: SparsePiece[] = [];
  #realSize = 0;
  #mapText = '';
  #zeroBlocks = 0;

  /** True once the end mark was read. Archives without it end where their bytes end, as long as no entry is cut. */
  get finished(): boolean {
    return this.#state === 'finished';
  }

  *push(chunk: Buffer): Generator<TarEvent> {
    let at = 0;
    while (at < chunk.length) {
      switch (this.#state) {
        case 'finished':
          return;
        case 'data': {
          const take = Math.min(this.#left, chunk.length - at);
          yield { kind: 'data', data: chunk.subarray(at, at + take) };
          at += take;
          this.#left -= take;
          if (this.#left === 0) yield this.#endEntry();
          break;
        }
        case 'meta': {
          const take = Math.min(this.#left, chunk.length - at);
          this.#meta.push(Buffer.from(chunk.subarray(at, at + take)));
          at += take;
          this.#left -= take;
          if (this.#left === 0) this.#endMeta();
          break;
        }
        case 'padding': {
          const take = Math.min(this.#left, chunk.length - at);
          at += take;
          this.#left -= take;
          if (this.#left === 0) this.#state = 'header';
          break;
        }
        default: {
          const block = this.#takeBlock(chunk, at);
          at += block.taken;
          if (!block.bytes) break;
          if (this.#state === 'header') yield* this.#header(block.bytes);
          else if (this.#state === 'sparseHeader') yield* this.#sparseHeader(block.bytes);
          else yield* this.#sparseMap(block.bytes);
        }
      }
    }
  }

  /** Call when the bytes are over: an archive that stops inside an entry is broken. */
  finish(): void {
    if (this.#state === 'finished') return;
    if (this.#state === 'header' && this.#filled === 0 && !this.#hasMeta()) return;
    // A last padding that is missing loses nothing.
    if (this.#state === 'padding') return;
    throw invalidParameter('unexpected EOF');
  }

  #hasMeta(): boolean {
    return this.#longName !== undefined || this.#longLink !== undefined || this.#records.length > 0;
  }

  /** A whole block straight from the chunk where possible, else collected over chunks. */
  #takeBlock(chunk: Buffer, at: number): { bytes?: Buffer; taken: number } {
    if (this.#filled === 0 && chunk.length - at >= BLOCK) {
      return { bytes: chunk.subarray(at, at + BLOCK), taken: BLOCK };
    }
    const taken = Math.min(BLOCK - this.#filled, chunk.length - at);
    chunk.copy(this.#block, this.#filled, at, at + taken);
    this.#filled += taken;
    if (this.#filled < BLOCK) return { taken };
    this.#filled = 0;
    return { bytes: this.#block, taken };
  }

  *#header(block: Buffer): Generator<TarEvent> {
    if (block[0] === 0 && isZero(block)) {
      this.#zeroBlocks++;
      if (this.#zeroBlocks === 2) this.#state = 'finished';
      return;
    }
    this.#zeroBlocks = 0;
    const { flag, entry, prefix } = readHeader(block);
    if (flag === 'x' || flag === 'g' || flag === 'L' || flag === 'K') {
      if (entry.size > META_LIMIT) throw invalidParameter('archive/tar: header field too long');
      this.#metaFlag = flag;
      this.#meta = [];
      this.#left = entry.size;
      this.#padding = padding(entry.size);
      this.#state = 'meta';
      if (entry.size === 0) this.#endMeta();
      return;
    }
    if (!isKnownType(flag)) throw invalidParameter(`unhandled tar header type ${flag.charCodeAt(0)}`);
    yield* this.#begin(block, flag, entry, prefix);
  }

  *#begin(block: Buffer, flag: string, entry: TarEntry, prefix: string): Generator<TarEvent> {
    if (prefix) entry.name = `${prefix}/${entry.name}`;
    if (this.#longName !== undefined) entry.name = this.#longName;
    if (this.#longLink !== undefined) entry.linkName = this.#longLink;
    const sparse = applyRecords(entry, this.#globals.length > 0 ? [...this.#globals, ...this.#records] : this.#records);
    this.#longName = undefined;
    this.#longLink = undefined;
    this.#records = [];
    if (entry.type === 'file' && entry.name.endsWith('/') && !sparse && flag !== 'S') entry.type = 'directory';
    // Only regular files carry data, whatever a header claims.
    if (entry.type !== 'file') entry.size = 0;
    if (entry.size < 0) throw invalidParameter('archive/tar: invalid tar header');
    this.#entry = entry;
    this.#padding = padding(entry.size);
    this.#left = entry.size;
    if (flag === 'S') {
      this.#pieces = [];
      this.#realSize = readNumber(block, 483, 12);
      this.#addPieces(block, 386, 4);
      if (block[482] !== 0) this.#state = 'sparseHeader';
      else yield* this.#start({ realSize: this.#realSize, pieces: this.#pieces });
    } else if (sparse?.mapInData) {
      this.#realSize = sparse.realSize;
      this.#mapText = '';
      this.#state = 'sparseMap';
    } else if (sparse) yield* this.#start({ realSize: sparse.realSize, pieces: sparse.pieces });
    else yield* this.#start();
  }

  *#start(sparse?: TarEntry['sparse']): Generator<TarEvent> {
    const entry = this.#entry as TarEntry;
    if (sparse) entry.sparse = checkSparse(sparse, this.#left);
    yield { kind: 'entry', entry };
    if (this.#left > 0) this.#state = 'data';
    else yield this.#endEntry();
  }

  *#sparseHeader(block: Buffer): Generator<TarEvent> {
    this.#addPieces(block, 0, 21);
    if (block[504] === 0) yield* this.#start({ realSize: this.#realSize, pieces: this.#pieces });
  }

  #addPieces(block: Buffer, at: number, slots: number): void {
    for (let slot = 0; slot < slots; slot++) {
      const start = at + slot * 24;
      if (block[start] === 0) break;
      this.#pieces.push({ offset: readNumber(block, start, 12), length: readNumber(block, start + 12, 12) });
    }
    if (this.#pieces.length > SPARSE_LIMIT) throw invalidParameter('archive/tar: invalid tar header');
  }

  /** Format 1.0: decimal numbers, one a line, the first the number of pieces; padded to whole blocks. */
  *#sparseMap(block: Buffer): Generator<TarEvent> {
    this.#mapText += block.toString('latin1', 0, BLOCK);
    this.#left -= BLOCK;
    if (this.#left < 0 || this.#mapText.length > SPARSE_LIMIT * 8) {
      throw invalidParameter('archive/tar: invalid tar header');
    }
    const lines = this.#mapText.split('\n');
    const wanted = lines.length > 1 ? 1 + 2 * Number(lines[0]) : Number.POSITIVE_INFINITY;
    if (!(lines.length > wanted)) return;
    const numbers = lines.slice(1, wanted).map(Number);
    if (numbers.some((number) => !Number.isSafeInteger(number) || number < 0)) {
      throw invalidParameter('archive/tar: invalid tar header');
    }
    (this.#entry as TarEntry).size = this.#left;
    yield* this.#start({ realSize: this.#realSize, pieces: parseMap(numbers) });
  }

  #endEntry(): TarEvent {
    this.#entry = undefined;
    this.#left = this.#padding;
    this.#state = this.#padding > 0 ? 'padding' : 'header';
    return END;
  }

  #endMeta(): void {
    const body = Buffer.concat(this.#meta);
    this.#meta = [];
    if (this.#metaFlag === 'L') this.#longName = readText(body, 0, body.length);
    else if (this.#metaFlag === 'K') this.#longLink = readText(body, 0, body.length);
    else if (this.#metaFlag === 'g') this.#globals = parseRecords(body);
    else this.#records = parseRecords(body);
    this.#left = this.#padding;
    this.#state = this.#padding > 0 ? 'padding' : 'header';
  }
}

const padding = (size: number): number => (BLOCK - (size % BLOCK)) % BLOCK;

function isZero(block: Buffer): boolean {
  for (let index = 0; index < BLOCK; index++) if (block[index] !== 0) return false;
  return true;
}

/** Pieces must be in order, inside the file, and hold exactly the data that follows. */
function checkSparse(sparse: NonNullable<TarEntry['sparse']>, packed: number): NonNullable<TarEntry['sparse']> {
  let end = 0;
  let total = 0;
  for (const piece of sparse.pieces) {
    if (piece.offset < end) throw invalidParameter('archive/tar: invalid tar header');
    end = piece.offset + piece.length;
    total += piece.length;
  }
  if (end > sparse.realSize || total !== packed) throw invalidParameter('archive/tar: invalid tar header');
  return sparse;
}
