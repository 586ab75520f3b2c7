import { startEngine } from './engine.ts';

/** Pulls and prunes again and again until it is killed. Arguments: data root, reference. */
const [root, image] = process.argv.slice(2) as [string, string];
const engine = await startEngine({ root, keep: true });
const signal = new AbortController().signal;
process.send?.('ready');
for (;;) {
  await engine.images.pull({ image }, () => undefined, signal);
  engine.images.prune(new Map([['dangling', ['false']]]), signal);
}
