import type { PathStat } from '../daemon/containers/archive.ts';
import type { Containers } from '../daemon/containers/containers.ts';
import { invalidParameter } from '../errors.ts';
import { type Context, queryBool } from './context.ts';
import { type Route, route } from './router.ts';
import { writeAll } from './stream.ts';

const STAT_HEADER = 'X-Docker-Container-Path-Stat';

/** Asked for in `Accept`, a directory is answered as a list of what is in it; other engines answer with a tar. */
const LISTING_TYPE = 'application/vnd.skiff.directory+json';

const encodeStat = (stat: PathStat): string => Buffer.from(JSON.stringify(stat)).toString('base64');

function pathOf(context: Context): string {
  const path = context.query.get('path');
  // The missing blank is dockerd's.
  if (!path) throw invalidParameter('bad parameter: pathcannot be empty');
  return path;
}

/** `docker cp`: ContainerArchive, ContainerArchiveInfo and PutContainerArchive. */
export function archiveRoutes(containers: Containers): Route[] {
  const name = (context: Context): string => context.params.name ?? '';
  return [
    route('HEAD', '/containers/{name}/archive', async (context) => {
      context.response.setHeader(STAT_HEADER, encodeStat(await containers.statPath(name(context), pathOf(context))));
      context.empty(200);
    }),
    route('GET', '/containers/{name}/archive', async (context) => {
      if (context.request.headers.accept === LISTING_TYPE) {
        const entries = await containers.listDirectory(name(context), pathOf(context));
        context.response.setHeader('Content-Type', LISTING_TYPE);
        context.response.end(JSON.stringify(entries));
        return;
      }
      await containers.readArchive(name(context), pathOf(context), context.signal, async (stat, tar) => {
        context.response.setHeader(STAT_HEADER, encodeStat(stat));
        await writeAll(context.stream('application/x-tar'), tar);
      });
    }),
    route('PUT', '/containers/{name}/archive', async (context) => {
      await containers.writeArchive(name(context), pathOf(context), context.request, {
        noOverwriteDirNonDir: queryBool(context.query, 'noOverwriteDirNonDir'),
        copyUidGid: queryBool(context.query, 'copyUIDGID'),
      });
      context.empty(200);
    }),
  ];
}
