import { spawnSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { dockerCli } from '../../scripts/setup.mjs';
import type { Case } from '../measure.ts';
import { api, docker, idOf, type Peer, toNowhere } from '../peers.ts';

const IMAGE = 'skiff/welcome';
const LISTED = 200;
const LINES = 300_000;
const FILE_BYTES = 100 << 20;

const create = async (peer: Peer, command: readonly string[], host: object = {}): Promise<string> =>
  idOf(await api(peer, 'POST', '/containers/create', { body: { Image: IMAGE, Cmd: command, HostConfig: host } }));
const start = (peer: Peer, id: string) => api(peer, 'POST', `/containers/${id}/start`);
const wait = (peer: Peer, id: string) => api(peer, 'POST', `/containers/${id}/wait`);
const remove = (peer: Peer, id: string) => api(peer, 'DELETE', `/containers/${id}?force=1`);

async function cycle(peer: Peer): Promise<void> {
  const id = await create(peer, ['true']);
  await start(peer, id);
  await wait(peer, id);
  await remove(peer, id);
}

/** What a case made for each peer and takes away again. */
const kept = new Map<Peer, string[]>();
const keep = (peer: Peer, ...ids: string[]) => void kept.set(peer, ids);
const first = (peer: Peer): string => kept.get(peer)?.[0] ?? '';
const removeKept = async (peer: Peer) => {
  for (const id of kept.get(peer) ?? []) await remove(peer, id);
  kept.delete(peer);
};

async function execTrue(peer: Peer): Promise<void> {
  const body = { Cmd: ['true'], AttachStdout: true, AttachStderr: true };
  const exec = idOf(await api(peer, 'POST', `/containers/${first(peer)}/exec`, { body }));
  await api(peer, 'POST', `/exec/${exec}/start`, { body: { Detach: false, Tty: false } });
}

const linesCommand = ['sh', '-c', `seq ${LINES} | sed "s/^/a line of a log, number /"`];
const bigFile = join(tmpdir(), 'skiff-bench-file');

export const CONTAINER_CASES: readonly Case[] = [
  { name: 'docker run --rm true', goal: 0.2, work: (peer) => docker(peer, 'run', '--rm', IMAGE, 'true') },
  {
    name: '  without network',
    goal: 0.2,
    work: (peer) => docker(peer, 'run', '--rm', '--network', 'none', IMAGE, 'true'),
  },
  {
    name: '  with a published port',
    goal: 0.2,
    work: (peer) => docker(peer, 'run', '--rm', '-p', '80', IMAGE, 'true'),
  },
  { name: 'create, start, wait, rm by API', goal: 0.12, work: cycle },
  {
    name: 'start by API',
    goal: 0.1,
    prepare: async (peer) => keep(peer, await create(peer, ['sleep', '600'])),
    work: (peer) => start(peer, first(peer)),
    tidy: removeKept,
  },
  {
    name: '30 containers, 8 at a time',
    goal: 0.12,
    rounds: 3,
    async work(peer) {
      let left = 30;
      const worker = async () => {
        while (left-- > 0) await cycle(peer);
      };
      await Promise.all(Array.from({ length: 8 }, worker));
    },
  },
  {
    name: `list ${LISTED} containers`,
    goal: 0.5,
    async before(peer) {
      const ids: string[] = [];
      for (let index = 0; index < LISTED; index++) ids.push(await create(peer, ['true']));
      keep(peer, ...ids);
    },
    work: (peer) => api(peer, 'GET', '/containers/json?all=1'),
    after: removeKept,
  },
  {
    name: 'exec true by API',
    goal: 0.35,
    async before(peer) {
      keep(peer, await create(peer, ['sleep', '600']));
      await start(peer, first(peer));
    },
    work: execTrue,
    after: removeKept,
  },
  {
    name: 'docker exec true',
    async before(peer) {
      keep(peer, await create(peer, ['sleep', '600']));
      await start(peer, first(peer));
    },
    work: (peer) => docker(peer, 'exec', first(peer), 'true'),
    after: removeKept,
  },
  {
    name: 'stop one that traps TERM',
    goal: 0.3,
    async prepare(peer) {
      keep(peer, await create(peer, ['sh', '-c', 'trap "exit 0" TERM; touch /ready; sleep 600 & wait']));
      await start(peer, first(peer));
      while (
        spawnSync(dockerCli(), ['-H', `unix://${peer.socket}`, 'exec', first(peer), 'test', '-e', '/ready']).status !==
        0
      );
    },
    work: (peer) => api(peer, 'POST', `/containers/${first(peer)}/stop`),
    tidy: removeKept,
  },
  {
    name: `write ${LINES} log lines`,
    goal: 0.4,
    rounds: 3,
    prepare: async (peer) => keep(peer, await create(peer, linesCommand)),
    async work(peer) {
      await start(peer, first(peer));
      await wait(peer, first(peer));
    },
    tidy: removeKept,
  },
  {
    name: 'docker logs of them',
    goal: 0.3,
    rounds: 5,
    async before(peer) {
      keep(peer, await create(peer, linesCommand));
      await start(peer, first(peer));
      await wait(peer, first(peer));
    },
    work: (peer) => toNowhere(peer, 'logs', first(peer)),
    after: removeKept,
  },
  {
    name: 'docker cp 100 MB in',
    goal: 0.6,
    rounds: 7,
    async before(peer) {
      writeFileSync(bigFile, Buffer.alloc(FILE_BYTES, 'skiff'));
      keep(peer, await create(peer, ['sleep', '600']));
      await start(peer, first(peer));
    },
    work: (peer) => docker(peer, 'cp', bigFile, `${first(peer)}:/big`),
    async after(peer) {
      rmSync(bigFile, { force: true });
      await removeKept(peer);
    },
  },
];
