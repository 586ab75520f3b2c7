import { createRequire } from 'node:module';

const tar = createRequire(import.meta.url)('tar-stream') as typeof import('tar-stream');

/** A small archive of text files, by name. */
export async function createTar(files: Readonly<Record<string, string>>): Promise<Buffer> {
  const pack = tar.pack();
  for (const [name, text] of Object.entries(files)) pack.entry({ name }, text);
  pack.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of pack) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
