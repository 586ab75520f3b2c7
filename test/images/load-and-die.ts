import { createReadStream } from 'node:fs';

import { startEngine } from './engine.ts';

/** Loads an archive again and again until it is killed. Arguments: data root, archive. */
const [root, archive] = process.argv.slice(2) as [string, string];
const engine = await startEngine({ root, keep: true });
const signal = new AbortController().signal;
process.send?.('ready');
for (;;) {
  await engine.images.load(
    createReadStream(archive, { highWaterMark: 65_536 }),
    { quiet: true },
    () => undefined,
    signal,
  );
  engine.images.remove('child:1', { force: true });
}
