import type { Writable } from 'node:stream';

/** Writes all chunks at the reader's pace and ends the answer; stops when the reader has gone. */
export async function writeAll(response: Writable, chunks: AsyncIterable<Buffer>): Promise<void> {
  let goOn = (): void => {};
  const wake = (): void => goOn();
  response.on('drain', wake).on('close', wake);
  try {
    for await (const chunk of chunks) {
      if (response.destroyed) return;
      if (response.write(chunk) || response.destroyed) continue;
      await new Promise<void>((resolve) => {
        goOn = resolve;
      });
    }
    response.end();
  } finally {
    response.off('drain', wake).off('close', wake);
  }
}
