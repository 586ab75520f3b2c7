import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { TarReader } from '../../engine/snapshots/tar/read.ts';
import { ensureVmImage } from '../../resources/vm/image.ts';
import { dockerCli } from '../../scripts/setup.mjs';
import { canRun, Testbed } from '../engine/testbed.ts';
import { CORPUS, type Sample } from './corpus.ts';
import { Dockerd, dockerdRoot } from './dockerd.ts';
import { ContextFolder } from './samples.ts';

/** What the two images are compared by. */
interface Built {
  readonly config: unknown;
  readonly history: readonly string[];
  readonly files: readonly string[];
}

const docker = (socket: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Buffer =>
  execFileSync(dockerCli(), ['-H', `unix://${socket}`, ...args], {
    maxBuffer: 256 * 1024 * 1024,
    stdio: 'pipe',
    env: { ...process.env, ...env },
  });

/** Places that belong to the container, not to the image. */
const OWN = /^(dev|proc|sys|\.dockerenv|etc\/(hosts|hostname|resolv\.conf|mtab))(\/|$)/;

function filesOf(socket: string): string[] {
  const id = docker(socket, ['create', 'sample', 'x']).toString().trim();
  try {
    const reader = new TarReader();
    const found: string[] = [];
    let name = '';
    let hash = createHash('sha256');
    for (const event of reader.push(docker(socket, ['export', id]))) {
      if (event.kind === 'entry') {
        const { entry } = event;
        const link = entry.linkName ? ` -> ${entry.linkName}` : '';
        name = `${entry.name.replace(/\/$/, '')} ${entry.type} ${entry.mode.toString(8)} ${entry.uid}:${entry.gid}${link}`;
        hash = createHash('sha256');
      } else if (event.kind === 'data') hash.update(event.data);
      else if (!OWN.test(name)) found.push(`${name} ${hash.copy().digest('hex').slice(0, 12)}`);
    }
    return found.sort();
  } finally {
    docker(socket, ['rm', id]);
  }
}

function build(socket: string, sample: Sample, folder: string, env: Readonly<Record<string, string>> = {}): Built {
  const args = (sample.args ?? []).map((word, index, all) => (all[index - 1] === '-f' ? `${folder}/${word}` : word));
  docker(socket, ['build', '-t', 'sample', ...args, folder], env);
  const [image] = JSON.parse(docker(socket, ['image', 'inspect', 'sample']).toString()) as [{ Config: object }];
  const history = docker(socket, ['history', '--no-trunc', '--format', '{{.CreatedBy}}', 'sample']).toString();
  return {
    config: significant(image.Config),
    history: history.trimEnd().split('\n').map(withoutDigest),
    files: filesOf(socket),
  };
}

/** The digests in COPY lines are each engine's own. */
const withoutDigest = (line: string): string => line.replace(/(file|dir|multi):[0-9a-f]{64}/, '$1:…').trimEnd();

/** Fields that say something; an absent one is the same as an empty one. */
function significant(config: object): unknown {
  // ArgsEscaped: BuildKit says it of every CMD in shell form; it means something on Windows only.
  const ignored = ['Image', 'Hostname', 'OnBuild', 'ArgsEscaped'];
  return Object.fromEntries(
    Object.entries(config)
      .filter(([key, value]) => !ignored.includes(key) && value !== null && value !== '' && value !== false)
      .filter(([, value]) => typeof value !== 'object' || Object.keys(value as object).length > 0)
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}

const sortedKeys = (_key: string, value: unknown): unknown =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
    : value;

const linesOf = (value: unknown): string[] =>
  Array.isArray(value)
    ? value.map(String)
    : Object.entries(value as object).map((entry) => JSON.stringify(entry, sortedKeys));

/** What one has and the other has not. */
function differences(name: string, ours: Built, theirs: Built, parts: readonly (keyof Built)[]): string[] {
  return parts.flatMap((part) => {
    const [own, other] = [linesOf(ours[part]), linesOf(theirs[part])];
    return [
      ...own.filter((line) => !other.includes(line)).map((line) => `${name}: only skiffd: ${line}`),
      ...other.filter((line) => !own.includes(line)).map((line) => `${name}: only dockerd: ${line}`),
    ];
  });
}

const root = dockerdRoot();
const plugins = join(root ?? '/', 'usr/libexec/docker/cli-plugins');
const reason = canRun
  ? 'skipped: DOCKERD_ROOT names no tree with a dockerd to compare with'
  : 'skipped without root on Linux';
const noBuildx = 'skipped: DOCKERD_ROOT has no docker-buildx';
if (!canRun || !root) console.log(`builds beside dockerd: ${reason}`);
else if (!existsSync(join(plugins, 'docker-buildx'))) console.log(`builds beside BuildKit: ${noBuildx}`);

describe.skipIf(!canRun || !root)(`docker build beside dockerd (${reason})`, () => {
  let bed: Testbed;
  let peer: Dockerd;
  const config = mkdtempSync(join(tmpdir(), 'skiff-docker-config-'));

  beforeAll(async () => {
    bed = new Testbed();
    await bed.start();
    peer = new Dockerd();
    await peer.start(root as string);
    const { rootTree } = await ensureVmImage();
    docker(peer.socket, ['load', '-i', join(rootTree, 'usr/share/skiff/images/welcome.tar')]);
    writeFileSync(join(config, 'config.json'), JSON.stringify({ cliPluginsExtraDirs: [plugins] }));
  });
  afterAll(async () => {
    rmSync(config, { recursive: true, force: true });
    await bed[Symbol.asyncDispose]();
    await peer[Symbol.asyncDispose]();
  });

  test('its classic builder gives the same files, configuration and history', { timeout: 600_000 }, () => {
    const found: string[] = [];
    for (const sample of CORPUS.filter(({ modern }) => !modern)) {
      using folder = ContextFolder.of(sample);
      const ours = build(bed.socket, sample, folder.path);
      const theirs = build(peer.socket, sample, folder.path);
      found.push(...differences(sample.name, ours, theirs, ['config', 'history', 'files']));
    }
    expect(found).toEqual([]);
  });

  const withBuildx = test.skipIf(!existsSync(join(plugins, 'docker-buildx')));
  withBuildx(`its BuildKit gives the same files and configuration (${noBuildx})`, { timeout: 900_000 }, () => {
    const found: string[] = [];
    const env = { DOCKER_BUILDKIT: '1', DOCKER_CONFIG: config };
    for (const sample of CORPUS.filter(({ modern }) => modern && modern !== 'labs')) {
      using folder = ContextFolder.of(sample);
      const ours = build(bed.socket, sample, folder.path);
      const theirs = build(peer.socket, sample, folder.path, env);
      found.push(...differences(sample.name, ours, theirs, ['config', 'files']));
    }
    expect(found).toEqual([]);
  });
});
