import { createHash } from 'node:crypto';

import { cancelled, invalidParameter } from '../errors.ts';

import { BlobFile } from './blob-file.ts';
import { decompress, describeCorruption, detectCompression } from './compression.ts';
import { DEFAULT_LIMITS, type ExtractLimits, LayerWriter } from './extract.ts';
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
  readonly limits?: ExtractLimits;
}

export interface Unpacked {
  /** '' when the source is uncompressed and hashed elsewhere: then it is the source's digest. */
  readonly diffId: string;
  /** Bytes of regular files. */
  readonly size: number;
  readonly entries: number;
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
  let reported = performance.now();
  try {
    const compression = detectCompression(await file.head());
    file.reuse = compression === 'none';
    const hash = compression === 'none' && request.hashedElsewhere ? undefined : createHash('sha256');
    for await (const chunk of decompress(file, compression)) {
      if (isAborted()) throw cancelled();
      hash?.update(chunk);
      for (const event of reader.push(chunk)) {
        if (event.kind === 'entry') writer.begin(event.entry);
        else if (event.kind === 'data') writer.data(event.data);
        else writer.end();
      }
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
    return { diffId, size: writer.size, entries: writer.entries };
  } catch (error) {
    writer.abort();
    throw describeCorruption(error);
  } finally {
    file.close();
  }
}
