import type { IncomingMessage } from 'node:http';

import type { BuildCacheUsage, BuildLimits, BuildPruned, BuildRecord, BuildRequest } from '../daemon/builds/builds.ts';
import { exitCodeOf } from '../daemon/builds/builds.ts';
import type { Filters } from '../daemon/filters.ts';
import type { Progress } from '../daemon/images/images.ts';
import { invalidParameter, messageOf, notImplemented } from '../errors.ts';
import { type Context, queryBool, queryFilters, queryInt } from './context.ts';
import { type Route, route } from './router.ts';

/** What these routes need of the daemon. */
export interface BuildsBackend {
  build(request: BuildRequest, progress: Progress, signal: AbortSignal): Promise<void>;
  cancel(id: string): void;
  prune(options: { all: boolean; keepBytes: number; filters: Filters }): BuildPruned;
  usage(): Promise<BuildCacheUsage[]>;
  list(): Omit<BuildRecord, 'log'>[];
  get(id: string): BuildRecord;
}

/** ImageBuild, BuildPrune, and the engine's own list of builds. */
export function buildRoutes(builds: BuildsBackend): Route[] {
  return [
    route('POST', '/build', (context) => build(builds, context)),
    route('POST', '/build/prune', (context) => {
      const { query } = context;
      const keep =
        queryInt(query, 'reserved-space') ?? queryInt(query, 'keep-storage') ?? queryInt(query, 'max-used-space');
      context.reply(
        200,
        builds.prune({ all: queryBool(query, 'all'), keepBytes: keep ?? 0, filters: queryFilters(query) }),
      );
    }),
    route('POST', '/build/cancel', (context) => {
      const id = context.query.get('id');
      if (!id) throw invalidParameter('build ID not provided');
      builds.cancel(id);
      context.empty(200);
    }),
    route('GET', '/skiff/builds', (context) => context.reply(200, builds.list())),
    route('GET', '/skiff/builds/{id}', (context) => context.reply(200, builds.get(context.params.id ?? ''))),
  ];
}

async function build(builds: BuildsBackend, context: Context): Promise<void> {
  const { query, signal } = context;
  if (query.get('version') === '2') {
    throw notImplemented(
      'BuildKit builds (version=2) are not supported: set DOCKER_BUILDKIT=0 to build with this engine',
    );
  }
  const request = decode(context);
  let started = false;
  const progress: Progress = (line) => {
    if (signal.aborted) return;
    if (!started) context.stream('application/json');
    started = true;
    context.response.write(`${JSON.stringify(line)}\r\n`);
  };
  try {
    await builds.build(request, progress, signal);
  } catch (error) {
    context.request.resume();
    if (!started) throw error;
    if (!signal.aborted) {
      const message = messageOf(error);
      const code = exitCodeOf(error);
      const errorDetail = code === undefined ? { message } : { code, message };
      context.response.write(`${JSON.stringify({ errorDetail, error: message })}\r\n`);
    }
  }
  if (!started) context.stream('application/json');
  context.response.end();
}

function decode(context: Context): BuildRequest {
  const { query, request } = context;
  if (queryBool(query, 'squash')) throw invalidParameter('squash is only supported with experimental mode');
  // Both mean something on Windows only.
  if (query.has('securityopt')) throw invalidParameter('security options are not supported on linux');
  const isolation = query.get('isolation') || 'default';
  if (isolation.toLowerCase() !== 'default') {
    throw invalidParameter(`unsupported isolation: ${JSON.stringify(isolation)}`);
  }
  const outputs = query.get('outputs');
  if (outputs && outputs !== '[]' && outputs !== 'null') {
    throw invalidParameter('outputs are only supported with BuildKit');
  }
  return {
    body: bodyOf(request),
    dockerfile: query.get('dockerfile') ?? '',
    tags: [...new Set(query.getAll('t').filter(Boolean))],
    remote: query.get('remote') ?? '',
    quiet: queryBool(query, 'q'),
    noCache: queryBool(query, 'nocache'),
    cacheFrom: json<string[]>(query, 'cachefrom', Array.isArray) ?? [],
    pull: queryBool(query, 'pull'),
    remove: queryBool(query, 'rm', true),
    buildArgs: buildArgs(query),
    labels: json<Record<string, string>>(query, 'labels', isObject) ?? {},
    networkMode: query.get('networkmode') ?? '',
    platform: query.get('platform') ?? '',
    target: query.get('target') ?? '',
    limits: limitsOf(query),
    registries: registryConfig(request),
  };
}

const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null && !Array.isArray(value);

function json<T>(query: URLSearchParams, name: string, isRight: (value: unknown) => boolean): T | undefined {
  const text = query.get(name);
  if (!text) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw invalidParameter(`error reading ${name}: ${messageOf(error)}`);
  }
  if (value === null) return undefined;
  if (!isRight(value)) throw invalidParameter(`error reading ${name}: unexpected value`);
  return value as T;
}

/** An argument without a value (`--build-arg X` where the client has no X) counts as not given. */
function buildArgs(query: URLSearchParams): Map<string, string> {
  const given = json<Record<string, string | null>>(query, 'buildargs', isObject) ?? {};
  return new Map(
    Object.entries(given).flatMap(([name, value]) => (value === null ? [] : [[name, String(value)] as const])),
  );
}

function limitsOf(query: URLSearchParams): BuildLimits {
  const shm = queryInt(query, 'shmsize');
  if (shm !== undefined && shm < 0) throw invalidParameter('SHM size can not be less than 0');
  const hosts = query
    .getAll('extrahosts')
    .flatMap((text) => text.split(','))
    .filter(Boolean);
  return {
    Memory: queryInt(query, 'memory'),
    MemorySwap: queryInt(query, 'memswap'),
    CpuShares: queryInt(query, 'cpushares'),
    CpusetCpus: query.get('cpusetcpus') ?? undefined,
    CpusetMems: query.get('cpusetmems') ?? undefined,
    CpuPeriod: queryInt(query, 'cpuperiod'),
    CpuQuota: queryInt(query, 'cpuquota'),
    ShmSize: shm || undefined,
    CgroupParent: query.get('cgroupparent') || undefined,
    Ulimits: json<NonNullable<BuildLimits['Ulimits']>>(query, 'ulimits', Array.isArray),
    ExtraHosts: hosts,
  };
}

/** X-Registry-Config; what can't be read counts as none, as in Docker. */
function registryConfig(request: IncomingMessage): BuildRequest['registries'] {
  const header = request.headers['x-registry-config'];
  if (typeof header !== 'string' || header === '') return {};
  try {
    const value: unknown = JSON.parse(Buffer.from(header, 'base64url').toString('utf8'));
    return isObject(value) ? (value as BuildRequest['registries']) : {};
  } catch {
    return {};
  }
}

/** The body without Node's habit of closing the connection when its reader stops early: the answer must still arrive. */
const bodyOf = (request: IncomingMessage): AsyncIterable<Buffer> => ({
  [Symbol.asyncIterator]: () => request.iterator({ destroyOnReturn: false }) as AsyncIterator<Buffer>,
});
