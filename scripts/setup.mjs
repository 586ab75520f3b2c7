/**
 * Gets a machine ready to run, build or test Skiff: node_modules, QEMU, what builds the VM image, what tests use.
 * Plain JavaScript without dependencies, for Node 20.19 and later: it runs before anything is installed.
 *
 *   node scripts/setup.mjs                  node_modules, QEMU, image tools
 *   node scripts/setup.mjs --node-modules   only node_modules
 *   node scripts/setup.mjs --test-tools     everything, and what tests use
 *
 * Takes a few milliseconds when there is nothing to do.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { fetchOlderClients, olderClients } from './older-clients.mjs';

const project = join(dirname(fileURLToPath(import.meta.url)), '..');

/** A command, where it may be besides the PATH, and the Debian package that brings it. */
const QEMU_TOOLS =
  process.arch === 'arm64'
    ? [tool('qemu-system-aarch64', 'qemu-system-arm'), tool('qemu-img', 'qemu-utils')]
    : [tool('qemu-system-x86_64', 'qemu-system-x86'), tool('qemu-img', 'qemu-utils')];
const IMAGE_TOOLS = [
  tool('mkfs.erofs', 'erofs-utils'),
  tool('xz', 'xz-utils'),
  tool('zstd', 'zstd'),
  tool('gzip', 'gzip'),
  tool('tar', 'tar'),
  tool('dpkg-deb', 'dpkg'),
  // Its default mirror is ours on systems that aren't Debian; the keyring verifies what comes from there.
  tool('mmdebstrap', 'mmdebstrap'),
  { package: 'debian-archive-keyring', present: () => existsSync('/usr/share/keyrings/debian-archive-keyring.gpg') },
];
const TEST_TOOLS = [
  { package: 'chromium', present: () => ['chromium', 'google-chrome', 'chrome'].some(onPath) },
  tool('docker-registry', 'docker-registry'),
  tool('skopeo', 'skopeo'),
  {
    package: 'libisal2',
    present: () => ['x86_64', 'aarch64'].some((arch) => existsSync(`/usr/lib/${arch}-linux-gnu/libisal.so.2`)),
  },
  // Serves repositories that are built.
  tool('git', 'git'),
  // A static program for images that tests make from nothing.
  { package: 'busybox-static', present: () => existsSync('/bin/busybox') },
  // Its package starts a server where systemd runs: there it's left to whoever owns the machine, and its tests say that they miss it.
  { package: 'openssh-server', present: () => existsSync('/usr/sbin/sshd') || existsSync('/run/systemd/system') },
];

function tool(command, debianPackage) {
  return { package: debianPackage, present: () => onPath(command) };
}

export class SetupError extends Error {
  name = 'SetupError';
}

/**
 * Makes what is asked for available, installing through npm and apt what is missing.
 * Throws SetupError with the one line to run by hand when it may not install.
 *
 * @param {{ nodeModules?: boolean, qemu?: boolean, imageTools?: boolean, testTools?: boolean, log?: (line: string) => void }} [wanted]
 * @returns {Promise<void>}
 */
export async function setup(wanted = {}) {
  const { nodeModules = true, qemu = true, imageTools = true, testTools = false, log = console.log } = wanted;
  if (nodeModules) ensureNodeModules(log);
  const tools = [
    ...(qemu ? QEMU_TOOLS : []),
    ...(imageTools && process.platform === 'linux' ? IMAGE_TOOLS : []),
    ...(testTools && process.platform === 'linux' ? TEST_TOOLS : []),
  ];
  const missing = [...new Set(tools.filter((one) => !one.present()).map((one) => one.package))];
  if (missing.length > 0) installPackages(missing, log);
  if (!testTools || process.platform !== 'linux') return;
  if (!dockerCli()) fetchTool('docker-cli', log);
  if (!dockerCompose()) fetchTool('docker-compose', log);
  if (!olderDockerClients()) fetchOlderClients(cachedTool('older-clients'), log);
}

/**
 * The docker CLI to test with: the machine's own, else Debian's in the cache (put there by `setup({ testTools: true })`).
 *
 * @returns {string | undefined} the program's path or name
 */
export function dockerCli() {
  if (onPath('docker')) return 'docker';
  const cached = cachedDocker();
  return existsSync(cached) ? cached : undefined;
}

/**
 * Debian's docker-compose to test with, from the cache; it runs by itself, without the docker CLI.
 *
 * @returns {string | undefined} the program's path
 */
export function dockerCompose() {
  const cached = join(cachedTool('docker-compose'), 'usr', 'libexec', 'docker', 'cli-plugins', 'docker-compose');
  return existsSync(cached) ? cached : undefined;
}

/** docker 20.10 and docker-compose 1.29, when they are in the cache. */
export function olderDockerClients() {
  return olderClients(cachedTool('older-clients'));
}

/** node_modules follow package-lock.json: npm leaves its own copy of the lock in there, which tells when it last did. */
function ensureNodeModules(log) {
  const wanted = join(project, 'package-lock.json');
  const installed = join(project, 'node_modules', '.package-lock.json');
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(wanted).mtimeMs) return;
  if (existsSync(installed) && sameLock(wanted, installed)) return;
  log('Installing node_modules…');
  // Not `npm ci`: it refuses a lock file that leaves out optional packages of other systems, which npm itself writes so.
  // This installs what the lock file pins all the same, and doesn't touch it.
  // No package's install script is needed to build or test; Electron's would download the binary, which scripts/start does
  // when it wants the window.
  const npm = spawnSync(
    'npm',
    ['install', '--no-save', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'],
    {
      cwd: project,
      stdio: ['ignore', 'inherit', 'inherit'],
      shell: process.platform === 'win32',
    },
  );
  if (npm.status !== 0) throw new SetupError('npm install failed: see its messages above. Then run this again.');
}

/** A checkout sets new times on unchanged files: what counts is whether the same packages would be installed. */
function sameLock(wantedPath, installedPath) {
  try {
    const wanted = JSON.parse(readFileSync(wantedPath, 'utf8')).packages;
    const installed = JSON.parse(readFileSync(installedPath, 'utf8')).packages;
    const pins = (packages) => new Map(Object.entries(packages).map(([path, entry]) => [path, entry.version]));
    const want = pins(wanted);
    const have = pins(installed);
    for (const [path, version] of have) if (want.get(path) !== version) return false;
    for (const [path, entry] of Object.entries(wanted)) if (path && !entry.optional && !have.has(path)) return false;
    return true;
  } catch {
    return false;
  }
}

function installPackages(packages, log) {
  const command = `apt-get install -y --no-install-recommends ${packages.join(' ')}`;
  if (process.platform === 'darwin') throw new SetupError('QEMU is missing. Run: brew install qemu');
  if (process.platform === 'win32') {
    throw new SetupError('QEMU is missing. Run: winget install SoftwareFreedomConservancy.QEMU');
  }
  if (!onPath('apt-get')) {
    throw new SetupError(`Missing: ${packages.join(', ')} (Debian's names). Install them with your package manager.`);
  }
  const sudo = elevation();
  if (!sudo) throw new SetupError(`Missing: ${packages.join(', ')}. Run: sudo apt-get update && sudo ${command}`);
  log(`Installing ${packages.join(', ')}…`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const install = () => runQuietly([...sudo, ...command.split(' ')], env);
  // The package lists of a new machine are missing or old; then they are fetched, and it's tried again.
  let result = install();
  if (result.status !== 0) {
    runQuietly([...sudo, 'apt-get', 'update'], env);
    result = install();
  }
  if (result.status !== 0) {
    throw new SetupError(
      `apt-get could not install ${packages.join(', ')}:\n${result.output.split('\n').slice(-15).join('\n')}`,
    );
  }
}

/** The words to put before a command that needs root; undefined when this user can't without a password. */
function elevation() {
  if (process.getuid?.() === 0) return [];
  return onPath('sudo') && spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' }).status === 0
    ? ['sudo', '-n', '-E']
    : undefined;
}

function runQuietly([command, ...args], env) {
  const result = spawnSync(command, args, { env, encoding: 'utf8', maxBuffer: 1 << 26 });
  return { status: result.status, output: `${result.stdout ?? ''}${result.stderr ?? ''}${result.error ?? ''}` };
}

function onPath(command) {
  const suffix = process.platform === 'win32' ? '.exe' : '';
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  return folders.some((folder) => {
    try {
      accessSync(join(folder, command + suffix), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Folder of a Debian package that was unpacked into the cache. */
function cachedTool(debianPackage) {
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), '.cache');
  return join(cache, 'skiff', 'tools', debianPackage);
}

const cachedDocker = () => join(cachedTool('docker-cli'), 'usr', 'bin', 'docker');

/** A package of Debian 13, unpacked into the cache: a program for tests is no reason to change the system. */
function fetchTool(debianPackage, log) {
  log(`Fetching ${debianPackage} for tests…`);
  const into = cachedTool(debianPackage);
  mkdirSync(dirname(into), { recursive: true });
  const temp = mkdtempSync(`${into}.new-`);
  try {
    // The image builder knows how to get a package of that suite; it needs the Node that comes with node_modules.
    const node = join(project, 'node_modules', '.bin', process.platform === 'win32' ? 'node.exe' : 'node');
    const script = join(project, 'resources', 'vm', 'fetch-package.ts');
    execFileSync(existsSync(node) ? node : process.execPath, [script, debianPackage, temp], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    rmSync(into, { recursive: true, force: true });
    renameSync(temp, into);
  } finally {
    rmSync(temp, { recursive: true, force: true });
  }
}

if (process.argv[1] && import.meta.filename === process.argv[1]) {
  const only = process.argv.includes('--node-modules');
  try {
    await setup({ qemu: !only, imageTools: !only, testTools: process.argv.includes('--test-tools') });
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  }
}
