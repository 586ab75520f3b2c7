import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { ensureVmImage } from '../resources/vm/image.ts';
import { buildEngine } from '../scripts/build-engine.ts';
import { dockerCli } from '../scripts/setup.mjs';
import { spawnTestbed, whenReady } from '../scripts/testbed.ts';

/**
 * `npm run bench`: what `docker run` and its parts cost with skiffd and, beside it, with a dockerd, in one run on one machine.
 * Root on Linux. The peer is the dockerd on the PATH, or one in a root tree of its own: DOCKERD_ROOT=/path (entered by pivot_root);
 * without either only skiffd is measured, and the table says so. Both run in network namespaces of their own.
 */
const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 15);
const IMAGE = 'skiff/welcome';

interface Peer {
  readonly name: string;
  readonly socket: string;
  stop(): Promise<void>;
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await exit;
}

async function startSkiff(scratch: string, rootTree: string): Promise<Peer> {
  const data = join(scratch, 'skiff');
  const socket = join(data, 'sock/docker.sock');
  const engineDir = join(import.meta.dirname, '../dist/engine');
  const engine = spawnTestbed({ data, socket, rootTree, engineDir, privateNet: true, stdio: 'pipe' });
  await whenReady(engine, socket);
  return { name: 'skiffd', socket, stop: () => ended(engine) };
}

function dockerdCommand(): { root: string; version: string } | undefined {
  const root = process.env.DOCKERD_ROOT ?? '/';
  if (!existsSync(join(root, 'usr/sbin/dockerd'))) return undefined;
  const version = execFileSync('chroot', [root, '/usr/sbin/dockerd', '--version'], { encoding: 'utf8' });
  return { root, version: /version (\S+?),/.exec(version)?.[1] ?? '' };
}

const DOCKERD_SCRIPT = `set -e
root=$1 data=$2
mount --bind $root $root
for d in proc sys dev; do mount --rbind /$d $root/$d; done
mkdir -p $root/run $root/bench $root/mnt
mount -t tmpfs tmpfs $root/run
mount --bind $data $root/bench
ip link set lo up
cd $root; pivot_root . mnt
exec /usr/sbin/dockerd --data-root /bench/lib --exec-root /bench/run --pidfile /bench/dockerd.pid -H unix:///bench/docker.sock`;

async function startDockerd(scratch: string): Promise<Peer | undefined> {
  const found = dockerdCommand();
  if (!found) return undefined;
  const data = join(scratch, 'dockerd');
  spawnSync('mkdir', ['-p', data]);
  const argv = ['--mount', '--propagation=private', '--net', '/bin/sh', '-c', DOCKERD_SCRIPT, 'sh', found.root, data];
  const daemon = spawn('unshare', argv, {
    stdio: ['ignore', 'ignore', process.env.BENCH_VERBOSE ? 'inherit' : 'ignore'],
  });
  const socket = join(data, 'docker.sock');
  await whenReady(daemon, socket);
  await delay(1000);
  return { name: `dockerd ${found.version}`, socket, stop: () => ended(daemon) };
}

function docker(peer: Peer, ...args: string[]): string {
  const run = spawnSync(dockerCli(), ['-H', `unix://${peer.socket}`, ...args], { encoding: 'utf8' });
  if (run.status !== 0) throw new Error(`${peer.name}: docker ${args.join(' ')}: ${run.stderr}`);
  return run.stdout.trim();
}

const median = (values: number[]): number => values.sort((a, b) => a - b)[Math.floor(values.length / 2)]!;

function time(work: () => void): number {
  const start = performance.now();
  work();
  return performance.now() - start;
}

interface Case {
  readonly name: string;
  before?(peer: Peer): void;
  work(peer: Peer): void;
  after?(peer: Peer): void;
}

const CASES: readonly Case[] = [
  { name: 'docker run --rm true', work: (peer) => void docker(peer, 'run', '--rm', IMAGE, 'true') },
  { name: '  without network', work: (peer) => void docker(peer, 'run', '--rm', '--network', 'none', IMAGE, 'true') },
  { name: '  with a published port', work: (peer) => void docker(peer, 'run', '--rm', '-p', '80', IMAGE, 'true') },
  {
    name: 'docker exec true',
    before: (peer) => void docker(peer, 'run', '-d', '--name', 'bench', IMAGE, 'sleep', '600'),
    work: (peer) => void docker(peer, 'exec', 'bench', 'true'),
    after: (peer) => void docker(peer, 'rm', '-f', 'bench'),
  },
  {
    name: 'docker logs of 300,000 lines',
    before: (peer) => {
      docker(
        peer,
        'run',
        '-d',
        '--name',
        'lines',
        IMAGE,
        'sh',
        '-c',
        'seq 300000 | sed "s/^/a line of a log, number /"',
      );
      docker(peer, 'wait', 'lines');
    },
    work: (peer) => {
      const argv = ['-H', `unix://${peer.socket}`, 'logs', 'lines'];
      spawnSync(dockerCli(), argv, { stdio: ['ignore', 'ignore', 'inherit'] });
    },
    after: (peer) => void docker(peer, 'rm', '-f', 'lines'),
  },
];

const scratch = mkdtempSync(join(tmpdir(), 'skiff-bench-'));
const peers: Peer[] = [];
try {
  await buildEngine();
  const image = await ensureVmImage();
  peers.push(await startSkiff(scratch, image.rootTree));
  const dockerd = await startDockerd(scratch);
  if (dockerd) {
    peers.push(dockerd);
    docker(dockerd, 'load', '-i', join(image.rootTree, 'usr/share/skiff/images/welcome.tar'));
  } else console.log('no dockerd on this machine (DOCKERD_ROOT): skiffd alone, no ratios');
  console.log(`medians of ${ROUNDS}, ms`);
  for (const { name, before, work, after } of CASES) {
    const rounds = peers.map((): number[] => []);
    for (const peer of peers) before?.(peer);
    for (const peer of peers) work(peer);
    // Turn by turn, so that what disturbs the machine disturbs both.
    for (let round = 0; round < ROUNDS; round++) {
      for (const [index, peer] of peers.entries()) rounds[index]!.push(time(() => work(peer)));
    }
    for (const peer of peers) after?.(peer);
    const [own = 0, other] = rounds.map(median);
    const columns = peers.map((peer, index) => `${peer.name} ${median(rounds[index]!).toFixed(0).padStart(5)}`);
    console.log(`${name.padEnd(30)} ${columns.join('   ')}${other ? `   ratio ${(own / other).toFixed(2)}` : ''}`);
  }
} finally {
  for (const peer of peers) await peer.stop();
  rmSync(scratch, { recursive: true, force: true, maxRetries: 5 });
}
