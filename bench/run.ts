import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { ensureVmImage } from '../resources/vm/image.ts';
import { buildEngine } from '../scripts/build-engine.ts';
import { CONTAINER_CASES } from './cases/containers.ts';
import { imageCases } from './cases/images.ts';
import { NETWORK_CASES } from './cases/network.ts';
import { FreshDisk } from './fresh-disk.ts';
import { measure, printRow } from './measure.ts';
import { api, docker, idOf, memoryOf, type Peer, startDockerd, startRegistries, startSkiff } from './peers.ts';

/**
 * `npm run bench [-- words of rows]`: what skiffd's work costs and, beside it in the same run, a dockerd's. Root on Linux; see
 * startDockerd for where the peer is from, and without one only skiffd is measured. BENCH_ROUNDS: how often, default 9.
 */
const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 9);
const wanted = process.argv.slice(2);
const chosen = (name: string): boolean => wanted.length === 0 || wanted.some((word) => name.includes(word));
const SLEEPERS = 20;

async function memory(peers: readonly Peer[]): Promise<void> {
  if (!chosen('memory')) return;
  await delay(3_000);
  const idle = peers.map(memoryOf);
  printRow('memory, idle (PSS)', peers, idle, 'MB', 0.8);
  const ids = new Map<Peer, string[]>();
  for (const peer of peers) {
    const made: string[] = [];
    for (let index = 0; index < SLEEPERS; index++) {
      const body = { Image: 'skiff/welcome', Cmd: ['sleep', '600'] };
      const id = idOf(await api(peer, 'POST', '/containers/create', { body }));
      await api(peer, 'POST', `/containers/${id}/start`);
      made.push(id);
    }
    ids.set(peer, made);
  }
  await delay(3_000);
  const each = peers.map((peer, index) => Math.max(0, memoryOf(peer) - idle[index]!) / SLEEPERS);
  printRow('memory per container (PSS)', peers, each, 'MB', undefined);
  for (const [peer, made] of ids) docker(peer, 'rm', '-f', ...made);
}

const scratch = mkdtempSync(join(tmpdir(), 'skiff-bench-'));
const disks = ['skiff', 'dockerd'].map((name) => new FreshDisk(join(scratch, name)));
const [ownDisk, peersDisk] = disks.map(({ folder }) => folder);
const peers: Peer[] = [];
let registries: Awaited<ReturnType<typeof startRegistries>> | undefined;
try {
  await buildEngine();
  const image = await ensureVmImage();
  peers.push(await startSkiff(ownDisk!, image.rootTree));
  const dockerd = await startDockerd(peersDisk!);
  if (dockerd) {
    peers.push(dockerd);
    docker(dockerd, 'load', '-q', '-i', join(image.rootTree, 'usr/share/skiff/images/welcome.tar'));
  } else console.log('no dockerd on this machine (DOCKERD_ROOT): skiffd alone, no ratios');
  console.log(`medians of ${ROUNDS} (fewer for what takes seconds)`);
  await memory(peers);
  for (const one of [...CONTAINER_CASES, ...NETWORK_CASES]) if (chosen(one.name)) await measure(one, peers, ROUNDS);
  registries = await startRegistries(scratch, peers);
  for (const one of imageCases(scratch, registries.host)) if (chosen(one.name)) await measure(one, peers, ROUNDS);
} finally {
  await registries?.stop();
  for (const peer of peers) await peer.stop();
  for (const disk of disks) disk.remove();
  rmSync(scratch, { recursive: true, force: true, maxRetries: 5 });
}
