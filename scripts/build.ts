/**
 * `npm run build`: the app into dist/. Electron's main process, the browser shell's and the `skiff` command as bundles, the
 * window by Vite, the engine for the VM image. `buildIfChanged` is what `npm start` calls.
 */
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { build as bundle } from 'esbuild';
import { build as buildWindow } from 'vite';
import { buildEngine } from './build-engine.ts';

const root = join(import.meta.dirname, '..');
const dist = join(root, 'dist');

interface Part {
  name: string;
  /** files and folders whose change makes it stale */
  inputs: string[];
  /** there when it was built */
  output: string;
  build(): Promise<unknown>;
}

const PARTS: Part[] = [
  {
    name: 'the app',
    inputs: ['electron', 'package.json'],
    output: 'electron/host.js',
    build: buildApp,
  },
  {
    name: 'the window',
    inputs: ['renderer', 'electron/contract', 'electron/rpc', 'vite.config.ts'],
    output: 'renderer/index.html',
    build: () =>
      buildWindow({ root: join(root, 'renderer'), configFile: join(root, 'vite.config.ts'), logLevel: 'warn' }),
  },
  {
    name: 'the engine',
    inputs: ['engine'],
    output: 'engine/skiffd.mjs',
    build: () => buildEngine(join(dist, 'engine')),
  },
];

export async function buildAll(): Promise<void> {
  for (const part of PARTS) await buildPart(part, state(part));
}

/** Builds what is missing or whose sources have changed. */
export async function buildIfChanged(say: (line: string) => void): Promise<void> {
  for (const part of PARTS) {
    const now = state(part);
    const stamp = stampFile(part);
    if (existsSync(join(dist, part.output)) && existsSync(stamp) && readFileSync(stamp, 'utf8') === now) continue;
    say(`building ${part.name}`);
    await buildPart(part, now);
  }
}

async function buildPart(part: Part, now: string): Promise<void> {
  await part.build();
  const stamp = stampFile(part);
  mkdirSync(dirname(stamp), { recursive: true });
  writeFileSync(stamp, now);
}

function stampFile(part: Part): string {
  return join(dist, '.built', part.output.replaceAll('/', '-'));
}

/** Names, sizes and times of the inputs, and the lock file: enough to notice a change, in a few milliseconds. */
function state(part: Part): string {
  const hash = createHash('sha256');
  const add = (path: string) => {
    const { size, mtimeMs } = statSync(path);
    hash.update(`${path} ${size} ${mtimeMs}\n`);
  };
  for (const input of [...part.inputs, 'package-lock.json', 'scripts/build.ts']) {
    const path = join(root, input);
    if (!statSync(path).isDirectory()) add(path);
    else {
      for (const entry of readdirSync(path, { recursive: true, withFileTypes: true })) {
        if (entry.isFile() && !entry.name.endsWith('.test.ts')) add(join(entry.parentPath, entry.name));
      }
    }
  }
  return hash.digest('hex');
}

/** Electron's own Node is the oldest that runs these. */
const NODE = 'node20';

async function buildApp(): Promise<void> {
  const common = {
    bundle: true,
    platform: 'node',
    sourcemap: false,
    logLevel: 'warning',
    legalComments: 'none',
  } as const;
  // ssh2 tries native accelerators that we do not ship and falls back to JavaScript.
  const external = ['electron', 'cpu-features', '*.node'];
  await bundle({
    ...common,
    entryPoints: {
      main: join(root, 'electron/main/main.ts'),
      cli: join(root, 'electron/cli/main.ts'),
      host: join(root, 'electron/cli/host.ts'),
    },
    outdir: join(dist, 'electron'),
    format: 'esm',
    target: NODE,
    external,
    define: { 'import.meta.dirname': '__skiffDir', 'import.meta.filename': '__skiffFile' },
    banner: {
      js: [
        "import { createRequire as __skiffRequire } from 'node:module';",
        "import { fileURLToPath as __skiffPath } from 'node:url';",
        'const require = __skiffRequire(import.meta.url);',
        "const __skiffFile = __skiffPath(import.meta.url), __skiffDir = __skiffPath(new URL('.', import.meta.url));",
        'const __filename = __skiffFile, __dirname = __skiffDir;',
      ].join(' '),
    },
  });
  // A sandboxed preload can only be CommonJS.
  await bundle({
    ...common,
    entryPoints: { preload: join(root, 'electron/main/preload.ts') },
    outdir: join(dist, 'electron'),
    outExtension: { '.js': '.cjs' },
    format: 'cjs',
    target: 'chrome120',
    external: ['electron'],
  });
  chmodSync(join(dist, 'electron/cli.js'), 0o755);
}

if (process.argv[1] === import.meta.filename) await buildAll();
