import { type Ref, ref } from 'vue';
import { link } from '../../link/link.ts';
import { saveAs } from '../save-as.ts';

const PART = 256 * 1024;

export interface Transfer {
  name: string;
  /** 0 … 1 */
  done: number;
}

/** Reads at most `limit` bytes of a file. */
export async function readBytes(id: string, path: string, limit: number): Promise<Uint8Array[]> {
  const parts: Uint8Array[] = [];
  let size = 0;
  const end = new AbortController();
  for await (const part of link.client.containers.readFile(id, path, end.signal)) {
    parts.push(part);
    size += part.length;
    if (size > limit) break;
  }
  return parts;
}

/** A folder comes as the tar of it. */
export async function download(id: string, path: string, name: string): Promise<void> {
  saveAs(name, (await readBytes(id, path, Number.POSITIVE_INFINITY)) as BlobPart[]);
}

/** Writes one file. Throws AppError. */
export async function upload(
  id: string,
  folder: string,
  file: { name: string; mode?: number },
  content: Blob,
  progress: Ref<Transfer | undefined> = ref(),
): Promise<void> {
  progress.value = { name: file.name, done: 0 };
  try {
    const { containers } = link.client;
    const key = await containers.uploadBegin(id, folder, { ...file, size: content.size });
    for (let at = 0; at < content.size; at += PART) {
      const part = new Uint8Array(await content.slice(at, at + PART).arrayBuffer());
      await containers.uploadPart(key, part);
      progress.value = { name: file.name, done: (at + part.length) / content.size };
    }
    await containers.uploadEnd(key);
  } finally {
    progress.value = undefined;
  }
}
