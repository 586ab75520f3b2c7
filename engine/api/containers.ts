import type { AttachOptions, Containers, WaitCondition } from '../daemon/containers/containers.ts';
import { type LogQuery, stamp } from '../daemon/containers/logs/reader.ts';
import { invalidParameter } from '../errors.ts';
import type { CreateRequest, Resources, RestartPolicy } from '../model/container.ts';
import { createContainer, updateContainer } from './bodies.ts';
import { type Context, queryBool, queryFilters, queryInt } from './context.ts';
import { type Route, route } from './router.ts';
import { writeAll } from './stream.ts';
import { acceptWebSocket, checkWebSocket } from './web-socket.ts';

const RAW_STREAM = 'application/vnd.docker.raw-stream';
const MULTIPLEXED = 'application/vnd.docker.multiplexed-stream';
/** Since this version clients are told in the header whether a stream is framed. */
const MULTIPLEXED_SINCE = 42;

const WAIT_CONDITIONS: readonly string[] = ['not-running', 'next-exit', 'removed'];

export function streamType(context: Context, tty: boolean): string {
  return !tty && context.apiMinor >= MULTIPLEXED_SINCE ? MULTIPLEXED : RAW_STREAM;
}

/** Rows and columns of a resize or start request. */
function dimensions(context: Context): [number, number] {
  const [rows, columns] = [queryInt(context.query, 'h'), queryInt(context.query, 'w')];
  if (rows === undefined || columns === undefined) throw invalidParameter('strconv.Atoi: parsing "": invalid syntax');
  return [rows, columns];
}

const stopOptions = ({ query }: Context) => ({
  signal: query.get('signal') ?? undefined,
  timeout: queryInt(query, 't'),
});

/** Operations tagged Container in the specification, but for files, statistics and execs. */
export function containerRoutes(containers: Containers): Route[] {
  const id = (context: Context): string => context.params.name ?? '';
  const done = async (context: Context, work: Promise<void>): Promise<void> => {
    await work;
    context.empty(204);
  };
  return [
    route('GET', '/containers/json', async (context) => {
      const { query } = context;
      const limit = queryInt(query, 'limit');
      const options = { all: queryBool(query, 'all'), size: queryBool(query, 'size'), filters: queryFilters(query) };
      context.reply(200, await containers.list({ ...options, limit: limit && limit > 0 ? limit : undefined }));
    }),
    route('POST', '/containers/create', async (context) => {
      const request = await context.json<CreateRequest>(createContainer);
      const name = context.query.get('name') || undefined;
      const result = await containers.create(request, { name, platform: context.query.get('platform') || undefined });
      context.reply(201, { Id: result.id, Warnings: result.warnings });
    }),
    route('POST', '/containers/prune', async (context) => {
      const { deleted, reclaimed } = await containers.prune(queryFilters(context.query));
      context.reply(200, { ContainersDeleted: deleted, SpaceReclaimed: reclaimed });
    }),
    route('GET', '/containers/{name}/json', async (context) => {
      const wantsSize = queryBool(context.query, 'size');
      const size = wantsSize ? await containers.sizeOf(containers.get(id(context))) : undefined;
      context.reply(200, containers.inspect(id(context), size));
    }),
    route('POST', '/containers/{name}/start', (context) => done(context, containers.start(id(context)))),
    route('POST', '/containers/{name}/stop', (context) =>
      done(context, containers.stop(id(context), stopOptions(context))),
    ),
    route('POST', '/containers/{name}/restart', (context) =>
      done(context, containers.restart(id(context), stopOptions(context))),
    ),
    route('POST', '/containers/{name}/kill', (context) =>
      done(context, containers.kill(id(context), context.query.get('signal') || undefined)),
    ),
    route('POST', '/containers/{name}/pause', (context) => done(context, containers.pause(id(context)))),
    route('POST', '/containers/{name}/unpause', (context) => done(context, containers.unpause(id(context)))),
    route('POST', '/containers/{name}/rename', (context) => {
      containers.rename(id(context), context.query.get('name') ?? '');
      context.empty(204);
    }),
    route('POST', '/containers/{name}/update', async (context) => {
      const limits = await context.json<Resources & { RestartPolicy?: RestartPolicy }>(updateContainer);
      context.reply(200, { Warnings: await containers.update(id(context), limits) });
    }),
    // A link is named by its parent and alias: /web/db.
    route('DELETE', '/containers/{name:.*}', (context) => {
      if (queryBool(context.query, 'link')) {
        containers.removeLink(id(context));
        context.empty(204);
        return;
      }
      const options = { force: queryBool(context.query, 'force'), volumes: queryBool(context.query, 'v') };
      return done(context, containers.remove(id(context), options));
    }),
    route('POST', '/containers/{name}/wait', (context) => waitFor(containers, context)),
    route('POST', '/containers/{name}/resize', async (context) => {
      const [rows, columns] = dimensions(context);
      await containers.resize(id(context), rows, columns);
      context.empty(200);
    }),
    route('POST', '/containers/{name}/attach', async (context) => {
      const container = containers.get(id(context));
      const type = streamType(context, container.record.config.Tty ?? false);
      await containers.attach(container.id, attachOptions(context), () => context.hijack(type));
    }),
    route('GET', '/containers/{name}/attach/ws', async (context) => {
      const container = containers.get(id(context));
      checkWebSocket(context);
      const framed = !(container.record.config.Tty ?? false);
      await containers.attach(container.id, attachOptions(context), () => acceptWebSocket(context, framed));
    }),
    route('GET', '/containers/{name}/logs', (context) => sendLogs(containers, context)),
    route('GET', '/containers/{name}/stats', (context) => sendStats(containers, context)),
    route('GET', '/containers/{name}/top', async (context) => {
      context.reply(200, await containers.top(id(context), context.query.get('ps_args') ?? ''));
    }),
    route('GET', '/containers/{name}/changes', async (context) => {
      context.reply(200, await containers.changes(id(context)));
    }),
    route('GET', '/containers/{name}/export', async (context) => {
      const tar = containers.exportRoot(id(context), context.signal);
      await writeAll(context.stream('application/octet-stream'), tar);
    }),
  ];
}

const attachOptions = ({ query }: Context): AttachOptions => ({
  stdin: queryBool(query, 'stdin'),
  stdout: queryBool(query, 'stdout'),
  stderr: queryBool(query, 'stderr'),
  logs: queryBool(query, 'logs'),
  stream: queryBool(query, 'stream'),
  detachKeys: query.get('detachKeys') ?? undefined,
});

/** The answer's headers go out at once: clients wait for them before they start the container. */
async function waitFor(containers: Containers, context: Context): Promise<void> {
  const condition = context.query.get('condition') || 'not-running';
  if (!WAIT_CONDITIONS.includes(condition)) throw invalidParameter(`invalid condition: ${JSON.stringify(condition)}`);
  const result = containers.wait(context.params.name ?? '', condition as WaitCondition, context.signal);
  const response = context.stream('application/json');
  try {
    const { exitCode, error } = await result;
    response.end(`${JSON.stringify({ StatusCode: exitCode, ...(error ? { Error: { Message: error } } : {}) })}\n`);
  } catch (error) {
    if (!context.signal.aborted) throw error;
  }
}

function logQuery(context: Context): LogQuery {
  const { query } = context;
  const bound = (name: string): string | undefined => {
    const text = query.get(name);
    if (!text || text === '0') return undefined;
    const value = stamp(text);
    if (value === undefined)
      throw invalidParameter(
        `invalid value for ${JSON.stringify(name)}: failed to parse value as time or duration: ${JSON.stringify(text)}`,
      );
    return value;
  };
  const tail = query.get('tail') ?? 'all';
  const [stdout, stderr] = [queryBool(query, 'stdout'), queryBool(query, 'stderr')];
  if (!stdout && !stderr) throw invalidParameter('Bad parameters: you must choose at least one stream');
  return {
    stdout,
    stderr,
    since: bound('since'),
    until: bound('until'),
    // As dockerd: what isn't a number means everything.
    tail: /^\d+$/.test(tail) ? Number(tail) : undefined,
    timestamps: queryBool(query, 'timestamps'),
    details: queryBool(query, 'details'),
    follow: queryBool(query, 'follow'),
  };
}

async function sendLogs(containers: Containers, context: Context): Promise<void> {
  const container = containers.checkLogs(context.params.name ?? '');
  const query = logQuery(context);
  const response = context.stream(streamType(context, container.record.config.Tty ?? false));
  await writeAll(response, containers.logs(container, query, context.signal));
}

async function sendStats(containers: Containers, context: Context): Promise<void> {
  const options = { stream: queryBool(context.query, 'stream', true), oneShot: queryBool(context.query, 'one-shot') };
  const stats = containers.stats(context.params.name ?? '', options, context.signal);
  if (!options.stream) {
    for await (const one of stats) context.reply(200, one);
    return;
  }
  const lines = async function* (): AsyncGenerator<Buffer> {
    for await (const one of stats) yield Buffer.from(`${JSON.stringify(one)}\n`);
  };
  if (options.oneShot) throw invalidParameter('cannot have stream=true and one-shot=true');
  await writeAll(context.stream('application/json'), lines());
}
