import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';

const root = join(import.meta.dirname, '..');

/**
 * Bundles the engine: dist/engine/skiffd.mjs and dist/engine/shim.mjs, ready for Node 24. koffi stays outside, because it
 * carries a native library per platform.
 * @param outdir where to write; must not be shared by two builds at once
 */
export async function buildEngine(outdir = join(root, 'dist/engine')): Promise<void> {
  rmSync(outdir, { recursive: true, force: true });
  await build({
    entryPoints: {
      skiffd: join(root, 'engine/main.ts'),
      shim: join(root, 'engine/shim/main.ts'),
      'unpack-worker': join(root, 'engine/snapshots/unpack-worker.ts'),
    },
    outdir,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    external: ['koffi'],
    minifySyntax: true,
    sourcemap: false,
    logLevel: 'warning',
    // CommonJS packages inside an ES module bundle still call require().
    banner: { js: "import { createRequire as __cr } from 'node:module'; const require = __cr(import.meta.url);" },
  });
}

if (process.argv[1] === import.meta.filename) await buildEngine();
