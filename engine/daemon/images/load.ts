import type { BlobWriter, StagedBlob } from '../../content/blobs.ts';
import { parseDocument, parseImageConfig } from '../../content/documents.ts';
import { type Descriptor, type Manifest, MEDIA_TYPE, type Platform } from '../../content/oci.ts';
import { choose, formatPlatform, rank } from '../../content/platform.ts';
import { familiar, type ImageRef, parseReference, withDefaultTag } from '../../content/reference.ts';
import { invalidParameter, isKind, messageOf, notFound } from '../../errors.ts';
import { detectCompression } from '../../snapshots/compression.ts';
import type { StagedLayer } from '../../snapshots/snapshots.ts';
import type { LayerBlob } from '../../store/blobs.ts';
import { type Digest, digestOf, shortId } from '../../store/digest.ts';
import { allOrNone } from './all-or-none.ts';
import { type ArchiveFile, type ArchiveListener, cleanPath, HEAD, readArchive } from './archive.ts';
import { type ImageStore, nameOf } from './image-store.ts';
import { type Intake, type NewImage, setTag } from './intake.ts';
import { LayerProgress, type Progress } from './progress.ts';

export interface LoadOptions {
  readonly quiet?: boolean;
  readonly platform?: Platform;
}

/** One image as an archive describes it. */
interface Described {
  readonly config: Buffer;
  readonly layers: readonly { readonly file: ArchiveFile; readonly mediaType?: string }[];
  readonly names: readonly ImageRef[];
  readonly manifest?: { readonly content: Buffer; readonly mediaType: string };
}

/**
 * Loads the images of an archive: `docker save`'s format (with or without OCI layout beside it) or a plain OCI layout,
 * compressed or not (POST /images/load). Layers unpack while the archive still arrives. All images or none are loaded.
 */
export async function loadArchive(
  store: ImageStore,
  source: AsyncIterable<Buffer>,
  options: LoadOptions,
  progress: Progress,
  signal: AbortSignal,
): Promise<Digest[]> {
  await using intake = store.intake();
  const early = new EarlyUnpacking(store, intake, signal);
  try {
    const files = await readArchive(source, store.blobs, early, signal);
    const described = describe(files, options.platform ?? store.platform, options.platform !== undefined);
    const images: NewImage[] = [];
    for (const image of described) images.push(await assemble(store, intake, early, image, options, progress, signal));
    const lines: string[] = [];
    await intake.commit(images, (now) => {
      for (const [index, { id }] of images.entries())
        lines.push(...nameImage(store, id, described[index]?.names ?? [], now));
    });
    for (const stream of lines) progress({ stream });
    for (const { id } of images) store.emit('load', id, id, store.image(id).config.config?.Labels);
    return images.map(({ id }) => id);
  } finally {
    await early.settle();
  }
}

/**
 * Unpacks what looks like a layer while it is read, before the archive has said what it is. The archive's own name for a
 * file may be its digest: then what is here already is not unpacked again.
 */
class EarlyUnpacking implements ArchiveListener {
  readonly #store: ImageStore;
  readonly #intake: Intake;
  readonly #signal: AbortSignal;
  readonly #running = new Map<BlobWriter, { layer: Promise<StagedLayer>; done: (digest: Digest) => void }>();
  readonly #results = new Map<Digest, Promise<Digest>>();
  readonly #all: Promise<unknown>[] = [];
  readonly #stop = new AbortController();

  constructor(store: ImageStore, intake: Intake, signal: AbortSignal) {
    this.#store = store;
    this.#intake = intake;
    this.#signal = AbortSignal.any([signal, this.#stop.signal]);
  }

  begun(name: string, head: Buffer, writer: BlobWriter): void {
    if (detectCompression(head) === 'none' && !looksLikeTar(head)) return;
    const hex = /^blobs\/sha256\/([0-9a-f]{64})$/.exec(name)?.[1];
    if (hex && this.#isHere(`sha256:${hex}` as Digest)) return;
    const { promise, resolve } = Promise.withResolvers<Digest>();
    const layer = this.#store.snapshots.stageLayer(
      { path: writer.path, follow: writer.follow },
      { signal: this.#signal, sourceDigest: () => promise },
    );
    layer.catch(() => undefined);
    this.#all.push(layer);
    this.#running.set(writer, { layer, done: resolve });
  }

  /** A layer by its blob's digest, or by that of its tar. */
  #isHere(digest: Digest): boolean {
    return this.#store.snapshots.diff(this.#store.blobs.rows.diffOf(digest) ?? digest) !== undefined;
  }

  staged(file: Extract<ArchiveFile, { kind: 'blob' }>, writer: BlobWriter): void {
    const { digest } = this.#intake.takeBlob(file.blob);
    const running = this.#running.get(writer);
    if (!running) return;
    running.done(digest);
    const result = running.layer.then((layer) => {
      this.#intake.takeLayer(this.#store.shareLayer(layer));
      return layer.diffId;
    });
    result.catch(() => undefined);
    this.#all.push(result);
    this.#results.set(digest, result);
  }

  /** Unpacks a layer now if that has not begun, and checks what it is. False: it was here before. */
  async require(
    { digest, size }: Pick<StagedBlob, 'digest' | 'size'>,
    diffId: Digest,
    index: number,
  ): Promise<boolean> {
    if (this.#intake.hasLayer(diffId)) return false;
    const blob = { path: this.#intake.blobPath(digest), digest, size };
    const got = await (this.#results.get(digest) ?? this.#intake.unpack(blob, undefined, this.#signal));
    if (got !== diffId) throw invalidParameter(`invalid diffID for layer ${index}: expected "${diffId}", got "${got}"`);
    return true;
  }

  stop(): void {
    this.#stop.abort();
    for (const { done } of this.#running.values()) done('' as Digest);
  }

  /** Stops and awaits what still runs, so that nothing is staged after the intake is gone. */
  async settle(): Promise<void> {
    this.stop();
    await Promise.allSettled(this.#all);
  }
}

const looksLikeTar = (head: Buffer): boolean => head.length >= HEAD && head.toString('latin1', 257, 262) === 'ustar';

async function assemble(
  store: ImageStore,
  intake: Intake,
  early: EarlyUnpacking,
  image: Described,
  options: LoadOptions,
  progress: Progress,
  signal: AbortSignal,
): Promise<NewImage> {
  const config = parseImageConfig(image.config);
  if (options.platform && rank(options.platform, config) < 0) {
    throw notFound(
      `requested platform (${formatPlatform(options.platform)}) does not match image platform (${formatPlatform(config)})`,
    );
  }
  const diffIds = config.rootfs.diff_ids;
  if (diffIds.length !== image.layers.length) {
    throw invalidParameter(
      `invalid manifest, layers length mismatch: expected ${image.layers.length}, got ${diffIds.length}`,
    );
  }
  const configBlob = await stage(store, intake, image.config);
  const layers = await allOrNone(
    image.layers.map(async ({ file, mediaType }, index): Promise<LayerBlob> => {
      const diffId = diffIds[index] as Digest;
      const blob = file.kind === 'blob' ? file.blob : await stage(store, intake, file.content);
      const head = file.kind === 'blob' ? file.head : file.content.subarray(0, HEAD);
      const fresh = await early.require(blob, diffId, index);
      if (fresh && !options.quiet) {
        new LayerProgress(shortId(diffId), progress).bytes('Loading layer', blob.size, blob.size);
      }
      return { diffId, blob: blob.digest, mediaType: mediaType ?? layerType(head) };
    }),
    () => early.stop(),
  );
  let manifest: NewImage['manifest'];
  if (image.manifest) {
    const { digest } = await stage(store, intake, image.manifest.content);
    manifest = { digest, mediaType: image.manifest.mediaType };
  }
  if (signal.aborted) signal.throwIfAborted();
  return { id: configBlob.digest, config: image.config.toString('utf8'), diffIds, layerBlobs: layers, manifest };
}

async function stage(store: ImageStore, intake: Intake, content: Buffer): Promise<Pick<StagedBlob, 'digest' | 'size'>> {
  const digest = digestOf(content);
  if (intake.hasBlob(digest)) return { digest, size: content.length };
  return intake.takeBlob(await store.blobs.ingest([content], { digest }));
}

/** Media type of a layer by its bytes, for archives that don't say. */
export function layerType(head: Buffer): string {
  switch (detectCompression(head)) {
    case 'gzip':
      return MEDIA_TYPE.ociLayerGzip;
    case 'zstd':
      return MEDIA_TYPE.ociLayerZstd;
    default:
      return MEDIA_TYPE.ociLayer;
  }
}

/** Gives the names of an archive to its image; returns what there is to tell. */
function nameImage(store: ImageStore, id: Digest, names: readonly ImageRef[], now: number): string[] {
  if (names.length === 0) return [`Loaded image ID: ${id}\n`];
  const lines: string[] = [];
  for (const ref of names) {
    const before = setTag(store, nameOf(ref), id, now);
    if (before !== undefined && before !== id) {
      lines.push(`The image ${familiar(ref)} already exists, renaming the old one with ID ${before} to empty string\n`);
    }
  }
  return [...lines, ...names.map((ref) => `Loaded image: ${familiar(ref)}\n`)];
}

function describe(files: Map<string, ArchiveFile>, platform: Platform, strict: boolean): Described[] {
  if (files.has('manifest.json')) return describeDocker(files);
  if (files.has('index.json')) return describeLayout(files, platform, strict);
  throw invalidParameter('invalid archive: does not contain a manifest.json or an index.json');
}

function content(files: Map<string, ArchiveFile>, name: string): Buffer {
  const file = files.get(cleanPath(name));
  if (!file) throw invalidParameter(`invalid archive: ${name} is missing`);
  if (file.kind !== 'memory') throw invalidParameter(`invalid archive: ${name} is too large`);
  return file.content;
}

function parseJson(files: Map<string, ArchiveFile>, name: string): unknown {
  try {
    return JSON.parse(content(files, name).toString('utf8'));
  } catch (error) {
    if (isKind(error, 'invalidParameter')) throw error;
    throw invalidParameter(`invalid ${name}: ${messageOf(error)}`);
  }
}

/** manifest.json: `[{Config, RepoTags, Layers}]` (moby image/spec v1.2). */
function describeDocker(files: Map<string, ArchiveFile>): Described[] {
  const items = parseJson(files, 'manifest.json') as { Config?: unknown; RepoTags?: unknown; Layers?: unknown }[];
  if (!Array.isArray(items)) throw invalidParameter('invalid manifest.json');
  const manifests = layoutManifests(files);
  return items.map(({ Config, RepoTags, Layers }) => {
    if (typeof Config !== 'string' || !Array.isArray(Layers ?? [])) throw invalidParameter('invalid manifest.json');
    const config = content(files, Config);
    const layers = ((Layers ?? []) as unknown[]).map((path) => {
      const file = files.get(cleanPath(String(path)));
      if (!file) throw invalidParameter(`invalid archive: layer ${path} is missing`);
      return { file };
    });
    const names = ((RepoTags ?? []) as unknown[]).map((tag) => withDefaultTag(parseReference(String(tag))));
    const manifest = manifests.find(({ document }) => document.config.digest === digestOf(config));
    return { config, layers, names, manifest: manifest && usable(manifest, layers) };
  });
}

interface LayoutManifest {
  readonly document: Manifest;
  readonly content: Buffer;
  readonly mediaType: string;
}

/** The manifest is worth keeping when the archive has exactly the blobs that it names. */
function usable(manifest: LayoutManifest, layers: readonly { readonly file: ArchiveFile }[]): Described['manifest'] {
  const same = layers.every(({ file }, index) => fileDigest(file) === manifest.document.layers[index]?.digest);
  return same ? { content: manifest.content, mediaType: manifest.mediaType } : undefined;
}

const fileDigest = (file: ArchiveFile): Digest => (file.kind === 'blob' ? file.blob.digest : digestOf(file.content));

/** All manifests of the OCI layout that an archive may have beside manifest.json; a broken layout counts as none. */
function layoutManifests(files: Map<string, ArchiveFile>): LayoutManifest[] {
  if (!files.has('index.json')) return [];
  try {
    const root = parseDocument(content(files, 'index.json'), MEDIA_TYPE.ociIndex);
    return root.kind === 'index' ? root.index.manifests.flatMap((entry) => manifestsOf(files, entry)) : [];
  } catch {
    return [];
  }
}

function manifestsOf(files: Map<string, ArchiveFile>, entry: Descriptor): LayoutManifest[] {
  const path = blobName(entry.digest);
  if (!files.has(path)) return [];
  const bytes = content(files, path);
  const document = parseDocument(bytes, entry.mediaType);
  if (document.kind === 'index') return document.index.manifests.flatMap((inner) => manifestsOf(files, inner));
  return [{ document: document.manifest, content: bytes, mediaType: document.mediaType }];
}

const blobName = (digest: Digest): string => `blobs/${digest.replace(':', '/')}`;

/** index.json of the OCI image layout; of an inner index the manifest for the platform is taken. */
function describeLayout(files: Map<string, ArchiveFile>, platform: Platform, strict: boolean): Described[] {
  const root = parseDocument(content(files, 'index.json'), MEDIA_TYPE.ociIndex);
  if (root.kind !== 'index') throw invalidParameter('invalid index.json');
  return root.index.manifests.flatMap((entry) => {
    const found = pick(files, entry, platform, strict);
    return found ? describeManifest(files, found, layoutNames(entry)) : [];
  });
}

function pick(
  files: Map<string, ArchiveFile>,
  entry: Descriptor,
  platform: Platform,
  strict: boolean,
): LayoutManifest | undefined {
  const bytes = content(files, blobName(entry.digest));
  if (digestOf(bytes) !== entry.digest)
    throw invalidParameter(`invalid archive: ${blobName(entry.digest)} has another digest`);
  const document = parseDocument(bytes, entry.mediaType);
  if (document.kind === 'manifest')
    return { document: document.manifest, content: bytes, mediaType: document.mediaType };
  const present = document.index.manifests.filter(({ digest }) => files.has(blobName(digest)));
  const chosen = choose(present, platform) ?? (!strict && present.length === 1 ? present[0] : undefined);
  if (!chosen) throw notFound(`no image for platform ${formatPlatform(platform)} in the archive`);
  return pick(files, chosen, platform, strict);
}

function describeManifest(
  files: Map<string, ArchiveFile>,
  found: LayoutManifest,
  names: readonly ImageRef[],
): Described {
  const config = content(files, blobName(found.document.config.digest));
  if (digestOf(config) !== found.document.config.digest)
    throw invalidParameter('invalid archive: the configuration has another digest');
  const layers = found.document.layers.map(({ digest, mediaType }) => {
    const file = files.get(blobName(digest));
    if (!file) throw invalidParameter(`invalid archive: layer ${digest} is missing`);
    if (fileDigest(file) !== digest) throw invalidParameter(`invalid archive: layer ${digest} has another digest`);
    return { file, mediaType };
  });
  return { config, layers, names, manifest: { content: found.content, mediaType: found.mediaType } };
}

/** containerd's annotation has the whole name; OCI's only where the tool put it there (a lone tag names nothing). */
function layoutNames(entry: Descriptor): ImageRef[] {
  const full = entry.annotations?.['io.containerd.image.name'];
  const short = entry.annotations?.['org.opencontainers.image.ref.name'];
  const text = full ?? (short && /[:/]/.test(short) ? short : undefined);
  if (text === undefined) return [];
  const ref = withDefaultTag(parseReference(text));
  return ref.digest === undefined ? [ref] : [];
}
