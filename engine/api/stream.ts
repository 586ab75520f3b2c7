import { once } from 'node:events';
import type { Writable } from 'node:stream';

/** Writes all chunks at the reader's pace and ends the answer; stops when the reader has gone. */
export async function writeAll(response: Writable, chunks: AsyncIterable<Buffer>): Promise<void> {
  for await (const chunk of chunks) {
    if (response.destroyed) return;
    if (!response.write(chunk)) await Promise.race([once(response, 'drain'), once(response, 'close')]);
  }
  response.end();
}
