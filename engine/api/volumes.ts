import type { VolumeCreateRequest, Volumes } from '../daemon/volumes/volumes.ts';
import { unavailable } from '../errors.ts';
import { createVolume } from './bodies.ts';
import { queryBool, queryFilters } from './context.ts';
import { type Route, route } from './router.ts';

/** Operations tagged Volume in the specification. */
export function volumeRoutes(volumes: Volumes): Route[] {
  return [
    route('GET', '/volumes', (context) => {
      const found = volumes.list(queryFilters(context.query));
      context.reply(200, { Volumes: found.map((volume) => volumes.view(volume)), Warnings: null });
    }),
    route('POST', '/volumes/create', async (context) => {
      context.reply(
        201,
        volumes.view(await volumes.createAnywhere(await context.json<VolumeCreateRequest>(createVolume))),
      );
    }),
    route('POST', '/volumes/prune', async (context) => {
      const { names, reclaimed } = await volumes.prune(queryFilters(context.query));
      context.reply(200, { VolumesDeleted: names, SpaceReclaimed: reclaimed });
    }),
    route('GET', '/volumes/{name}', (context) => {
      context.reply(200, volumes.view(volumes.get(context.params.name ?? '')));
    }),
    route('PUT', '/volumes/{name}', () => {
      throw unavailable('volume update only valid for cluster volumes, but swarm is unavailable');
    }),
    route('DELETE', '/volumes/{name}', async (context) => {
      await volumes.removeAnywhere(context.params.name ?? '', queryBool(context.query, 'force'));
      context.empty(204);
    }),
  ];
}
