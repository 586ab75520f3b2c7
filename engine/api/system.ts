import type { Events } from '../daemon/events.ts';
import type { System } from '../daemon/system/system.ts';
import { invalidParameter } from '../errors.ts';
import { type Context, queryFilters } from './context.ts';
import { type Route, route } from './router.ts';
import { API, versionText } from './version.ts';

/** Bytes a client of /events may lag behind before it is dropped, so that it can't fill the engine's memory. */
const EVENT_BACKLOG = 4 * 1024 * 1024;

const EVENT_FILTERS = `config container daemon event image label network node plugin scope secret service type volume`;

/** Operations tagged System in the specification. */
export function systemRoutes(system: System, events: Events): Route[] {
  const ping = (context: Context): void => {
    const { response } = context;
    response.setHeader('Builder-Version', '1');
    response.setHeader('Swarm', 'inactive');
    response.setHeader('Cache-Control', 'no-cache, no-store, must-revalidate');
    response.setHeader('Pragma', 'no-cache');
    const head = context.request.method === 'HEAD';
    response.writeHead(200, { 'Content-Type': 'text/plain; charset=utf-8', 'Content-Length': head ? 0 : 2 });
    response.end(head ? undefined : 'OK');
  };
  return [
    route('GET', '/_ping', ping),
    route('HEAD', '/_ping', ping),
    route('GET', '/version', async (context) => {
      context.reply(200, await system.version({ version: versionText(API.max), minVersion: versionText(API.min) }));
    }),
    route('GET', '/info', async (context) => context.reply(200, await system.info())),
    route('GET', '/system/df', async (context) => {
      context.reply(200, await system.diskUsage(context.query.getAll('type')));
    }),
    route('GET', '/events', (context) => streamEvents(events, context)),
  ];
}

/** Unix seconds with decimals, or RFC 3339 → milliseconds. */
function moment(context: Context, name: string): number | undefined {
  const text = context.query.get(name);
  if (!text) return undefined;
  const ms = /^-?\d+(\.\d+)?$/.test(text) ? Number(text) * 1000 : Date.parse(text);
  if (Number.isNaN(ms)) throw invalidParameter(`parsing time ${JSON.stringify(text)}: cannot parse`);
  return ms;
}

function streamEvents(events: Events, context: Context): Promise<void> {
  const [since, until] = [moment(context, 'since'), moment(context, 'until')];
  if (since !== undefined && until !== undefined && until < since) {
    throw invalidParameter(`\`since\` time (${since / 1000}) cannot be after \`until\` time (${until / 1000})`);
  }
  const filters = queryFilters(context.query);
  for (const name of filters.keys()) {
    if (!EVENT_FILTERS.split(' ').includes(name)) throw invalidParameter(`invalid filter '${name}'`);
  }
  const response = context.stream('application/json');
  return new Promise((resolve) => {
    const stop = events.subscribe(filters, since ?? (until === undefined ? undefined : 0), (event) => {
      if (until !== undefined && event.timeNano / 1e6 > until) return;
      response.write(`${JSON.stringify(event)}\n`);
      if (response.writableLength > EVENT_BACKLOG) response.destroy();
    });
    const finish = (): void => {
      stop();
      clearTimeout(timer);
      response.end();
      resolve();
    };
    // Limited to what a timer can count; a later `until` is as good as none.
    const wait = until === undefined ? undefined : Math.min(Math.max(0, until - Date.now()), 2 ** 31 - 1);
    const timer = wait === undefined ? undefined : setTimeout(finish, wait);
    context.signal.addEventListener('abort', finish);
  });
}
