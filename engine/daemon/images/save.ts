import { type Descriptor, type Manifest, MEDIA_TYPE, type Platform } from '../../content/oci.ts';
import { formatPlatform, rank } from '../../content/platform.ts';
import { parseAnyReference, repositoryOf } from '../../content/reference.ts';
import { notFound } from '../../errors.ts';
import { TAR_END, tarHeader, tarPadding } from '../../snapshots/tar/write.ts';
import { type Digest, digestHex, digestOf } from '../../store/digest.ts';
import type { ImageName } from '../../store/images.ts';

import { familiarOf, type ImageStore } from './image-store.ts';
import type { Image } from './images.ts';
import type { Intake } from './intake.ts';
import { buildManifest, layerBlobs, storedManifest } from './manifests.ts';

type TagName = Extract<ImageName, { tag: string }>;

/**
 * Images as one archive (GET /images/get): an OCI image layout with Docker's manifest.json beside it. Layers are written
 * as they are kept, compressed or not, so nothing is compressed again and digests stay.
 */
export async function* saveImages(
  store: ImageStore,
  names: readonly string[],
  platform: Platform | undefined,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const wanted = select(store, names);
  await using intake = store.intake();
  const described = [];
  for (const [id, tags] of wanted) {
    const image = store.image(id);
    checkPlatform(image, platform);
    intake.hold(id);
    described.push(await describe(store, intake, image, tags));
  }
  yield* writeArchive(store, described, signal);
  for (const id of wanted.keys()) store.emit('save', id, id, store.image(id).config.config?.Labels);
}

/** Which images, and under which tags: a bare repository means all of its tags, an id none. */
function select(store: ImageStore, names: readonly string[]): Map<Digest, TagName[]> {
  const wanted = new Map<Digest, TagName[]>();
  const add = (id: Digest, tag?: TagName) => {
    const tags = wanted.get(id) ?? [];
    if (tag && !tags.some((other) => familiarOf(other) === familiarOf(tag))) tags.push(tag);
    wanted.set(id, tags);
  };
  for (const text of names) {
    const reference = parseAnyReference(text);
    if ('id' in reference) {
      add(store.find(text));
      continue;
    }
    const { name: ref } = reference;
    const repository = repositoryOf(ref);
    if (ref.tag !== undefined && ref.digest === undefined) {
      const id = store.findNamed(ref);
      add(id ?? store.find(text), id === undefined ? undefined : { repository, tag: ref.tag });
      continue;
    }
    const tagged = ref.digest === undefined ? tagsOf(store, repository) : [];
    if (tagged.length === 0) add(store.find(text));
    for (const { id, name } of tagged) add(id, name);
  }
  return wanted;
}

function tagsOf(store: ImageStore, repository: string): { id: Digest; name: TagName }[] {
  return store.rows
    .all()
    .flatMap(({ id }) =>
      store.rows.names(id).flatMap((name) => ('tag' in name && name.repository === repository ? { id, name } : [])),
    );
}

function checkPlatform(image: Image, platform: Platform | undefined): void {
  if (!platform || rank(platform, image.config) >= 0) return;
  throw notFound(
    `requested platform (${formatPlatform(platform)}) does not match image platform (${formatPlatform(image.config)})`,
  );
}

interface Described {
  readonly image: Image;
  readonly tags: readonly TagName[];
  readonly manifest: { readonly content: Buffer; readonly mediaType: string };
  readonly layers: readonly Digest[];
}

async function describe(store: ImageStore, intake: Intake, image: Image, tags: readonly TagName[]): Promise<Described> {
  const stored = await storedManifest(store, intake, image);
  if (stored) return { image, tags, manifest: stored, layers: stored.document.layers.map(({ digest }) => digest) };
  const blobs = layerBlobs(store, intake, image);
  return { image, tags, manifest: buildManifest(store, image, blobs), layers: blobs.map(({ blob }) => blob) };
}

const blobPath = (digest: Digest): string => `blobs/sha256/${digestHex(digest)}`;

async function* writeArchive(
  store: ImageStore,
  images: readonly Described[],
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  yield tarHeader({ name: 'blobs/', type: 'directory', mode: 0o755 });
  yield tarHeader({ name: 'blobs/sha256/', type: 'directory', mode: 0o755 });
  const written = new Set<Digest>();
  for (const { image, manifest, layers } of images) {
    for (const digest of [image.id, ...layers]) {
      if (written.has(digest)) continue;
      written.add(digest);
      yield* blobFile(store, digest, signal);
    }
    const digest = digestOf(manifest.content);
    if (!written.has(digest)) yield file(blobPath(digest), manifest.content);
    written.add(digest);
  }
  yield file('index.json', json(index(images)));
  yield file('manifest.json', json(dockerManifest(images)));
  yield file('oci-layout', json({ imageLayoutVersion: '1.0.0' }));
  const repositories = repositoriesOf(images);
  if (repositories) yield file('repositories', json(repositories));
  yield TAR_END;
}

const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

function file(name: string, content: Buffer): Buffer {
  return Buffer.concat([
    tarHeader({ name, type: 'file', mode: 0o644, size: content.length }),
    content,
    tarPadding(content.length),
  ]);
}

async function* blobFile(store: ImageStore, digest: Digest, signal: AbortSignal): AsyncGenerator<Buffer> {
  const size = store.blobs.size(digest);
  if (size === undefined) throw notFound(`content ${digest} not found`);
  yield tarHeader({ name: blobPath(digest), type: 'file', mode: 0o644, size });
  yield* store.blobs.stream(digest, signal);
  yield tarPadding(size);
}

function index(images: readonly Described[]): unknown {
  const manifests = images.flatMap(({ image, manifest, tags }): Descriptor[] => {
    const { architecture, os, variant } = image.config;
    const descriptor: Descriptor = {
      mediaType: manifest.mediaType,
      digest: digestOf(manifest.content),
      size: manifest.content.length,
      platform: { architecture, os, ...(variant ? { variant } : {}) },
    };
    if (tags.length === 0) return [descriptor];
    return tags.map(({ repository, tag }) => ({
      ...descriptor,
      annotations: { 'io.containerd.image.name': `${repository}:${tag}`, 'org.opencontainers.image.ref.name': tag },
    }));
  });
  return { schemaVersion: 2, mediaType: MEDIA_TYPE.ociIndex, manifests };
}

function dockerManifest(images: readonly Described[]): unknown {
  return images.map(({ image, manifest, tags, layers }) => {
    const descriptors = (JSON.parse(manifest.content.toString('utf8')) as Manifest).layers;
    return {
      Config: blobPath(image.id),
      RepoTags: tags.length > 0 ? tags.map(familiarOf) : null,
      Layers: layers.map(blobPath),
      LayerSources: Object.fromEntries(
        image.config.rootfs.diff_ids.map((diffId, at) => [diffId, { ...descriptors[at], urls: undefined }]),
      ),
    };
  });
}

/** The oldest format's list of names. */
function repositoriesOf(images: readonly Described[]): Record<string, Record<string, string>> | undefined {
  const repositories: Record<string, Record<string, string>> = {};
  for (const { image, tags, layers } of images) {
    for (const tag of tags) {
      const name = familiarOf(tag).slice(0, -(tag.tag.length + 1));
      repositories[name] = { ...repositories[name], [tag.tag]: digestHex(layers.at(-1) ?? image.id) };
    }
  }
  return Object.keys(repositories).length > 0 ? repositories : undefined;
}
