import type { Filters } from '../daemon/filters.ts';
import type { Progress } from '../daemon/images/images.ts';
import type { PluginPrivilege } from '../daemon/plugins/config.ts';
import type { PluginPull } from '../daemon/plugins/install.ts';
import { systemError } from '../errors.ts';
import { list, object, text } from '../model/shape.ts';
import { type Context, queryBool, queryFilters } from './context.ts';
import { authHeader, bodyOf, streaming } from './progress-stream.ts';
import { type Route, route } from './router.ts';

/** What these routes need of the daemon: what is installed… */
export interface PluginsBackend {
  list(filters: Filters): object[];
  inspect(name: string): object;
  enable(name: string, timeout: number): Promise<void>;
  disable(name: string, force: boolean): Promise<void>;
  remove(name: string, force: boolean): Promise<void>;
  set(name: string, wishes: readonly string[]): Promise<void>;
}

/** …and how plugins come and go. */
export interface PluginInstallerBackend {
  privileges(remote: string, auth: string | undefined, signal: AbortSignal): Promise<PluginPrivilege[]>;
  nameFor(remote: string, name: string): string;
  pull(request: PluginPull, name: string, progress: Progress, signal: AbortSignal): Promise<void>;
  upgrade(name: string, request: PluginPull, progress: Progress, signal: AbortSignal): Promise<void>;
  create(name: string, context: AsyncIterable<Buffer>, signal: AbortSignal): Promise<void>;
  push(name: string, auth: string | undefined, progress: Progress, signal: AbortSignal): Promise<void>;
}

const privileges = list(object('PluginPrivilege', { Name: text, Description: text, Value: list(text) }));
const wishes = list(text);

/** swagger tag Plugin */
export function pluginRoutes(plugins: PluginsBackend, installer: PluginInstallerBackend): Route[] {
  const nameOf = (context: Context): string => context.params.name ?? '';
  return [
    route('GET', '/plugins', (context) => context.reply(200, plugins.list(queryFilters(context.query)))),
    route('GET', '/plugins/privileges', async (context) => {
      const remote = context.query.get('remote') ?? '';
      context.reply(200, await installer.privileges(remote, authHeader(context.request), context.signal));
    }),
    route('POST', '/plugins/pull', async (context) => {
      const request = await pullOf(context);
      const name = installer.nameFor(request.remote, context.query.get('name') ?? '');
      context.response.setHeader('Docker-Plugin-Name', name);
      await streaming(context, (progress) => installer.pull(request, name, progress, context.signal));
    }),
    route('POST', '/plugins/create', async (context) => {
      await installer.create(context.query.get('name') ?? '', bodyOf(context.request), context.signal);
      context.empty(204);
    }),
    route('GET', '/plugins/{name:.+}/json', (context) => context.reply(200, plugins.inspect(nameOf(context)))),
    route('DELETE', '/plugins/{name:.+}', async (context) => {
      await plugins.remove(nameOf(context), queryBool(context.query, 'force'));
      context.empty(200);
    }),
    route('POST', '/plugins/{name:.+}/enable', async (context) => {
      await plugins.enable(nameOf(context), timeoutOf(context.query));
      context.empty(200);
    }),
    route('POST', '/plugins/{name:.+}/disable', async (context) => {
      await plugins.disable(nameOf(context), queryBool(context.query, 'force'));
      context.empty(200);
    }),
    route('POST', '/plugins/{name:.+}/upgrade', async (context) => {
      const request = await pullOf(context);
      const name = installer.nameFor(request.remote, nameOf(context));
      context.response.setHeader('Docker-Plugin-Name', name);
      await streaming(context, (progress) => installer.upgrade(name, request, progress, context.signal));
    }),
    route('POST', '/plugins/{name:.+}/push', (context) =>
      streaming(context, (progress) =>
        installer.push(nameOf(context), authHeader(context.request), progress, context.signal),
      ),
    ),
    route('POST', '/plugins/{name:.+}/set', async (context) => {
      await plugins.set(nameOf(context), await context.json<string[]>(wishes));
      context.empty(204);
    }),
  ];
}

async function pullOf(context: Context): Promise<PluginPull> {
  return {
    privileges: await context.json<PluginPrivilege[]>(privileges),
    remote: context.query.get('remote') ?? '',
    auth: authHeader(context.request),
  };
}

/** Seconds. dockerd wants it to be there, and so does its client send it; the specification has 0 for none. */
function timeoutOf(query: URLSearchParams): number {
  const text = query.get('timeout') ?? '0';
  if (!/^\d+$/.test(text)) throw systemError(`strconv.Atoi: parsing ${JSON.stringify(text)}: invalid syntax`);
  return Number(text);
}
