import { createHash } from 'node:crypto';

import { cancelled, invalidParameter } from '../errors.ts';

import { BlobFile } from './blob-file.ts';
import { decompress, describeCorruption, detectCompression } from './compression.ts';
import { DEFAULT_LIMITS, type ExtractLimits, LayerWriter } from './extract.ts';
import { OutlineWriter } from './outline.ts';
import { TarReader } from './tar/read.ts';

export interface UnpackRequest {
  readonly source: string;
  /** How far the source is written, when it still is (see BlobFile). */
  readonly follow: SharedArrayBuffer | undefined;
  readonly target: string;
  /** What the tar must hash to; undefined: whatever it does. */
  readonly diffId: string | undefined;
  /** An uncompressed source is hashed by whoever verifies it as a blob; here it need not be hashed again. */
  readonly hashedElsewhere: boolean;
  /** Where to write the outline of an uncompressed tar (see outline.ts). */
  readonly outline?: string;
  readonly limits?: ExtractLimits;
}

export interface Unpacked {
  /** '' when the source is uncompressed and hashed elsewhere: then it is the source's digest. */
  readonly diffId: string;
  /** Bytes of regular files. */
  readonly size: number;
  readonly entries: number;
  /** There is an outline, and with it the folder gives the tar back. */
  readonly outlined: boolean;
}

const PROGRESS_EVERY_MS = 100;

/** Reads a layer's blob, decompresses it, verifies the tar's digest and writes its entries into an empty folder. */
export async function unpackLayer(
  request: UnpackRequest,
  isAborted: () => boolean,
  onProgress: (bytesRead: number) => void,
): Promise<Unpacked> {
  const file = new BlobFile(request.source, request.follow, isAborted);
  const writer = new LayerWriter(request.target, request.limits ?? DEFAULT_LIMITS);
  const reader = new TarReader();
  let outline: OutlineWriter | undefined;
  let reported = performance.now();
  try {
    const compression = detectCompression(await file.head());
    file.reuse = compression === 'none';
    if (compression === 'none' && request.outline !== undefined) outline = new OutlineWriter(request.outline);
    const hash = compression === 'none' && request.hashedElsewhere ? undefined : createHash('sha256');
    for await (const chunk of decompress(file, compression)) {
      if (isAborted()) throw cancelled();
      hash?.update(chunk);
      let told = 0;
      for (const event of reader.push(chunk)) {
        if (event.kind === 'entry') writer.begin(event.entry);
        else if (event.kind === 'end') writer.end();
        else {
          writer.data(event.data);
          const path = writer.contentPath;
          if (!outline || path === undefined) continue;
          const at = event.data.byteOffset - chunk.byteOffset;
          outline.raw(chunk.subarray(told, at));
          outline.content(path, event.data.length);
          told = at + event.data.length;
        }
      }
      outline?.raw(chunk.subarray(told));
      const now = performance.now();
      if (now - reported > PROGRESS_EVERY_MS) {
        reported = now;
        onProgress(file.bytesRead);
      }
    }
    reader.finish();
    const diffId = hash ? `sha256:${hash.digest('hex')}` : '';
    if (request.diffId !== undefined && hash && diffId !== request.diffId) {
      throw invalidParameter(`layer diffID mismatch: expected ${request.diffId}, got ${diffId}`);
    }
    writer.finish();
    const outlined = outline !== undefined && !writer.lostContent;
    if (outlined) outline?.finish();
    else outline?.abort();
    return { diffId, size: writer.size, entries: writer.entries, outlined };
  } catch (error) {
    writer.abort();
    outline?.abort();
    throw describeCorruption(error);
  } finally {
    file.close();
  }
}
