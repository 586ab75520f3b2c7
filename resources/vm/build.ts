/**
 * `npm run vm:build [-- --arch x64|arm64] [--engine-dir DIR] [--out DIR]`: builds the VM image and says where it
 * is and how large. `--out`: what the app boots of it is copied there, for packaging.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, rmSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { ensureVmImage } from './image.ts';
import type { Arch } from './packages.ts';
import { projectDir } from './paths.ts';

const options = { arch: { type: 'string' }, 'engine-dir': { type: 'string' }, out: { type: 'string' } } as const;
const { values } = parseArgs({ options });
if (values.arch !== undefined && values.arch !== 'x64' && values.arch !== 'arm64') {
  console.error('--arch is x64 or arm64');
  process.exit(2);
}

// The engine is bundled anew each time: it takes a fraction of a second, and an old bundle would go unnoticed.
const bundler = join(projectDir, 'scripts', 'build-engine.ts');
if (!values['engine-dir'] && existsSync(bundler)) {
  const { status } = spawnSync(process.execPath, [bundler], { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}

const image = await ensureVmImage({
  arch: values.arch as Arch | undefined,
  engineDir: values['engine-dir'],
  log: (line) => console.log(line),
});
const megabytes = (path: string) => (statSync(path).size / 1e6).toFixed(1);
console.log(`VM image ${image.version} (${image.arch}) in ${image.dir}`);
console.log(
  `kernel ${megabytes(image.kernel)} MB, initramfs ${megabytes(image.initramfs)} MB, root ${megabytes(image.rootfs)} MB`,
);
if (values.out) {
  rmSync(values.out, { recursive: true, force: true });
  mkdirSync(values.out, { recursive: true });
  for (const file of [image.kernel, image.initramfs, image.rootfs, join(image.dir, 'manifest.json')]) {
    copyFileSync(file, join(values.out, basename(file)));
  }
  console.log(`copied to ${values.out}`);
}
