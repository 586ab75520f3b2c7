import { execFileSync } from 'node:child_process';

import type { Case } from '../measure.ts';
import { docker, type Peer } from '../peers.ts';

const IMAGE = 'skiff/welcome';
/** BENCH_MEGABYTES: how much each row moves. */
const MEGABYTES = Number(process.env.BENCH_MEGABYTES ?? 1024);
const PORT = 8390;
const SERVE = `mkdir -p /srv && truncate -s ${MEGABYTES}M /srv/big && exec httpd -f -h /srv -p`;

const run = (peer: Peer, name: string, ...rest: string[]) =>
  docker(peer, 'run', '-d', '--stop-signal', 'KILL', '--name', name, ...rest);
const remove = (peer: Peer) => docker(peer, 'rm', '-f', 'server', 'client');
const pidOf = (peer: Peer, name: string) => docker(peer, 'inspect', '-f', '{{.State.Pid}}', name);
const addressOf = (peer: Peer, name: string, field = 'IPAddress') =>
  docker(peer, 'inspect', '-f', `{{range .NetworkSettings.Networks}}{{.${field}}}{{end}}`, name);

const urls = new Map<Peer, readonly [pid: string, url: string]>();

/** Servers and clients, and where the one is for the other. */
function prepare(
  peer: Peer,
  server: readonly string[],
  client: readonly string[],
  port: number,
  url: () => string,
): void {
  run(peer, 'server', ...server, IMAGE, 'sh', '-c', `${SERVE} ${port}`);
  run(peer, 'client', ...client, IMAGE, 'sleep', '100000');
  const pid = pidOf(peer, 'client');
  urls.set(peer, [pid, url()]);
  for (let tries = 0; tries < 100; tries++) {
    try {
      fetchBig(peer, 'wget -qO /dev/null --spider');
      return;
    } catch {
      execFileSync('sleep', ['0.1']);
    }
  }
  throw new Error(`${peer.name}: nobody serves ${url()}`);
}

/** With the client container's own programs, without an exec by the engine. */
function fetchBig(peer: Peer, command = 'wget -qO /dev/null'): void {
  const [pid = '', url = ''] = urls.get(peer) ?? [];
  const all = ['-t', pid, '-m', '-n', '-p', '-r', '-w', '/bin/sh', '-c', `${command} ${url}`];
  execFileSync('nsenter', all, { stdio: ['ignore', 'ignore', 'pipe'], timeout: 120_000 });
}

/** Of a network: the same file from one place to another. */
export const NETWORK_CASES: readonly Case[] = [
  {
    name: `network: container → container, ${MEGABYTES} MB`,
    goal: 1.1,
    rounds: 5,
    before: (peer) => prepare(peer, [], [], 80, () => `http://${addressOf(peer, 'server')}/big`),
    work: (peer) => fetchBig(peer),
    after: remove,
  },
  {
    name: 'network: container → host',
    goal: 1.1,
    rounds: 5,
    before: (peer) =>
      prepare(
        peer,
        ['--network', 'host'],
        [],
        PORT,
        () => `http://${addressOf(peer, 'client', 'Gateway')}:${PORT}/big`,
      ),
    work: (peer) => fetchBig(peer),
    after: remove,
  },
  {
    name: 'network: host → published port',
    goal: 1.1,
    rounds: 5,
    before: (peer) =>
      prepare(
        peer,
        ['-p', `${PORT}:80`],
        ['--network', 'host'],
        80,
        () => `http://${addressOf(peer, 'server', 'Gateway')}:${PORT}/big`,
      ),
    work: (peer) => fetchBig(peer),
    after: remove,
  },
];
