import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What marks the fuses in Electron's program (its docs/tutorial/fuses.md): this text, a version, a count, a byte for each. */
const FUSES = Buffer.concat([
  Buffer.from('dL7pKGdnNz796PbbjQWNKmHXBZaB9tsX', 'latin1'),
  Buffer.from([1, 9]),
  Buffer.from('000000000', 'latin1'),
]);

/** A folder that electron-builder takes for an unpacked Electron: the files are there, the program does nothing. */
export function standInElectron(dir: string, version: string): void {
  for (const folder of ['locales', 'resources']) mkdirSync(join(dir, folder), { recursive: true });
  writeFileSync(join(dir, 'electron'), Buffer.concat([Buffer.from('#!/bin/sh\nexit 1\n'), FUSES]), { mode: 0o755 });
  writeFileSync(join(dir, 'version'), version);
  for (const name of ['LICENSE', 'LICENSES.chromium.html', 'chrome-sandbox', 'chrome_crashpad_handler', 'icudtl.dat']) {
    writeFileSync(join(dir, name), name, { mode: 0o755 });
  }
  writeFileSync(join(dir, 'locales', 'en-US.pak'), '');
  // An archive without files: four numbers and the index.
  const index = Buffer.from('{"files":{}}');
  const sizes = Buffer.alloc(16);
  for (const [at, size] of [4, index.length + 8, index.length + 4, index.length].entries())
    sizes.writeUInt32LE(size, at * 4);
  writeFileSync(join(dir, 'resources', 'default_app.asar'), Buffer.concat([sizes, index]));
}

/** The fuses as they are in a program: `1` on, `0` off. */
export function fusesIn(program: Buffer): string {
  const at = program.indexOf(FUSES.subarray(0, 32));
  return program.toString('latin1', at + 34, at + 34 + program[at + 33]!);
}
