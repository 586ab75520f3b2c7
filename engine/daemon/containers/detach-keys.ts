import { Transform, type TransformCallback } from 'node:stream';

import { invalidParameter } from '../../errors.ts';

const DEFAULT_KEYS = 'ctrl-p,ctrl-q';
const CONTROL: Record<string, number> = { '@': 0, '[': 27, '\\': 28, ']': 29, '^': 30, _: 31 };

/** `ctrl-p,ctrl-q` → the bytes a terminal sends for it. */
export function parseDetachKeys(text: string | undefined): Buffer {
  const bytes = (text || DEFAULT_KEYS).split(',').map((key) => {
    const control = /^ctrl-(.)$/.exec(key)?.[1];
    if (control === undefined) {
      if (key.length !== 1) throw invalidParameter(`Invalid detach keys (${text}) provided`);
      return key.charCodeAt(0);
    }
    if (/[a-z]/.test(control)) return control.charCodeAt(0) - 96;
    const code = CONTROL[control];
    if (code === undefined) throw invalidParameter(`Invalid detach keys (${text}) provided`);
    return code;
  });
  return Buffer.from(bytes);
}

/** Passes a terminal's input on and calls `onDetach` when the keys come in a row; they themselves aren't passed on. */
export class DetachFilter extends Transform {
  readonly #keys: Buffer;
  readonly #onDetach: () => void;
  #matched = 0;

  constructor(keys: Buffer, onDetach: () => void) {
    super();
    this.#keys = keys;
    this.#onDetach = onDetach;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    const out: number[] = [];
    for (const byte of chunk) {
      if (byte === this.#keys[this.#matched]) {
        this.#matched++;
        if (this.#matched === this.#keys.length) {
          this.#onDetach();
          done();
          return;
        }
        continue;
      }
      // Not the keys after all: what was held back goes first.
      out.push(...this.#keys.subarray(0, this.#matched));
      this.#matched = byte === this.#keys[0] ? 1 : 0;
      if (this.#matched === 0) out.push(byte);
    }
    done(null, Buffer.from(out));
  }
}
