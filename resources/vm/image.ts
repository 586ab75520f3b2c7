/** Builds the VM image, or finds the one that was built from the same inputs. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { promisify } from 'node:util';
import { type FetchedDeb, fetchDebs, fetchNpm, hashFile, type NpmPackage, npmPackages } from './fetch.ts';
import { readLock } from './lock.ts';
import type { Arch } from './packages.ts';
import { cacheDir, projectDir } from './paths.ts';
import { type BaseTree, baseTreeAt, makeInitramfs, unpackBase } from './tree.ts';
import { writeWelcomeImage } from './welcome.ts';

const run = promisify(execFile);

/** lz4hc: unpacks fastest, which is what counts under emulation. The UUID and times are fixed, so equal roots are equal bytes. */
const EROFS_OPTIONS = ['-zlz4hc,9', '-C16384', '-T0', '-U00000000-0000-0000-0000-000000000000', '--all-root'];
/** Sources that decide what is in the base tree; the rest of this folder decides the image on top of it. */
const BASE_SOURCES = ['tree.ts', 'packages.ts', 'applets.ts', 'elf.ts', 'kernel.ts', 'modules.ts'];
/** Of each kind this many stay, and what somebody has asked for lately: another process may be starting with it. */
const KEEP_NEWEST = 3;
const LATELY_MS = 3_600_000;

export interface VmImage {
  /** hash of all inputs */
  version: string;
  arch: Arch;
  /** holds the files below and manifest.json */
  dir: string;
  kernel: string;
  initramfs: string;
  /** erofs */
  rootfs: string;
  /** The same root, unpacked: the engine's test bed on Linux. Read-only by agreement, its files are shared with the cache. */
  rootTree: string;
}

/** manifest.json, written last: what the image's files are, so that a damaged one is noticed. */
interface VmImageManifest {
  version: string;
  arch: Arch;
  files: Record<'kernel' | 'initramfs' | 'root.erofs', { size: number; sha256: string }>;
  packages: Record<string, string>;
}

export interface VmImageOptions {
  /** default: this machine's */
  arch?: Arch;
  /** folder with skiffd.mjs and shim.mjs; default: the checkout's dist/engine */
  engineDir?: string;
  log?: (line: string) => void;
  signal?: AbortSignal;
}

/**
 * Returns the image, building it first when its inputs changed. Downloads only what the cache lacks. Safe to call from several
 * processes at once: each builds for itself and the first to finish wins.
 */
export async function ensureVmImage(options: VmImageOptions = {}): Promise<VmImage> {
  const arch = options.arch ?? (process.arch === 'arm64' ? 'arm64' : 'x64');
  const engineDir = options.engineDir ?? join(projectDir, 'dist', 'engine');
  const log = options.log ?? (() => {});
  if (!existsSync(join(engineDir, 'skiffd.mjs'))) {
    throw new Error(`There is no engine in ${relative(process.cwd(), engineDir) || '.'}: run \`npm run build\` first.`);
  }
  const lock = (await readLock()).packages[arch];
  const npm = await npmPackages(arch);
  const baseHash = await hashInputs([JSON.stringify([arch, lock, npm])], BASE_SOURCES.map(source));
  const version = await hashInputs(
    [baseHash, EROFS_OPTIONS.join(' ')],
    [
      source('image.ts'),
      source('welcome.ts'),
      source('welcome.html'),
      ...(await filesBelow(source('guest'))),
      ...(await filesBelow(engineDir)),
    ],
  );

  const image = imageAt(join(cacheDir(), 'vm', `${version}-${arch}`), version, arch);
  if (existsSync(join(image.dir, 'manifest.json'))) {
    await touch(image.dir);
    return image;
  }
  const base = await ensureBase(arch, baseHash, lock, npm, { log, signal: options.signal });
  log(`building VM image ${version} (${arch})`);
  await buildImage(image, base, engineDir, options.signal);
  await removeOld(join(cacheDir(), 'vm'));
  await removeOld(join(cacheDir(), 'base'));
  return image;
}

/** An image that was built before and lies in `dir`, e.g. inside the packaged app. Throws when there is none. */
export async function openVmImage(dir: string): Promise<VmImage> {
  const manifest = JSON.parse(await readFile(join(dir, 'manifest.json'), 'utf8')) as VmImageManifest;
  return imageAt(dir, manifest.version, manifest.arch);
}

function imageAt(dir: string, version: string, arch: Arch): VmImage {
  return {
    version,
    arch,
    dir,
    kernel: join(dir, 'kernel'),
    initramfs: join(dir, 'initramfs'),
    rootfs: join(dir, 'root.erofs'),
    rootTree: join(dir, 'root'),
  };
}

async function ensureBase(
  arch: Arch,
  hash: string,
  lock: Parameters<typeof fetchDebs>[1],
  npm: NpmPackage[],
  options: { log: (line: string) => void; signal?: AbortSignal },
): Promise<{ tree: BaseTree; packages: Record<string, string> }> {
  const dir = join(cacheDir(), 'base', `${hash}-${arch}`);
  if (!existsSync(dir)) {
    const debs: FetchedDeb[] = await fetchDebs(arch, lock, options);
    const tarballs = new Map<string, string>();
    for (const pkg of npm) tarballs.set(pkg.name, await fetchNpm(pkg, options));
    options.log('unpacking the packages');
    await inTemporary(dir, async (temp) => {
      await unpackBase(arch, debs, tarballs, temp);
      const versions = Object.fromEntries([...debs, ...npm].map((pkg) => [pkg.name, pkg.version]));
      await writeFile(join(temp, 'packages.json'), JSON.stringify(versions));
    });
  }
  await touch(dir);
  const packages = JSON.parse(await readFile(join(dir, 'packages.json'), 'utf8')) as Record<string, string>;
  return { tree: baseTreeAt(dir), packages };
}

/** The cheap last step: our own files and the engine on top of a base tree, packed. */
async function buildImage(
  image: VmImage,
  base: { tree: BaseTree; packages: Record<string, string> },
  engineDir: string,
  signal?: AbortSignal,
): Promise<void> {
  await inTemporary(image.dir, async (temp) => {
    const at = imageAt(temp, image.version, image.arch);
    await run('cp', ['-al', base.tree.root, at.rootTree], { signal });
    await cp(join(source('guest'), 'etc'), join(at.rootTree, 'etc'), { recursive: true, force: true });
    await cp(join(source('guest'), 'usr'), join(at.rootTree, 'usr'), { recursive: true, force: true });
    const engine = join(at.rootTree, 'usr/lib/skiff/engine');
    await cp(engineDir, engine, { recursive: true });
    await symlink('../node_modules', join(engine, 'node_modules'));
    await mkdir(join(at.rootTree, 'usr/share/skiff/images'), { recursive: true });
    await writeWelcomeImage(
      join(at.rootTree, 'usr/share/skiff/images/welcome.tar'),
      image.arch,
      join(at.rootTree, 'usr/bin/busybox'),
      source('welcome.html'),
    );
    await cp(base.tree.kernel, at.kernel);
    await writeFile(at.initramfs, await makeInitramfs(base.tree, source('guest/initramfs-init')));
    await run('mkfs.erofs', [...EROFS_OPTIONS, at.rootfs, at.rootTree], { signal, maxBuffer: 1 << 26 });
    await writeManifest(at, base.packages);
  });
}

async function writeManifest(image: VmImage, packages: Record<string, string>): Promise<void> {
  const entry = async (path: string) => ({
    size: (await stat(path)).size,
    sha256: await hashFile(path, 'sha256', 'hex'),
  });
  const manifest: VmImageManifest = {
    version: image.version,
    arch: image.arch,
    files: {
      kernel: await entry(image.kernel),
      initramfs: await entry(image.initramfs),
      'root.erofs': await entry(image.rootfs),
    },
    packages,
  };
  await writeFile(join(image.dir, 'manifest.json'), `${JSON.stringify(manifest, null, 1)}\n`);
}

/** Runs `make` on a new folder beside `dir` and puts that in its place. When another process was faster, its result stays. */
async function inTemporary(dir: string, make: (temp: string) => Promise<void>): Promise<void> {
  await mkdir(join(dir, '..'), { recursive: true });
  const temp = await mkdtemp(`${dir}.building-${process.pid}-`);
  try {
    await make(temp);
    await rename(temp, dir).catch((error: NodeJS.ErrnoException) => {
      if (!['ENOTEMPTY', 'EEXIST', 'EPERM'].includes(error.code ?? '') || !existsSync(dir)) throw error;
    });
  } finally {
    await rm(temp, { recursive: true, force: true });
  }
}

/** Removes old versions, and what a killed build left behind. */
export async function removeOld(parent: string): Promise<void> {
  const found: { path: string; usedMs: number }[] = [];
  for (const name of await readdir(parent).catch(() => [])) {
    const path = join(parent, name);
    const [, builder] = /\.building-(?:(\d+)-)?/.exec(name) ?? [];
    const info = await stat(path).catch(() => undefined);
    if (!info) continue;
    if (!name.includes('.building-')) found.push({ path, usedMs: info.mtimeMs });
    else if (builder ? !isRunning(Number(builder)) : Date.now() - info.mtimeMs > LATELY_MS) await remove(path);
  }
  found.sort((a, b) => b.usedMs - a.usedMs);
  for (const { path, usedMs } of found.slice(KEEP_NEWEST)) if (Date.now() - usedMs > LATELY_MS) await remove(path);
}

/** Another process may be removing it too. */
const remove = (path: string) => rm(path, { recursive: true, force: true }).catch(() => {});

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

const source = (name: string) => join(import.meta.dirname, name);
const touch = (path: string) => utimes(path, new Date(), new Date());

async function filesBelow(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

/** 16 hex digits over strings and files (name, mode, content). */
async function hashInputs(strings: string[], files: string[]): Promise<string> {
  const hash = createHash('sha256');
  for (const text of strings) hash.update(`${text.length}:${text}\n`);
  for (const file of files) {
    const executable = ((await stat(file)).mode & 0o100) !== 0;
    const content = await readFile(file);
    hash.update(`${file.split('/').slice(-2).join('/')} ${executable} ${content.length}\n`).update(content);
  }
  return hash.digest('hex').slice(0, 16);
}
