/**
 * `npm run vm:lock`: resolves the package list with apt and writes packages.lock.json, for all architectures.
 * The image builder installs exactly what the lock says.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type DebPackage, PrivateApt } from './apt.ts';
import { ARCH_NAMES, type Arch, OMIT, packageRoots, SUITE } from './packages.ts';

export interface PackageLock {
  suite: string;
  packages: Record<Arch, DebPackage[]>;
}

const lockFile = join(import.meta.dirname, 'packages.lock.json');

export async function readLock(): Promise<PackageLock> {
  return JSON.parse(await readFile(lockFile, 'utf8')) as PackageLock;
}

/** Resolves one architecture against the newest index of the suite. */
export async function resolvePackages(arch: Arch): Promise<DebPackage[]> {
  const dir = await mkdtemp(join(tmpdir(), 'skiff-apt-'));
  try {
    const apt = new PrivateApt(dir, ARCH_NAMES[arch].debian);
    await apt.update();
    const all = await apt.closure(packageRoots(arch));
    return all.filter((pkg) => !OMIT.some((pattern) => pattern.test(pkg.name)));
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  const packages = { x64: await resolvePackages('x64'), arm64: await resolvePackages('arm64') };
  const lock: PackageLock = { suite: SUITE, packages };
  await writeFile(lockFile, `${JSON.stringify(lock, null, 2)}\n`);
  for (const [arch, list] of Object.entries(packages)) {
    const bytes = list.reduce((sum, pkg) => sum + pkg.size, 0);
    console.log(`${arch}: ${list.length} packages, ${(bytes / 1e6).toFixed(1)} MB to download`);
  }
}
