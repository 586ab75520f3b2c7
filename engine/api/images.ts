import type { ServerResponse } from 'node:http';

import type { Filters } from '../daemon/filters.ts';
import type {
  AuthRequest,
  AuthResult,
  Deleted,
  DistributionInspect,
  HistoryItem,
  ImageInspect,
  ImageSummary,
  ImagesPruned,
  ImportRequest,
  ListOptions,
  LoadOptions,
  Platform,
  Progress,
  PullParameters,
  PushParameters,
  RemoveOptions,
  SearchResult,
} from '../daemon/images/images.ts';
import { parsePlatformJson } from '../daemon/images/images.ts';
import { invalidParameter, messageOf } from '../errors.ts';

import { authConfig } from './bodies.ts';
import { type Context, queryBool, queryFilters, queryInt } from './context.ts';
import { authHeader, bodyOf, streaming } from './progress-stream.ts';
import { type Route, route } from './router.ts';

/** What these routes need of the daemon. */
export interface ImagesBackend {
  list(options: ListOptions): ImageSummary[];
  inspect(name: string, platform?: Platform): ImageInspect;
  history(name: string, platform?: Platform): HistoryItem[];
  tag(source: string, repo: string, tag: string | undefined): void;
  remove(reference: string, options: RemoveOptions): Deleted[];
  prune(filters: Filters, signal: AbortSignal): ImagesPruned;
  pull(request: PullParameters, progress: Progress, signal: AbortSignal): Promise<void>;
  push(request: PushParameters, progress: Progress, signal: AbortSignal): Promise<void>;
  load(source: AsyncIterable<Buffer>, options: LoadOptions, progress: Progress, signal: AbortSignal): Promise<void>;
  import(request: ImportRequest, progress: Progress, signal: AbortSignal): Promise<void>;
  save(names: readonly string[], platform: Platform | undefined, signal: AbortSignal): AsyncIterable<Buffer>;
  distribution(name: string, auth: string | undefined, signal: AbortSignal): Promise<DistributionInspect>;
  authenticate(request: AuthRequest, signal: AbortSignal): Promise<AuthResult>;
  search(request: {
    term: string;
    limit: number | undefined;
    filters: Filters;
    auth: string | undefined;
    signal: AbortSignal;
  }): Promise<SearchResult[]>;
}

/** swagger tags Image and Distribution, and POST /auth. */
export function imageRoutes(images: ImagesBackend): Route[] {
  return [
    route('GET', '/images/json', (context) => list(images, context)),
    route('GET', '/images/search', async (context) => {
      const { query, signal, request } = context;
      const term = query.get('term');
      if (!term) throw invalidParameter('search term is required');
      const auth = authHeader(request);
      const filters = queryFilters(query);
      context.reply(200, await images.search({ term, limit: queryInt(query, 'limit'), filters, auth, signal }));
    }),
    route('GET', '/images/get', (context) => save(images, context, context.query.getAll('names'))),
    route('GET', '/images/{name:.*}/get', (context) => save(images, context, [context.params.name ?? ''])),
    route('GET', '/images/{name:.*}/history', (context) => {
      context.reply(200, images.history(context.params.name ?? '', platformJson(context.query)));
    }),
    route('GET', '/images/{name:.*}/json', (context) => inspect(images, context)),
    route('POST', '/images/load', (context) => load(images, context)),
    route('POST', '/images/create', (context) => create(images, context)),
    route('POST', '/images/prune', (context) => {
      context.reply(200, images.prune(queryFilters(context.query), context.signal));
    }),
    route('POST', '/images/{name:.*}/push', (context) => push(images, context)),
    route('POST', '/images/{name:.*}/tag', (context) => {
      images.tag(context.params.name ?? '', context.query.get('repo') ?? '', context.query.get('tag') || undefined);
      context.empty(201);
    }),
    route('DELETE', '/images/{name:.*}', (context) => {
      const { query, params } = context;
      const name = params.name ?? '';
      if (name.trim() === '') throw invalidParameter('image name cannot be blank');
      const options = { force: queryBool(query, 'force'), prune: !queryBool(query, 'noprune') };
      context.reply(200, images.remove(name, options));
    }),
    route('GET', '/distribution/{name:.*}/json', async (context) => {
      const { params, request, signal } = context;
      context.reply(200, await images.distribution(params.name ?? '', authHeader(request), signal));
    }),
    route('POST', '/auth', async (context) => {
      const body = await context.json<AuthRequest>(authConfig);
      context.reply(200, await images.authenticate(body, context.signal));
    }),
  ];
}

function list(images: ImagesBackend, context: Context): void {
  const { query, apiMinor } = context;
  const filters = new Map(queryFilters(query));
  // Before 1.25 a name to match stood in a parameter of its own.
  const match = query.get('filter');
  if (apiMinor < 41 && match) filters.set('reference', [...(filters.get('reference') ?? []), match]);
  const summaries = images.list({
    all: queryBool(query, 'all'),
    sharedSize: apiMinor >= 42 && queryBool(query, 'shared-size'),
    containers: apiMinor >= 51,
    filters,
  });
  context.reply(
    200,
    summaries.map((summary) => olderSummary(summary, apiMinor)),
  );
}

/** What clients of older versions expect. */
function olderSummary(summary: ImageSummary, apiMinor: number): ImageSummary & { VirtualSize?: number } {
  let old: ImageSummary & { VirtualSize?: number } = summary;
  if (apiMinor < 44) old = { ...old, VirtualSize: old.Size };
  if (apiMinor < 43 && old.RepoTags.length === 0 && old.RepoDigests.length === 0) {
    old = { ...old, RepoTags: ['<none>:<none>'], RepoDigests: ['<none>@<none>'] };
  }
  return old;
}

function inspect(images: ImagesBackend, context: Context): void {
  const { query, params, apiMinor } = context;
  const platform = platformJson(query);
  if (platform && queryBool(query, 'manifests')) {
    throw invalidParameter('conflicting options: manifests and platform options cannot both be set');
  }
  const image = images.inspect(params.name ?? '', platform);
  const older = {
    ...(apiMinor < 44 ? { VirtualSize: image.Size } : {}),
    ...(apiMinor < 45 ? { Container: '', ContainerConfig: { ...NO_CONFIG } } : {}),
    // Since 1.50 fields of a container's configuration that an image can't have are left out.
    ...(apiMinor < 50 ? { Config: { ...NO_CONFIG, ...image.Config } } : {}),
  };
  context.reply(200, { ...image, ...older });
}

const NO_CONFIG = {
  Hostname: '',
  Domainname: '',
  User: '',
  AttachStdin: false,
  AttachStdout: false,
  AttachStderr: false,
  Tty: false,
  OpenStdin: false,
  StdinOnce: false,
  Env: null,
  Cmd: null,
  Image: '',
  Volumes: null,
  WorkingDir: '',
  Entrypoint: null,
  OnBuild: null,
  Labels: null,
};

async function create(images: ImagesBackend, context: Context): Promise<void> {
  const { query, request, signal } = context;
  const image = query.get('fromImage');
  const source = query.get('fromSrc');
  const platform = query.get('platform') || undefined;
  const tag = query.get('tag') || undefined;
  if (image) {
    const auth = authHeader(request);
    await streaming(context, (progress) => images.pull({ image, tag, platform, auth }, progress, signal));
    return;
  }
  if (!source) throw invalidParameter('fromImage or fromSrc is required');
  await streaming(context, async (progress) => {
    const options = {
      source,
      body: bodyOf(request),
      repo: query.get('repo') ?? '',
      tag,
      message: query.get('message') ?? '',
      changes: query.getAll('changes'),
      platform,
    };
    await images.import(options, progress, signal);
    request.resume();
  });
}

async function push(images: ImagesBackend, context: Context): Promise<void> {
  const { query, params, request, signal } = context;
  const parameters = {
    image: params.name ?? '',
    tag: query.get('tag') || undefined,
    auth: authHeader(request),
    platform: platformJson(query),
  };
  await streaming(context, (progress) => images.push(parameters, progress, signal));
}

async function load(images: ImagesBackend, context: Context): Promise<void> {
  const { query, request, signal } = context;
  const options = { quiet: queryBool(query, 'quiet'), platform: platformJson(query) };
  await streaming(context, (progress) => images.load(bodyOf(request), options, progress, signal));
}

async function save(images: ImagesBackend, context: Context, names: readonly string[]): Promise<void> {
  const { query, signal } = context;
  const archive = images.save(names, platformJson(query), signal)[Symbol.asyncIterator]();
  // The first bytes decide between an answer and an error.
  const first = await archive.next();
  const response = context.stream('application/x-tar');
  await pour(first.done ? [] : join(first.value, archive), response);
}

async function* join(first: Buffer, rest: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  yield first;
  yield* { [Symbol.asyncIterator]: () => rest };
}

/**
 * Writes one chunk at a time, and asks for the next when the last has left: the source may use its buffers again. An error
 * after the first byte can only break the connection, so that no one takes half for all.
 */
async function pour(source: AsyncIterable<Buffer> | Iterable<Buffer>, response: ServerResponse): Promise<void> {
  try {
    for await (const chunk of source) {
      if (response.destroyed) return;
      await new Promise<void>((resolve, reject) => {
        response.write(chunk, (error) => (error ? reject(error) : resolve()));
      });
    }
    response.end();
  } catch (error) {
    response.destroy(error instanceof Error ? error : new Error(messageOf(error)));
  }
}

function platformJson(query: URLSearchParams): Platform | undefined {
  const text = query.get('platform');
  return text ? parsePlatformJson(text) : undefined;
}
