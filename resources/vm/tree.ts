/** Unpacks the packages into the VM's root tree, without running any of their scripts. */
import { execFile } from 'node:child_process';
import { cp, lstat, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { BUSYBOX_APPLETS } from './applets.ts';
import { cpio } from './cpio.ts';
import { isElf, neededLibraries, withoutSections } from './elf.ts';
import type { FetchedDeb } from './fetch.ts';
import { uncompressedKernel } from './kernel.ts';
import { ModuleTree, moduleIndexes } from './modules.ts';
import { ARCH_NAMES, type Arch, INITRAMFS_MODULES, OPTIONAL_MODULES, prunePaths, ROOT_MODULES } from './packages.ts';

const run = promisify(execFile);

export interface BaseTree {
  /** the root without our own files */
  root: string;
  /** uncompressed kernel */
  kernel: string;
  /** the modules of the initramfs, in load order, as files `NN-name.ko` */
  bootModules: string;
}

export const baseTreeAt = (dir: string): BaseTree => ({
  root: join(dir, 'root'),
  kernel: join(dir, 'kernel'),
  bootModules: join(dir, 'boot-modules'),
});

/**
 * Makes the part of the image that depends only on packages: takes about half a minute, so it is kept by its hash.
 * `npm`: tarballs by package name.
 */
export async function unpackBase(arch: Arch, debs: FetchedDeb[], npm: Map<string, string>, dir: string): Promise<void> {
  const tree = baseTreeAt(dir);
  const isKernel = (deb: FetchedDeb) => deb.name.startsWith('linux-image-');
  await makeSkeleton(tree.root);
  for (const deb of debs.filter((d) => !isKernel(d))) await unpackDeb(deb.path, tree.root, prunePaths(arch));
  const kernelDeb = debs.find(isKernel);
  if (!kernelDeb) throw new Error('the lock has no kernel');
  await installKernel(arch, kernelDeb, tree, join(dir, 'kernel-package'));
  await installNode(arch, npm, tree.root);
  await linkApplets(tree.root);
  await bundleCertificates(tree.root);
  await checkLibraries(arch, tree.root);
}

/** The directories and links of a merged-/usr root; everything that is written at run time points into /run or the data disk. */
async function makeSkeleton(root: string): Promise<void> {
  const dirs = [
    'usr/bin',
    'usr/sbin',
    'usr/lib',
    'usr/lib64',
    'usr/local/bin',
    'usr/local/sbin',
    'etc',
    'dev',
    'proc',
    'sys',
  ];
  for (const dir of [...dirs, 'run', 'tmp', 'mnt', 'opt', 'srv', 'var/lib/skiff', 'usr/lib/skiff', 'usr/share/skiff']) {
    await mkdir(join(root, dir), { recursive: true });
  }
  const links = {
    bin: 'usr/bin',
    sbin: 'usr/sbin',
    lib: 'usr/lib',
    lib64: 'usr/lib64',
    root: 'run/root',
    'var/run': '/run',
    'var/lock': '/run/lock',
    'var/log': '/run/log',
    'var/tmp': '/var/lib/skiff/vm/tmp',
    'etc/mtab': '/proc/self/mounts',
    'etc/localtime': '/run/skiff/localtime',
    'etc/timezone': '/run/skiff/timezone',
  };
  for (const [path, target] of Object.entries(links)) await symlink(target, join(root, path));
}

async function unpackDeb(deb: string, into: string, prune: string[]): Promise<void> {
  const excludes = prune.map((path) => `--exclude=./${path}`);
  const script = 'set -o pipefail; deb=$1 root=$2; shift 2; dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$root" "$@"';
  const options = [
    '--keep-directory-symlink',
    '--no-same-owner',
    '-p',
    '--anchored',
    '--wildcards',
    '--no-wildcards-match-slash',
  ];
  await run('bash', ['-c', script, 'bash', deb, into, ...options, ...excludes], { maxBuffer: 1 << 26 });
}

async function installKernel(arch: Arch, deb: FetchedDeb, tree: BaseTree, scratch: string): Promise<void> {
  await mkdir(scratch, { recursive: true });
  await unpackDeb(deb.path, scratch, ['usr/share']);
  const image = (await readdir(join(scratch, 'boot'))).find((name) => name.startsWith('vmlinuz-'));
  if (!image) throw new Error(`${deb.name} has no kernel`);
  await writeFile(tree.kernel, await uncompressedKernel(await readFile(join(scratch, 'boot', image)), arch));

  const version = image.slice('vmlinuz-'.length);
  const modules = await ModuleTree.open(join(scratch, 'usr/lib/modules', version));
  const into = join(tree.root, 'usr/lib/modules', version);
  const picked = await modules.pick(ROOT_MODULES, OPTIONAL_MODULES);
  for (const module of picked) {
    await mkdir(join(into, module.path, '..'), { recursive: true });
    await writeFile(join(into, module.path), module.data);
  }
  const indexes = moduleIndexes(picked);
  await writeFile(join(into, 'modules.dep'), indexes.dep);
  await writeFile(join(into, 'modules.alias'), indexes.alias);
  await writeFile(join(into, 'modules.symbols'), '');
  for (const list of ['modules.builtin', 'modules.builtin.modinfo', 'modules.order']) {
    await cp(join(scratch, 'usr/lib/modules', version, list), join(into, list));
  }

  await mkdir(tree.bootModules);
  const boot = await modules.pick(INITRAMFS_MODULES, OPTIONAL_MODULES);
  for (const [index, module] of boot.entries()) {
    const name = `${String(index).padStart(2, '0')}-${module.name}.ko`;
    await writeFile(join(tree.bootModules, name), module.data);
  }
  await rm(scratch, { recursive: true });
}

async function installNode(arch: Arch, npm: Map<string, string>, root: string): Promise<void> {
  const unpack = async (name: string, into: string) => {
    await mkdir(into, { recursive: true });
    await run('tar', ['-xzf', npm.get(name)!, '-C', into, '--strip-components=1', '--no-same-owner']);
  };
  const scratch = join(root, '..', 'node-package');
  await unpack(`node-linux-${arch}`, scratch);
  const node = withoutSections(await readFile(join(scratch, 'bin/node')));
  await writeFile(join(root, 'usr/bin/node'), node, { mode: 0o755 });
  await rm(scratch, { recursive: true });

  const modules = join(root, 'usr/lib/skiff/node_modules');
  await unpack('koffi', join(modules, 'koffi'));
  await unpack(`@koromix/koffi-linux-${arch}`, join(modules, '@koromix', `koffi-linux-${arch}`));
  await rm(join(modules, '@koromix', `koffi-linux-${arch}`, `musl_${arch}`), { recursive: true, force: true });
}

async function linkApplets(root: string): Promise<void> {
  for (const name of BUSYBOX_APPLETS) {
    const taken = await Promise.all(['usr/bin', 'usr/sbin'].map((dir) => exists(join(root, dir, name))));
    if (!taken.includes(true)) await symlink('busybox', join(root, 'usr/bin', name));
  }
  await symlink('../bin/busybox', join(root, 'usr/sbin/init'));
  if (!(await exists(join(root, 'usr/sbin/modprobe'))))
    await symlink('../bin/busybox', join(root, 'usr/sbin/modprobe'));
  await symlink('tini-static', join(root, 'usr/bin/docker-init'));
}

/** What ca-certificates' own script would do: all of Mozilla's authorities in one file. */
async function bundleCertificates(root: string): Promise<void> {
  const dir = join(root, 'usr/share/ca-certificates/mozilla');
  const names = (await readdir(dir)).filter((name) => name.endsWith('.crt')).sort();
  const all = await Promise.all(names.map((name) => readFile(join(dir, name), 'utf8')));
  await mkdir(join(root, 'etc/ssl/certs'), { recursive: true });
  await writeFile(join(root, 'etc/ssl/certs/ca-certificates.crt'), all.join(''));
  await rm(join(root, 'usr/share/ca-certificates'), { recursive: true });
}

/** Throws when a program or library needs a library that is not there: a package was omitted that should not have been. */
async function checkLibraries(arch: Arch, root: string): Promise<void> {
  const dirs = ['usr/bin', 'usr/sbin', 'usr/lib', `usr/lib/${ARCH_NAMES[arch].multiarch}`, 'usr/lib64'];
  const present = new Set<string>();
  const wanted = new Map<string, string>();
  for (const dir of [...dirs, 'usr/lib/openssh', 'usr/lib/git-core']) {
    for (const entry of await readdir(join(root, dir), { withFileTypes: true })) {
      present.add(entry.name);
      if (!entry.isFile()) continue;
      const data = await readFile(join(root, dir, entry.name));
      if (isElf(data)) for (const library of neededLibraries(data)) wanted.set(library, `${dir}/${entry.name}`);
    }
  }
  const missing = [...wanted].filter(([library]) => !present.has(library));
  if (missing.length > 0)
    throw new Error(`missing libraries: ${missing.map(([l, by]) => `${l} (for ${by})`).join(', ')}`);
}

/** The initramfs out of a base tree and our init script. */
export async function makeInitramfs(base: BaseTree, initScript: string): Promise<Buffer> {
  const modules = (await readdir(base.bootModules)).sort();
  const file = async (path: string, from: string, mode: number) =>
    ({ path, kind: 'file', data: await readFile(from), mode }) as const;
  return cpio([
    ...['bin', 'dev', 'modules', 'root'].map((path) => ({ path, kind: 'dir' }) as const),
    { path: 'dev/console', kind: 'char', major: 5, minor: 1 },
    await file('bin/busybox', join(base.root, 'usr/bin/busybox'), 0o755),
    ...['sh', 'mount', 'insmod', 'switch_root', 'poweroff'].map(
      (name) => ({ path: `bin/${name}`, kind: 'link', target: 'busybox' }) as const,
    ),
    ...(await Promise.all(modules.map((name) => file(`modules/${name}`, join(base.bootModules, name), 0o644)))),
    {
      path: 'modules/order',
      kind: 'file',
      data: Buffer.from(modules.map((name) => `${name}\n`).join('')),
      mode: 0o644,
    },
    await file('init', initScript, 0o755),
  ]);
}

const exists = (path: string) =>
  lstat(path).then(
    () => true,
    () => false,
  );
