import type { Containers } from '../daemon/containers/containers.ts';
import { invalidParameter } from '../errors.ts';
import type { ContainerConfig } from '../model/container.ts';
import { containerConfig } from './bodies.ts';
import { queryBool } from './context.ts';
import { type Route, route } from './router.ts';

/** POST /commit (swagger: ImageCommit). */
export function commitRoutes(containers: Containers): Route[] {
  return [
    route('POST', '/commit', async (context) => {
      const { query, signal } = context;
      const config = await context.optionalJson<ContainerConfig>(containerConfig);
      const [container, repo, tag] = ['container', 'repo', 'tag'].map((name) => query.get(name) || undefined);
      if (!container) throw invalidParameter('no container specified');
      const reference = repo && tag ? `${repo}:${tag}` : repo;
      const id = await containers.commit(
        container,
        {
          reference,
          comment: query.get('comment') || undefined,
          author: query.get('author') || undefined,
          changes: query.getAll('changes'),
          pause: queryBool(query, 'pause', true),
          config,
        },
        signal,
      );
      context.reply(201, { Id: id });
    }),
  ];
}
