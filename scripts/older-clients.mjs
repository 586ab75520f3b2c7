/**
 * Clients of years ago, to test version negotiation with: docker 20.10 and docker-compose 1.29, as Debian 12 has them. They are
 * unpacked into the cache, not installed. Where apt has other versions there are none, and the tests say so.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';

const WANTED = [
  ['docker.io', /^20\.10\./],
  ['docker-compose', /^1\.29\./],
];
/** Packages that docker.io needs to run an engine, which nobody does here. */
const ENGINE_ONLY = /^(runc|containerd|tini|docker\.io)$/;

const run = (command, args, options = {}) => spawnSync(command, args, { encoding: 'utf8', ...options });

/**
 * @param {string} folder of the cache
 * @returns {{ docker: string, compose: string, pythonPath: string } | undefined}
 */
export function olderClients(folder) {
  const docker = join(folder, 'usr', 'bin', 'docker');
  const compose = join(folder, 'usr', 'bin', 'docker-compose');
  if (!existsSync(docker) || !existsSync(compose)) return undefined;
  return { docker, compose, pythonPath: join(folder, 'usr', 'lib', 'python3', 'dist-packages') };
}

/**
 * Fetches them where apt has them. Never throws: they are no more than a test's peers.
 *
 * @param {string} folder
 * @param {(line: string) => void} log
 */
export function fetchOlderClients(folder, log) {
  if (!WANTED.every(([name, version]) => version.test(candidate(name)))) return;
  log('Fetching docker 20.10 and docker-compose 1.29 for tests…');
  const { stdout } = run('apt-get', ['install', '--simulate', '--no-install-recommends', 'docker-compose']);
  const needed = [...stdout.matchAll(/^Inst (\S+)/gm)]
    .map((match) => match[1])
    .filter((name) => !ENGINE_ONLY.test(name));
  mkdirSync(dirname(folder), { recursive: true });
  const temp = mkdtempSync(`${folder}.new-`);
  try {
    const root = join(temp, 'root');
    mkdirSync(root);
    run('apt-get', ['download', 'docker.io', ...needed], { cwd: temp });
    for (const file of readdirSync(temp).filter((name) => name.endsWith('.deb')))
      run('dpkg-deb', ['-x', join(temp, file), root]);
    rmSync(folder, { recursive: true, force: true });
    renameSync(root, folder);
  } catch (error) {
    log(`no older clients: ${error.message}`);
  } finally {
    rmSync(temp, { recursive: true, force: true });
  }
}

/** The version that apt would install; '' where there is none. */
function candidate(name) {
  const { stdout } = run('apt-cache', ['policy', name]);
  return /Candidate: (\S+)/.exec(stdout ?? '')?.[1] ?? '';
}
