/** Debian's archive through the host's own apt, in a private root: the system's package state is neither read nor changed. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { SUITE } from './packages.ts';

const run = promisify(execFile);
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

/** One .deb as Debian's signed index describes it. `filename` is relative to the mirror. */
export interface DebPackage {
  name: string;
  version: string;
  arch: string;
  filename: string;
  size: number;
  sha256: string;
}

/**
 * The mirror to take packages from: $SKIFF_DEBIAN_MIRROR, else the one this Debian host uses, else the default of mmdebstrap
 * or debootstrap. Throws when there is none of them.
 */
export async function debianMirror(): Promise<string> {
  const chosen = process.env.SKIFF_DEBIAN_MIRROR;
  if (chosen) return chosen.replace(/\/+$/, '');
  const targets = await run('apt-get', ['indextargets', '--format', '$(SITE)|$(ORIGIN)|$(LABEL)|$(REPO_URI)']).catch(
    () => ({ stdout: '' }),
  );
  for (const line of targets.stdout.split('\n')) {
    const [site, origin, label] = line.split('|');
    if (site && origin === 'Debian' && label === 'Debian') return site.replace(/\/+$/, '');
  }
  for (const file of ['/usr/bin/mmdebstrap', '/usr/share/debootstrap/scripts/sid', '/usr/sbin/debootstrap']) {
    if (!existsSync(file)) continue;
    const found = /https?:\/\/[\w.-]+\/debian(?=['"\s/])/.exec(await readFile(file, 'utf8'));
    if (found) return found[0];
  }
  throw new Error(
    'No Debian mirror is known on this machine. Set SKIFF_DEBIAN_MIRROR to one, or install mmdebstrap, which has a default.',
  );
}

/** apt on its own root under `dir` for one Debian architecture. Call update() before anything else. */
export class PrivateApt {
  readonly #env: NodeJS.ProcessEnv;
  readonly #dir: string;
  readonly #debianArch: string;

  constructor(dir: string, debianArch: string) {
    this.#dir = dir;
    this.#debianArch = debianArch;
    this.#env = { ...process.env, APT_CONFIG: join(dir, 'apt.conf'), LC_ALL: 'C' };
  }

  /** Fetches the signed index of the suite. */
  async update(): Promise<void> {
    const dir = this.#dir;
    for (const sub of ['lists/partial', 'cache/archives/partial', 'etc']) {
      await mkdir(join(dir, sub), { recursive: true });
    }
    await writeFile(join(dir, 'status'), '');
    const signed = existsSync(KEYRING) ? `[signed-by=${KEYRING}] ` : '';
    await writeFile(join(dir, 'sources.list'), `deb ${signed}${await debianMirror()} ${SUITE} main\n`);
    await writeFile(
      join(dir, 'apt.conf'),
      [
        `Dir::State::lists "${dir}/lists";`,
        `Dir::State::status "${dir}/status";`,
        `Dir::Cache "${dir}/cache";`,
        `Dir::Etc::SourceList "${dir}/sources.list";`,
        'Dir::Etc::SourceParts "/dev/null";',
        'Dir::Etc::Preferences "/dev/null";',
        'Dir::Etc::PreferencesParts "/dev/null";',
        `APT::Architecture "${this.#debianArch}";`,
        `APT::Architectures { "${this.#debianArch}"; };`,
        'APT::Install-Recommends "0";',
        'Acquire::Languages "none";',
        ...sandboxOption(),
        '',
      ].join('\n'),
    );
    await run('apt-get', ['update', '-qq'], { env: this.#env });
  }

  /** Everything that would be installed on an empty system to have `names`. */
  async closure(names: string[]): Promise<DebPackage[]> {
    const { stdout } = await run('apt-get', ['install', '-s', '-qq', ...names], {
      env: this.#env,
      maxBuffer: 1 << 26,
    });
    const chosen = [...stdout.matchAll(/^Inst (\S+) \((\S+) /gm)].map((m) => `${m[1]}=${m[2]}`);
    return this.show(chosen);
  }

  /** The index entries of packages, given as `name` (the newest) or `name=version`, sorted by name. */
  async show(specs: string[]): Promise<DebPackage[]> {
    const args = ['show', '--no-all-versions', ...specs];
    const { stdout } = await run('apt-cache', args, { env: this.#env, maxBuffer: 1 << 26 });
    return parseStanzas(stdout).sort((a, b) => (a.name < b.name ? -1 : 1));
  }
}

/** Parses the stanzas that `apt-cache show` prints. */
export function parseStanzas(text: string): DebPackage[] {
  return text
    .split(/\n\n+/)
    .filter((stanza) => stanza.includes('Package:'))
    .map((stanza) => {
      const field = (name: string) => {
        const found = new RegExp(`^${name}: (.*)$`, 'm').exec(stanza)?.[1];
        if (!found) throw new Error(`apt-cache show: no ${name} in\n${stanza}`);
        return found;
      };
      return {
        name: field('Package'),
        version: field('Version'),
        arch: field('Architecture'),
        filename: field('Filename'),
        size: Number(field('Size')),
        sha256: field('SHA256'),
      };
    });
}

/**
 * Downloads with apt's own proxy and transport settings. Returns when apt is done; a file that is missing afterwards could not
 * be had (the caller tells which). The caller checks hashes.
 */
export async function aptDownload(files: { url: string; path: string }[], signal?: AbortSignal): Promise<void> {
  const args = [...sandboxOption().flatMap((option) => ['-o', option.replace(/ "(.*)";$/, '=$1')]), 'download-file'];
  for (const { url, path } of files) args.push(url, path);
  // It fails as a whole when one of the files failed, after having fetched the others.
  await run('/usr/lib/apt/apt-helper', args, { maxBuffer: 1 << 26, signal }).catch((error: Error) => {
    if (signal?.aborted) throw error;
  });
}

/** apt drops to its own user when root, and that user can't write to our cache: we check hashes ourselves instead. */
function sandboxOption(): string[] {
  return process.getuid?.() === 0 ? ['APT::Sandbox::User "root";'] : [];
}
