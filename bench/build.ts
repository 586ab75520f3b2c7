import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { ensureVmImage } from '../resources/vm/image.ts';
import { buildEngine } from '../scripts/build-engine.ts';
import { dockerCli } from '../scripts/setup.mjs';
import { Dockerd, dockerdRoot } from '../test/build/dockerd.ts';
import { Testbed } from '../test/engine/testbed.ts';

/** `npm run bench:build`: builds with skiffd and, where DOCKERD_ROOT names one, with dockerd's classic builder beside it. */
const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 7);
const FILES = 2000;

interface Case {
  readonly name: string;
  readonly dockerfile: string;
  readonly cold: boolean;
  /** Changes the context before each round. */
  readonly change?: (folder: string, round: number) => void;
  readonly files?: number;
}

const BASE = 'FROM skiff/welcome\n';
const runs = Array.from({ length: 10 }, (_unused, index) => `RUN echo ${index} > /f${index}`).join('\n');
const CASES: readonly Case[] = [
  { name: '10 RUN, cold', dockerfile: BASE + runs, cold: true },
  { name: '10 RUN, cached', dockerfile: BASE + runs, cold: false },
  {
    name: 'one changed file, then a RUN',
    dockerfile: `${BASE}RUN echo before > /b\nCOPY . /src/\nRUN cat /src/changing > /c`,
    cold: false,
    change: (folder, round) => writeFileSync(join(folder, 'changing'), `${Date.now()} ${round}`),
  },
  {
    name: 'two stages of a second each',
    dockerfile: `${BASE.trim()} AS a\nRUN sleep 1; echo > /a\n${BASE.trim()} AS b\nRUN sleep 1; echo > /b\n${BASE}COPY --from=a /a /\nCOPY --from=b /b /`,
    cold: true,
  },
  { name: `${FILES} files, cold`, dockerfile: `${BASE}COPY . /src/`, cold: true, files: FILES },
  { name: `${FILES} files, cached`, dockerfile: `${BASE}COPY . /src/`, cold: false, files: FILES },
];

const median = (values: number[]): number => values.sort((a, b) => a - b)[Math.floor(values.length / 2)] as number;

function build(socket: string, folder: string, cold: boolean): number {
  const start = performance.now();
  const args = ['-H', `unix://${socket}`, 'build', '-q', ...(cold ? ['--no-cache'] : []), folder];
  const run = spawnSync(dockerCli(), args, { encoding: 'utf8', env: { ...process.env, DOCKER_BUILDKIT: '0' } });
  if (run.status !== 0) throw new Error(run.stderr);
  return performance.now() - start;
}

await buildEngine();
await using bed = new Testbed();
await bed.start();
const peers = [{ name: 'skiffd', socket: bed.socket }];
await using dockerd = new Dockerd();
const root = dockerdRoot();
if (root) {
  await dockerd.start(root);
  const { rootTree } = await ensureVmImage();
  const archive = join(rootTree, 'usr/share/skiff/images/welcome.tar');
  spawnSync(dockerCli(), ['-H', `unix://${dockerd.socket}`, 'load', '-i', archive]);
  peers.push({ name: 'dockerd', socket: dockerd.socket });
} else console.log('no dockerd on this machine (DOCKERD_ROOT): skiffd alone, no ratios');

console.log(`medians of ${ROUNDS}, ms`);
for (const { name, dockerfile, cold, change, files = 0 } of CASES) {
  const folder = mkdtempSync(join(tmpdir(), 'skiff-bench-build-'));
  try {
    writeFileSync(join(folder, 'Dockerfile'), dockerfile);
    mkdirSync(join(folder, 'files'));
    for (let index = 0; index < files; index++)
      writeFileSync(join(folder, 'files', `f${index}`), `file ${index}\n`.repeat(20));
    change?.(folder, -1);
    const times = peers.map((): number[] => []);
    for (const peer of peers) build(peer.socket, folder, cold);
    for (let round = 0; round < ROUNDS; round++) {
      change?.(folder, round);
      for (const [index, peer] of peers.entries()) times[index]?.push(build(peer.socket, folder, cold));
    }
    const [own = 0, other] = times.map(median);
    const ratio = other ? `   dockerd ${other.toFixed(0).padStart(6)}   ratio ${(own / other).toFixed(2)}` : '';
    console.log(`${name.padEnd(32)} skiffd ${own.toFixed(0).padStart(6)}${ratio}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
