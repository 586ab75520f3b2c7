/** Gets the packages into the user's cache, each under the hash that its lock names, so that nothing is downloaded twice. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { aptDownload, type DebPackage, debianMirror } from './apt.ts';
import { resolvePackages } from './lock.ts';
import type { Arch } from './packages.ts';
import { cacheDir, projectDir } from './paths.ts';

const run = promisify(execFile);

export interface FetchOptions {
  log: (line: string) => void;
  signal?: AbortSignal;
}

/** A fetched package: where its file lies in the cache. */
export type FetchedDeb = DebPackage & { path: string };

/**
 * Fetches all packages of a lock. One that the mirror no longer has (Debian removes a version when it publishes the next) is
 * resolved anew, with a warning: the build goes on with the newer version.
 */
export async function fetchDebs(arch: Arch, wanted: DebPackage[], options: FetchOptions): Promise<FetchedDeb[]> {
  const dir = join(cacheDir(), 'debs');
  await mkdir(dir, { recursive: true });
  const gone = await download(wanted, dir, options);
  if (gone.length === 0) return wanted.map((pkg) => ({ ...pkg, path: debPath(dir, pkg) }));

  options.log(
    `warning: Debian's mirror no longer has ${gone.map((p) => `${p.name} ${p.version}`).join(', ')}; taking what it has ` +
      'now. Run `npm run vm:lock` and commit the lock to make builds repeatable again.',
  );
  const current = await resolvePackages(arch);
  const packages = wanted.map((pkg) => (gone.includes(pkg) ? successor(pkg, current) : pkg));
  const missing = await download(packages, dir, options);
  if (missing.length > 0) {
    throw new Error(`Could not download ${missing.map((p) => p.filename).join(', ')} from ${await debianMirror()}`);
  }
  return packages.map((pkg) => ({ ...pkg, path: debPath(dir, pkg) }));
}

/** The package of today's index that stands for one that is gone. The kernel's package has its version in its name. */
export function successor(gone: DebPackage, current: DebPackage[]): DebPackage {
  const stem = (name: string) => name.replace(/^(linux-image)-\d.*$/, '$1');
  const found = current.find((pkg) => stem(pkg.name) === stem(gone.name));
  if (!found) throw new Error(`Debian has no package ${gone.name} any more`);
  return found;
}

/** Downloads what the cache lacks. Returns the packages that could not be had. */
async function download(packages: DebPackage[], dir: string, options: FetchOptions): Promise<DebPackage[]> {
  const missing = packages.filter((pkg) => !existsSync(debPath(dir, pkg)));
  if (missing.length === 0) return [];
  const megabytes = missing.reduce((sum, pkg) => sum + pkg.size, 0) / 1e6;
  options.log(`downloading ${missing.length} Debian packages (${megabytes.toFixed(0)} MB)`);
  const mirror = await debianMirror();
  const temp = await mkdtemp(join(dir, '.download-'));
  try {
    const files = missing.map((pkg) => ({
      url: `${mirror}/${pkg.filename.split('/').map(encodeURIComponent).join('/')}`,
      path: join(temp, `${pkg.sha256}.deb`),
    }));
    await aptDownload(files, options.signal);
    const failed: DebPackage[] = [];
    for (const pkg of missing) {
      const path = join(temp, `${pkg.sha256}.deb`);
      if (existsSync(path) && (await hashFile(path, 'sha256', 'hex')) === pkg.sha256) {
        await rename(path, debPath(dir, pkg));
      } else failed.push(pkg);
    }
    return failed;
  } finally {
    await rm(temp, { recursive: true, force: true });
  }
}

const debPath = (dir: string, pkg: DebPackage) => join(dir, `${pkg.sha256}.deb`);

export interface NpmPackage {
  name: string;
  version: string;
  /** as in package-lock.json: `sha512-<base64>` */
  integrity: string;
}

/** The npm packages that go into the VM, as package-lock.json pins them. */
export async function npmPackages(arch: Arch): Promise<NpmPackage[]> {
  const lock = JSON.parse(await readFile(join(projectDir, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { version: string; integrity: string }>;
  };
  return [`node-linux-${arch}`, 'koffi', `@koromix/koffi-linux-${arch}`].map((name) => {
    const entry = lock.packages[`node_modules/${name}`];
    if (!entry) throw new Error(`package-lock.json does not have ${name}`);
    return { name, version: entry.version, integrity: entry.integrity };
  });
}

/** Fetches one npm package's tarball through `npm pack` (its cache, its registry, its proxy). Returns the .tgz's path. */
export async function fetchNpm(pkg: NpmPackage, options: FetchOptions): Promise<string> {
  const [algorithm = '', hash = ''] = pkg.integrity.split(/-(.*)/s);
  const dir = join(cacheDir(), 'npm');
  const path = join(dir, `${Buffer.from(hash, 'base64').toString('hex').slice(0, 64)}.tgz`);
  if (existsSync(path)) return path;
  await mkdir(dir, { recursive: true });
  const temp = await mkdtemp(join(dir, '.pack-'));
  try {
    options.log(`fetching ${pkg.name}@${pkg.version} from npm`);
    await run(
      'npm',
      ['pack', `${pkg.name}@${pkg.version}`, '--prefer-offline', '--silent', '--pack-destination', temp],
      { cwd: temp, signal: options.signal, shell: process.platform === 'win32' },
    );
    const [file] = await readdir(temp);
    if (!file) throw new Error(`npm pack ${pkg.name}@${pkg.version} made nothing`);
    const found = await hashFile(join(temp, file), algorithm, 'base64');
    if (found !== hash)
      throw new Error(`${pkg.name}@${pkg.version}: npm sent another package than package-lock.json pins`);
    await rename(join(temp, file), path);
    return path;
  } finally {
    await rm(temp, { recursive: true, force: true });
  }
}

export async function hashFile(path: string, algorithm: string, encoding: 'hex' | 'base64'): Promise<string> {
  const hash = createHash(algorithm);
  await pipeline(createReadStream(path), hash);
  return hash.digest(encoding);
}
