import { performance } from 'node:perf_hooks';
import type { Implementation } from '../contract/contract.ts';
import { buildsServices } from './builds-service.ts';
import { containerService } from './containers/service.ts';
import type { EngineLink } from './engine-link.ts';
import { imagesServices } from './images-service.ts';
import { networksServices } from './networks-service.ts';
import { engineInfo } from './rows.ts';
import type { TaskRunner } from './tasks.ts';
import { volumesServices } from './volumes-service.ts';

/** What is asked of one engine. */
export type EngineServices = Pick<
  Implementation,
  'engine' | 'containers' | 'images' | 'volumes' | 'networks' | 'builds'
>;

/** The engine's part of the contract. Every input is looked at here: ids end up in URL paths. */
export function engineServices(link: EngineLink, tasks: TaskRunner): EngineServices {
  return {
    engine: {
      state: (signal) => link.states.read(AbortSignal.any([signal, link.closed]), link.state),
      retry: async () => link.retry(),
      async info(signal) {
        const abortSignal = link.whileUp(signal);
        const [info, version] = await Promise.all([link.info(abortSignal), link.version(abortSignal)]);
        return engineInfo(info, version);
      },
      async ping(signal) {
        const begin = performance.now();
        await link.ping(link.whileUp(signal));
        return performance.now() - begin;
      },
      news: (signal) => link.news.read(AbortSignal.any([signal, link.closed]), { kind: 'resync' }),
    },
    containers: containerService(link),
    images: imagesServices(link, tasks),
    volumes: volumesServices(link, tasks),
    networks: networksServices(link),
    builds: buildsServices(link, tasks),
  };
}
