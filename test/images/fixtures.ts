import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

import { type NewEntry, TAR_END, tarHeader, tarPadding } from '../../engine/snapshots/tar/write.ts';
import { type Digest, digestHex, digestOf } from '../../engine/store/digest.ts';

/** Deterministic images for tests: the same call gives the same bytes on every machine. */
export type Files = Readonly<Record<string, string | Buffer | Partial<NewEntry>>>;

/** A tar of `path → content` (or an entry's fields); directories end in a slash. */
export function tarOf(files: Files): Buffer {
  const pieces: Buffer[] = [];
  for (const [name, value] of Object.entries(files)) {
    if (typeof value === 'object' && !Buffer.isBuffer(value)) {
      pieces.push(tarHeader({ name, type: 'file', mode: 0o644, ...value }));
      continue;
    }
    if (name.endsWith('/')) {
      pieces.push(tarHeader({ name, type: 'directory', mode: 0o755 }));
      continue;
    }
    const content = Buffer.from(value);
    pieces.push(
      tarHeader({ name, type: 'file', mode: 0o755, size: content.length }),
      content,
      tarPadding(content.length),
    );
  }
  return Buffer.concat([...pieces, TAR_END]);
}

export interface FixtureImage {
  readonly id: Digest;
  readonly config: Buffer;
  /** Uncompressed layers, base first. */
  readonly layers: readonly Buffer[];
  readonly diffIds: readonly Digest[];
}

export function imageOf(
  layers: readonly Buffer[],
  config: Readonly<Record<string, unknown>> = {},
  top: Readonly<Record<string, unknown>> = {},
): FixtureImage {
  const diffIds = layers.map(digestOf);
  const document = {
    architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
    os: 'linux',
    created: '2024-01-02T03:04:05.678901234Z',
    config,
    rootfs: { type: 'layers', diff_ids: diffIds },
    history: layers.map((_layer, index) => ({
      created: '2024-01-02T03:04:05Z',
      created_by: `/bin/sh -c #(nop) ADD layer ${index}`,
    })),
    ...top,
  };
  const bytes = Buffer.from(JSON.stringify(document));
  return { id: digestOf(bytes), config: bytes, layers, diffIds };
}

/** `docker save`'s archive of one or several images. */
export function dockerArchive(images: readonly { image: FixtureImage; tags?: readonly string[] }[]): Buffer {
  const files: Record<string, Buffer> = {};
  const manifest = images.map(({ image, tags }) => {
    const config = `${digestHex(image.id)}.json`;
    files[config] = image.config;
    const layers = image.layers.map((layer, index) => {
      const name = `${digestHex(image.diffIds[index] as Digest)}/layer.tar`;
      files[name] = layer;
      return name;
    });
    return { Config: config, RepoTags: tags ?? null, Layers: layers };
  });
  return tarOf({ ...files, 'manifest.json': Buffer.from(JSON.stringify(manifest)) });
}

/** An OCI image layout with gzip layers. */
export function ociArchive(image: FixtureImage, annotations: Readonly<Record<string, string>> = {}): Buffer {
  const files: Record<string, Buffer> = { 'oci-layout': Buffer.from('{"imageLayoutVersion":"1.0.0"}') };
  const add = (content: Buffer, mediaType: string) => {
    const digest = digestOf(content);
    files[`blobs/sha256/${digestHex(digest)}`] = content;
    return { mediaType, digest, size: content.length };
  };
  const manifest = {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: add(image.config, 'application/vnd.oci.image.config.v1+json'),
    layers: image.layers.map((layer) => add(gzipSync(layer), 'application/vnd.oci.image.layer.v1.tar+gzip')),
  };
  const entry = add(Buffer.from(JSON.stringify(manifest)), manifest.mediaType);
  files['index.json'] = Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: [{ ...entry, annotations }] }));
  return tarOf(files);
}

/** A real, runnable root: static busybox with a few applets as links. */
export function busyboxLayer(): Buffer {
  const link = (linkName: string): Partial<NewEntry> => ({ type: 'symlink', mode: 0o777, linkName });
  return tarOf({
    'bin/': '',
    'bin/busybox': readFileSync('/bin/busybox'),
    ...Object.fromEntries(['sh', 'true', 'cat', 'ls', 'sleep', 'echo'].map((name) => [`bin/${name}`, link('busybox')])),
    'etc/': '',
    'etc/passwd': 'root:x:0:0:root:/root:/bin/sh\n',
    'root/': '',
    'tmp/': { type: 'directory', mode: 0o1777 },
  });
}

/** Bytes that don't compress, the same for the same seed (xorshift32). */
export function noise(size: number, seed = 1): Buffer {
  const out = Buffer.allocUnsafe(size - (size % 4));
  let x = seed || 1;
  for (let at = 0; at < out.length; at += 4) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    out.writeInt32LE(x | 0, at);
  }
  return out;
}
