import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { dockerCli } from '../scripts/setup.mjs';
import { spawnTestbed, whenReady } from '../scripts/testbed.ts';
import { type Call, call, type Reply } from '../test/api/http.ts';
import { spawnDockerd } from '../test/build/dockerd.ts';

/** An engine that is measured: skiffd, or the dockerd beside it. */
export interface Peer {
  readonly name: string;
  readonly socket: string;
  readonly pid: number;
  stop(): Promise<void>;
}

export async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await exit;
}

export async function startSkiff(scratch: string, rootTree: string): Promise<Peer> {
  const data = join(scratch, 'skiff');
  const socket = join(data, 'sock/docker.sock');
  const engineDir = join(import.meta.dirname, '../dist/engine');
  const engine = spawnTestbed({ data, socket, rootTree, engineDir, privateNet: true, stdio: 'pipe' });
  for (const output of [engine.stdout, engine.stderr]) output?.resume();
  await whenReady(engine, socket);
  return { name: 'skiffd', socket, pid: engine.pid ?? 0, stop: () => ended(engine) };
}

/**
 * The dockerd on the PATH, or one in a root tree of its own: DOCKERD_ROOT=/path, entered by pivot_root. Undefined without either.
 * It gets a network namespace of its own, as skiffd does.
 */
export async function startDockerd(scratch: string): Promise<Peer | undefined> {
  const root = process.env.DOCKERD_ROOT ?? '/';
  if (!existsSync(join(root, 'usr/sbin/dockerd'))) return undefined;
  const said = execFileSync('chroot', [root, '/usr/sbin/dockerd', '--version'], { encoding: 'utf8' });
  const data = join(scratch, 'dockerd');
  const output = process.env.BENCH_VERBOSE ? 'inherit' : 'ignore';
  const daemon = spawnDockerd(root, data, ['ignore', 'ignore', output]);
  const socket = join(data, 'docker.sock');
  await whenReady(daemon, socket);
  await delay(1000);
  const version = /version (\S+?),/.exec(said)?.[1] ?? '';
  return { name: `dockerd ${version}`, socket, pid: daemon.pid ?? 0, stop: () => ended(daemon) };
}

/** docker-registry on each peer's own loopback, all with one storage. */
export async function startRegistries(
  scratch: string,
  peers: readonly Peer[],
): Promise<{ host: string; stop(): Promise<void> }> {
  const host = '127.0.0.1:5000';
  const config = join(scratch, 'registry.yml');
  const storage = `storage: {filesystem: {rootdirectory: ${scratch}/registry}, delete: {enabled: true}}`;
  writeFileSync(
    config,
    `version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n${storage}\nhttp: {addr: "${host}", secret: bench}\n`,
  );
  const children = peers.map((peer) =>
    spawn('nsenter', [`--target=${peer.pid}`, '--net', 'docker-registry', 'serve', config], { stdio: 'ignore' }),
  );
  await delay(1000);
  return {
    host,
    async stop() {
      for (const child of children) await ended(child);
    },
  };
}

/** The docker CLI; throws when it fails. */
export function docker(peer: Peer, ...args: string[]): string {
  const run = spawnSync(dockerCli(), ['-H', `unix://${peer.socket}`, ...args], {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  if (run.status !== 0) throw new Error(`${peer.name}: docker ${args.join(' ')}: ${run.stderr}`);
  return run.stdout.trim();
}

/** The docker CLI, whose output nobody wants. */
export function toNowhere(peer: Peer, ...args: string[]): void {
  spawnSync(dockerCli(), ['-H', `unix://${peer.socket}`, ...args], { stdio: ['ignore', 'ignore', 'inherit'] });
}

/** The API, in a version both speak; throws for an error. */
export async function api(peer: Peer, method: string, path: string, options: Call = {}): Promise<Reply> {
  const reply = await call(peer.socket, method, `/v1.44${path}`, options);
  if (reply.status >= 400)
    throw new Error(`${peer.name}: ${method} ${path}: ${reply.status} ${reply.body.toString('utf8')}`);
  return reply;
}

export const idOf = (reply: Reply): string => (reply.json as { Id: string }).Id;

/** Megabytes (PSS) of all processes of an engine: whatever lives in its own mount namespace, which containers don't. */
export function memoryOf(peer: Peer): number {
  const own = readlinkSync(`/proc/${peer.pid}/ns/mnt`);
  let kilobytes = 0;
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      if (readlinkSync(`/proc/${pid}/ns/mnt`) !== own) continue;
      kilobytes += Number(/^Pss:\s*(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? 0);
    } catch {
      // it ended meanwhile
    }
  }
  return kilobytes / 1024;
}
