/** Notices a missing or altered image before QEMU fails on it in its own words. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { type BootImage, MachineError } from './types.ts';

interface Manifest {
  version: string;
  files: Record<string, { size: number; sha256: string }>;
}

/**
 * Compares the image's files with its manifest: sizes each time, SHA-256 when a file is not the one that was checked last
 * (`verifiedPath` remembers size and time of change). Throws MachineError 'image-corrupt'.
 */
export async function checkImage(image: BootImage, verifiedPath: string, signal?: AbortSignal): Promise<void> {
  const corrupt = (what: string, cause?: unknown) =>
    new MachineError('image-corrupt', `The VM image ${image.version} is damaged: ${what}.`, {
      step: 'image',
      hint: `Remove the folder ${image.dir} and start again: the image is built or unpacked anew. Your data is not in it.`,
      cause,
    });
  const manifest = await readFile(join(image.dir, 'manifest.json'), 'utf8')
    .then((text) => JSON.parse(text) as Manifest)
    .catch((error: unknown) => {
      throw corrupt('its manifest is missing or unreadable', error);
    });
  const verified = await readVerified(verifiedPath);
  const now: Record<string, string> = {};
  for (const [name, expected] of Object.entries(manifest.files)) {
    const path = join(image.dir, name);
    const found = await stat(path).catch((error: unknown) => {
      throw corrupt(`${name} is missing`, error);
    });
    if (found.size !== expected.size) throw corrupt(`${name} has ${found.size} bytes instead of ${expected.size}`);
    now[path] = `${found.size} ${found.mtimeMs} ${found.ino} ${expected.sha256}`;
    if (verified[path] === now[path]) continue;
    const hash = createHash('sha256');
    await pipeline(createReadStream(path), hash, { signal });
    if (hash.digest('hex') !== expected.sha256) throw corrupt(`the content of ${name} has changed`);
  }
  if (JSON.stringify(verified) !== JSON.stringify(now)) await writeFile(verifiedPath, JSON.stringify(now));
}

async function readVerified(path: string): Promise<Record<string, string>> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Record<string, string>;
  } catch {
    return {};
  }
}
