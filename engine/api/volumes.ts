import type { VolumeCreateRequest, VolumeRecord, Volumes } from '../daemon/volumes/volumes.ts';
import { queryBool, queryFilters } from './context.ts';
import { type Route, route } from './router.ts';

/** swagger: Volume */
const view = (volumes: Volumes, volume: VolumeRecord): object => ({
  CreatedAt: volume.created,
  Driver: volume.driver,
  Labels: Object.keys(volume.labels).length > 0 ? volume.labels : null,
  Mountpoint: volumes.mountpointOf(volume.name),
  Name: volume.name,
  Options: Object.keys(volume.options).length > 0 ? volume.options : null,
  Scope: 'local',
});

/** Operations tagged Volume in the specification. */
export function volumeRoutes(volumes: Volumes): Route[] {
  return [
    route('GET', '/volumes', (context) => {
      const found = volumes.list(queryFilters(context.query));
      context.reply(200, { Volumes: found.map((volume) => view(volumes, volume)), Warnings: null });
    }),
    route('POST', '/volumes/create', async (context) => {
      context.reply(201, view(volumes, volumes.create(await context.json<VolumeCreateRequest>())));
    }),
    route('POST', '/volumes/prune', async (context) => {
      const { names, reclaimed } = await volumes.prune(queryFilters(context.query));
      context.reply(200, { VolumesDeleted: names, SpaceReclaimed: reclaimed });
    }),
    route('GET', '/volumes/{name}', (context) => {
      context.reply(200, view(volumes, volumes.get(context.params.name ?? '')));
    }),
    route('DELETE', '/volumes/{name}', (context) => {
      volumes.remove(context.params.name ?? '', queryBool(context.query, 'force'));
      context.empty(204);
    }),
  ];
}
