import { createHash } from 'node:crypto';
import { createWriteStream, mkdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { Random } from '../test/api/random.ts';

const tar = createRequire(import.meta.url)('tar-stream') as typeof import('tar-stream');

/** Files as an image of a language's runtime has them: many small ones, some large. About 135 MB in all. */
const KINDS: readonly (readonly [count: number, bytes: number])[] = [
  [6_000, 4_000],
  [1_200, 30_000],
  [120, 250_000],
  [12, 3_600_000],
];
const WORDS = Array.from({ length: 4_096 }, (_unused, index) =>
  createHash('sha1')
    .update(`${index}`)
    .digest('hex')
    .slice(0, 3 + (index % 9)),
);

/**
 * Writes an archive as `docker save` does, with plain layers.
 * @param seed another one makes another image, which shares no layer with the first
 * @returns its path
 */
export async function bigImage(folder: string, name: string, layers: number, seed: number): Promise<string> {
  const work = join(folder, `${name}-layers`);
  mkdirSync(work, { recursive: true });
  const random = new Random(seed);
  const paths: string[] = [];
  for (let layer = 0; layer < layers; layer++) {
    const path = join(work, `${layer}.tar`);
    await writeLayer(path, layer, layers, random);
    paths.push(path);
  }
  const diffIds = paths.map((path) => `sha256:${createHash('sha256').update(readFileSync(path)).digest('hex')}`);
  const config = Buffer.from(
    JSON.stringify({
      architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
      os: 'linux',
      created: '2026-01-01T00:00:00Z',
      config: { Cmd: ['true'] },
      rootfs: { type: 'layers', diff_ids: diffIds },
      history: diffIds.map((_unused, index) => ({ created: '2026-01-01T00:00:00Z', created_by: `layer ${index}` })),
    }),
  );
  const configName = `${createHash('sha256').update(config).digest('hex')}.json`;
  const layerNames = paths.map((_unused, index) => `${index}/layer.tar`);
  const manifest = [{ Config: configName, RepoTags: [`${name}:latest`], Layers: layerNames }];
  const archive = join(folder, `${name}.tar`);
  const pack = tar.pack();
  const written = pipeline(pack, createWriteStream(archive));
  for (const [index, path] of paths.entries())
    pack.entry({ name: layerNames[index]!, size: statSync(path).size }, readFileSync(path));
  pack.entry({ name: configName }, config);
  pack.entry({ name: 'manifest.json' }, JSON.stringify(manifest));
  pack.finalize();
  await written;
  rmSync(work, { recursive: true });
  return archive;
}

async function writeLayer(path: string, layer: number, layers: number, random: Random): Promise<void> {
  const pack = tar.pack();
  const written = pipeline(pack, createWriteStream(path));
  for (const [kind, [count, bytes]] of KINDS.entries()) {
    for (let index = layer; index < count; index += layers) {
      const name = `usr/lib/k${kind}/d${index % 97}/f${index}`;
      await new Promise<void>((resolve, reject) =>
        pack.entry({ name }, content(bytes, random), (error) => (error ? reject(error) : resolve())),
      );
    }
  }
  pack.finalize();
  await written;
}

/** Text that compresses about as source code and programs do. */
function content(bytes: number, random: Random): Buffer {
  const parts: string[] = [];
  for (let length = 0; length < bytes; ) {
    const word = random.pick(WORDS);
    parts.push(word);
    length += word.length + 1;
  }
  return Buffer.from(parts.join(' ')).subarray(0, bytes);
}
