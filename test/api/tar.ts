import { createRequire } from 'node:module';

const tar = createRequire(import.meta.url)('tar-stream') as typeof import('tar-stream');

/** A small archive of text files, by name. */
export function createTar(files: Readonly<Record<string, string>>): Buffer {
  const pack = tar.pack();
  for (const [name, text] of Object.entries(files)) pack.entry({ name }, text);
  pack.finalize();
  const chunks: Buffer[] = [];
  for (let chunk = pack.read() as Buffer | null; chunk; chunk = pack.read() as Buffer | null) chunks.push(chunk);
  return Buffer.concat(chunks);
}
