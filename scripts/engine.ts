import { copyFileSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';

import { ensureVmImage } from '../resources/vm/image.ts';
import { buildEngine } from './build-engine.ts';
import { spawnTestbed, whenReady } from './testbed.ts';

const usage = `usage: npm run engine -- --data DIR --socket PATH [--config daemon.json] [--private-net]

Runs the real engine alone, in the foreground, on this machine's kernel (Linux, root): for working on it, and for any
client or test suite. By default in the machine's network namespace, so that published ports are reachable.
Ctrl-C stops its containers and cleans up; an engine that was killed is taken over from DIR.`;

const { values } = parseArgs({
  options: {
    data: { type: 'string' },
    socket: { type: 'string' },
    config: { type: 'string' },
    'private-net': { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
if (values.help || !values.data || !values.socket) {
  console.error(usage);
  process.exit(values.help ? 0 : 2);
}

await buildEngine();
const image = await ensureVmImage({ log: (line) => console.error(line) });
const sockets = dirname(values.socket);
mkdirSync(sockets, { recursive: true });
if (values.config) copyFileSync(values.config, join(sockets, 'daemon.json'));
const engine = spawnTestbed({
  data: values.data,
  socket: values.socket,
  rootTree: image.rootTree,
  engineDir: join(import.meta.dirname, '../dist/engine'),
  config: values.config,
  privateNet: values['private-net'],
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => engine.kill('SIGTERM'));
engine.on('exit', (code, signal) => process.exit(code ?? (signal ? 1 : 0)));
await whenReady(engine, values.socket);
console.error(`\nThe engine answers:\n  export DOCKER_HOST=unix://${values.socket}\n`);
