import { readFileSync } from 'node:fs';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { Progress } from '../../engine/daemon/images/images.ts';
import { digestOf } from '../../engine/store/digest.ts';
import { startEngine, type TestEngine } from './engine.ts';
import { type FaultyProxy, startFaultyProxy } from './faulty-proxy.ts';
import { dockerArchive, type FixtureImage, imageOf, noise, tarOf } from './fixtures.ts';
import { sh, startRegistry, type TestRegistry } from './registry.ts';

const isRoot = process.getuid?.() === 0;
const quiet: Progress = () => undefined;
const never = new AbortController().signal;
const once = async function* (bytes: Buffer) {
  yield bytes;
};

/** Three layers, one of them several megabytes that don't compress. */
const image = imageOf(
  [tarOf({ 'etc/': '', 'etc/a': 'a' }), tarOf({ big: noise(4_000_000) }), tarOf({ 'etc/.wh.a': '' })],
  {
    Cmd: ['true'],
    Labels: { kind: 'fixture' },
  },
);

async function load(engine: TestEngine, fixture: FixtureImage, tag: string): Promise<void> {
  await engine.images.load(once(dockerArchive([{ image: fixture, tags: [tag] }])), { quiet: true }, quiet, never);
}

/** After anything, the store is whole and nothing is left lying about. */
async function expectWhole(engine: TestEngine): Promise<void> {
  expect(await engine.images.check(true)).toEqual([]);
  expect(engine.images.unfinished().filter((name) => !name.startsWith('removed-'))).toEqual([]);
}

describe.runIf(isRoot)('a registry on loopback', () => {
  let registry: TestRegistry;
  let proxy: FaultyProxy;
  let ref = '';

  beforeAll(async () => {
    registry = await startRegistry();
    proxy = await startFaultyProxy(registry.host);
    ref = `${proxy.host}/fixture:1`;
    await using engine = await startEngine();
    await load(engine, image, `${registry.host}/fixture:1`);
    await engine.images.push({ image: `${registry.host}/fixture`, tag: '1' }, quiet, never);
  });
  afterAll(async () => {
    await proxy?.[Symbol.asyncDispose]();
    await registry?.[Symbol.asyncDispose]();
  });
  const pull = (engine: TestEngine, signal = never, progress = quiet, image = ref) =>
    engine.images.pull({ image }, progress, signal);
  const isBlob = (url: string) => url.includes('/blobs/sha256:');

  it('gives back the image that was pushed, with the digest that skopeo sees', async () => {
    await using engine = await startEngine();
    const lines: string[] = [];
    await pull(engine, never, (line) => lines.push([line.id, line.status].filter(Boolean).join(': ')));
    expect(engine.images.get(ref)).toMatchObject({ id: image.id, repoTags: [ref] });
    const seen = JSON.parse(
      await sh('skopeo', ['inspect', '--tls-verify=false', `docker://${registry.host}/fixture:1`]),
    );
    expect(engine.images.get(ref).repoDigests).toEqual([`${proxy.host}/fixture@${seen.Digest}`]);
    expect(lines[0]).toBe('1: Pulling from fixture');
    expect(lines.slice(-2)).toEqual([`Digest: ${seen.Digest}`, `Status: Downloaded newer image for ${ref}`]);
    expect(lines.filter((line) => line.endsWith('Pull complete'))).toHaveLength(3);
    expect(engine.events).toContainEqual({
      type: 'image',
      action: 'pull',
      id: ref,
      attributes: { kind: 'fixture', name: `${proxy.host}/fixture` },
    });
    await expectWhole(engine);
    // Again by digest: nothing to do but the name.
    proxy.log.length = 0;
    await pull(engine, never, quiet, `${proxy.host}/fixture@${seen.Digest}`);
    expect(proxy.log.filter((line) => isBlob(line))).toEqual([]);
  });

  it.each([1, 1000, 65_536, 1_000_000, 3_999_999])(
    'takes up a download that breaks off after %i bytes',
    async (cutAfter) => {
      await using engine = await startEngine();
      proxy.log.length = 0;
      const broken = new Set<string>();
      proxy.fault = ({ url }) => {
        if (!isBlob(url) || broken.has(url)) return undefined;
        broken.add(url);
        return { cutAfter };
      };
      await pull(engine);
      expect(engine.images.get(ref).id).toBe(image.id);
      if (cutAfter > 100_000) expect(proxy.log.some((line) => line.includes('bytes='))).toBe(true);
      await expectWhole(engine);
    },
  );

  it('goes on where it was when the server ignores ranges', async () => {
    await using engine = await startEngine();
    const seen = new Map<string, number>();
    proxy.fault = ({ url }) => {
      if (!isBlob(url)) return undefined;
      seen.set(url, (seen.get(url) ?? 0) + 1);
      return seen.get(url) === 1 ? { cutAfter: 2_000_000 } : { ignoreRange: true };
    };
    await pull(engine);
    await expectWhole(engine);
  });

  it.each([429, 500, 502, 503])('tries again after %i', async (status) => {
    await using engine = await startEngine();
    const seen = new Set<string>();
    proxy.fault = ({ url }) => {
      if (seen.has(url)) return undefined;
      seen.add(url);
      return { status, headers: { 'retry-after': '0' } };
    };
    await pull(engine);
    await expectWhole(engine);
  });

  it('gives up in the end, says why, and leaves nothing', async () => {
    await using engine = await startEngine();
    proxy.fault = ({ url }) => (isBlob(url) ? { status: 503 } : undefined);
    await expect(pull(engine)).rejects.toThrow(/503/);
    expect(engine.images.list({ all: true })).toEqual([]);
    await expectWhole(engine);
    proxy.fault = () => undefined;
    await pull(engine);
  });

  it('refuses a blob with a wrong byte and leaves nothing', async () => {
    await using engine = await startEngine();
    proxy.fault = ({ url }) => (isBlob(url) ? { corrupt: true } : undefined);
    await expect(pull(engine)).rejects.toThrow(/verification failed|corrupt|invalid/);
    await expectWhole(engine);
    await engine.snapshots.settled();
    expect(await sh('find', [`${engine.root}/content/blobs`, `${engine.root}/snapshots/l`, '-type', 'f'])).toBe('');
    proxy.fault = () => undefined;
    await pull(engine);
    await expectWhole(engine);
  });

  it('refuses a manifest that is not what its digest says', async () => {
    await using engine = await startEngine();
    const digest = digestOf('something else');
    proxy.fault = ({ url }) => (url.includes('/manifests/') ? { corrupt: true } : undefined);
    await expect(pull(engine, never, quiet, `${proxy.host}/fixture@${digest}`)).rejects.toThrow();
    await expect(pull(engine)).rejects.toThrow(/invalid manifest/);
    proxy.fault = () => undefined;
  });

  it('stops when its client goes, and leaves nothing', async () => {
    await using engine = await startEngine();
    for (const delay of [5, 20, 60, 120]) {
      const controller = new AbortController();
      proxy.fault = ({ url }) => (isBlob(url) ? { delayMs: 30 } : undefined);
      const work = pull(engine, controller.signal);
      setTimeout(() => controller.abort(), delay);
      await work.catch((error) => expect(error).toMatchObject({ kind: 'cancelled' }));
      await expectWhole(engine);
      for (const { Id } of engine.images.list({ all: true })) engine.images.remove(Id, { force: true });
    }
    proxy.fault = () => undefined;
    await pull(engine);
    await expectWhole(engine);
  });

  it('downloads once for two pulls at the same time, also when one of them goes', async () => {
    await using engine = await startEngine();
    proxy.log.length = 0;
    proxy.fault = ({ url }) => (isBlob(url) ? { delayMs: 80 } : undefined);
    const controller = new AbortController();
    const pulls = [pull(engine), pull(engine, controller.signal), pull(engine)];
    setTimeout(() => controller.abort(), 60);
    const results = await Promise.allSettled(pulls);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    const blobs = proxy.log.filter((line) => isBlob(line));
    expect(new Set(blobs).size).toBe(blobs.length);
    proxy.fault = () => undefined;
    await expectWhole(engine);
  });

  it('answers what is missing as Docker does', async () => {
    await using engine = await startEngine();
    await expect(pull(engine, never, quiet, `${proxy.host}/fixture:nope`)).rejects.toMatchObject({
      kind: 'notFound',
      message: `manifest for ${proxy.host}/fixture:nope not found: manifest unknown: manifest unknown`,
    });
    await expect(engine.images.push({ image: `${proxy.host}/none`, tag: 'x' }, quiet, never)).rejects.toMatchObject({
      kind: 'notFound',
      message: `tag does not exist: ${proxy.host}/none:x`,
    });
    await expect(pull(engine, never, quiet, '127.0.0.1:1/x:y')).rejects.toThrow(
      'Get "http://127.0.0.1:1/v2/x/manifests/y": dial tcp 127.0.0.1:1: connect: connection refused',
    );
  });

  it('uploads what breaks off again from where it was', async () => {
    await using engine = await startEngine();
    const big = imageOf([tarOf({ big: noise(6_000_000, 7) })]);
    await load(engine, big, `${proxy.host}/upload:1`);
    let cuts = 0;
    proxy.fault = ({ method }) => (method === 'PATCH' && cuts++ < 2 ? { cutAfter: 1_500_000 } : undefined);
    await engine.images.push({ image: `${proxy.host}/upload`, tag: '1' }, quiet, never);
    expect(cuts).toBeGreaterThan(1);
    proxy.fault = () => undefined;
    await using other = await startEngine();
    await pull(other, never, quiet, `${proxy.host}/upload:1`);
    expect(other.images.get(`${proxy.host}/upload:1`).id).toBe(big.id);
  });

  it('pulls more layers than it downloads at once, and says which wait', async () => {
    await using engine = await startEngine();
    const many = imageOf(Array.from({ length: 12 }, (_, index) => tarOf({ [`f${index}`]: noise(300_000, index + 1) })));
    await load(engine, many, `${registry.host}/many:1`);
    await engine.images.push({ image: `${registry.host}/many`, tag: '1' }, quiet, never);
    await using other = await startEngine({ settings: { maxConcurrentDownloads: 2 } });
    const lines: string[] = [];
    await pull(other, never, (line) => lines.push(line.status ?? ''), `${registry.host}/many:1`);
    expect(other.images.get(`${registry.host}/many:1`).id).toBe(many.id);
    expect(lines.filter((line) => line === 'Pull complete')).toHaveLength(12);
    expect(lines).toContain('Waiting');
    await expectWhole(other);
  });

  it('does not send twice what the registry has, and mounts from other repositories', async () => {
    await using engine = await startEngine();
    await pull(engine, never, quiet, `${registry.host}/fixture:1`);
    engine.images.tag(`${registry.host}/fixture:1`, `${registry.host}/mounted`, '2');
    const lines: string[] = [];
    await engine.images.push(
      { image: `${registry.host}/mounted`, tag: '2' },
      (line) => lines.push(line.status ?? ''),
      never,
    );
    expect(lines.filter((line) => line === 'Mounted from fixture')).toHaveLength(3);
    lines.length = 0;
    await engine.images.push(
      { image: `${registry.host}/mounted`, tag: '2' },
      (line) => lines.push(line.status ?? ''),
      never,
    );
    expect(lines.filter((line) => line === 'Layer already exists')).toHaveLength(3);
  });

  it('speaks with skopeo in both directions, through every archive format', async () => {
    await using engine = await startEngine();
    const copy = (from: string, to: string) =>
      sh('skopeo', ['copy', '--src-tls-verify=false', '--dest-tls-verify=false', from, to]);
    await pull(engine);
    const saved = `${engine.root}/saved.tar`;
    await sh('docker', ['-H', engine.host, 'save', '-o', saved, ref]);
    for (const format of ['docker-archive', 'oci-archive']) {
      await copy(`${format}:${saved}`, `docker://${registry.host}/skopeo:${format}`);
      const file = `${engine.root}/${format}.tar`;
      await copy(`docker://${registry.host}/skopeo:${format}`, `${format}:${file}:example.com/from/${format}:1`);
      await sh('docker', ['-H', engine.host, 'load', '-i', file]);
      const loaded = engine.images.get(`example.com/from/${format}:1`);
      expect(loaded.config.rootfs.diff_ids).toEqual(image.diffIds);
    }
    expect(engine.images.get('example.com/from/docker-archive:1').id).toBe(image.id);
    await expectWhole(engine);
  });

  it('keeps the manifest’s digest through save, load and push', async () => {
    await using engine = await startEngine();
    await pull(engine, never, quiet, `${registry.host}/fixture:1`);
    const [digest] = engine.images.get(`${registry.host}/fixture:1`).repoDigests;
    const file = `${engine.root}/saved.tar`;
    await sh('docker', ['-H', engine.host, 'save', '-o', file, `${registry.host}/fixture:1`]);
    await using other = await startEngine();
    await other.images.load(once(readFileSync(file)), {}, quiet, never);
    await other.images.push({ image: `${registry.host}/fixture`, tag: '1' }, quiet, never);
    expect(other.images.get(image.id).repoDigests).toEqual([digest]);
  });

  it('pulls zstd and uncompressed layers, and says what an index has when nothing fits', async () => {
    await using engine = await startEngine();
    for (const format of ['zstd', 'zstd:chunked']) {
      const target = `docker://${registry.host}/fixture:zstd`;
      await sh('skopeo', [
        'copy',
        '--format=oci',
        '--dest-compress-format=zstd',
        '--src-tls-verify=false',
        '--dest-tls-verify=false',
        `docker://${registry.host}/fixture:1`,
        target,
      ]);
      await pull(engine, never, quiet, `${registry.host}/fixture:zstd`);
      expect(engine.images.get(`${registry.host}/fixture:zstd`).config.rootfs.diff_ids, format).toEqual(image.diffIds);
    }
    const index = {
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.index.v1+json',
      manifests: [
        {
          mediaType: 'application/vnd.oci.image.manifest.v1+json',
          digest: digestOf('x'),
          size: 1,
          platform: { os: 'linux', architecture: 's390x' },
        },
        {
          mediaType: 'application/vnd.oci.image.manifest.v1+json',
          digest: digestOf('y'),
          size: 1,
          platform: { os: 'linux', architecture: 'arm', variant: 'v7' },
        },
      ],
    };
    proxy.fault = () => undefined;
    const body = JSON.stringify(index);
    const http = await import('node:http');
    const server = http.createServer((_request, response) =>
      response.writeHead(200, { 'content-type': index.mediaType }).end(body),
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    try {
      await expect(pull(engine, never, quiet, `127.0.0.1:${port}/multi:1`)).rejects.toThrow(
        /no matching manifest for linux\/\w+ in the manifest list entries: .* is available for linux\/s390x, linux\/arm\/v7/,
      );
    } finally {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  });

  it('reaches a registry on the user’s machine through the host’s loopback', async () => {
    // Stands in for the machine: only 127.0.0.2 listens, 127.0.0.1 refuses.
    const net = await import('node:net');
    const server = net.createServer((socket) => {
      const upstream = net.connect(registry.port, '127.0.0.1');
      socket.pipe(upstream).pipe(socket);
      socket.on('error', () => upstream.destroy());
      upstream.on('error', () => socket.destroy());
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.2', resolve));
    const { port } = server.address() as { port: number };
    await using engine = await startEngine({ settings: { hostLoopback: '127.0.0.2' } });
    await pull(engine, never, quiet, `127.0.0.1:${port}/fixture:1`);
    expect(engine.images.get(`127.0.0.1:${port}/fixture:1`).id).toBe(image.id);
    engine.images.close();
    await new Promise((resolve) => server.close(resolve));
  });

  it('asks mirrors first and the registry when they fail', async () => {
    // `docker.io` itself can't be reached here: the failing request proves the order.
    const seen: string[] = [];
    const http = await import('node:http');
    const mirror = http.createServer((request, response) => {
      seen.push(request.url ?? '');
      response.writeHead(404).end();
    });
    await new Promise<void>((resolve) => mirror.listen(0, '127.0.0.1', resolve));
    const { port } = mirror.address() as { port: number };
    const settings = { mirrors: [`http://127.0.0.1:${port}`, `http://${registry.host}`] };
    await using engine = await startEngine({ settings });
    await sh('skopeo', [
      'copy',
      '--src-tls-verify=false',
      '--dest-tls-verify=false',
      `docker://${registry.host}/fixture:1`,
      `docker://${registry.host}/library/mirrored:1`,
    ]);
    await pull(engine, never, quiet, 'mirrored:1');
    expect(seen).toEqual(['/v2/library/mirrored/manifests/1']);
    expect(engine.images.get('mirrored:1').id).toBe(image.id);
    mirror.closeAllConnections();
    await new Promise((resolve) => mirror.close(resolve));
  });
});
