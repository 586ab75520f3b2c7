import { performance } from 'node:perf_hooks';
import type { Implementation } from '../contract/contract.ts';
import { containerService } from './containers/service.ts';
import type { EngineLink } from './engine-link.ts';
import { ServiceError } from './errors.ts';
import { engineInfo, imageRow } from './rows.ts';

/** The engine's part of the contract. Every input is looked at here: ids end up in URL paths. */
export function engineServices(link: EngineLink): Pick<Implementation, 'engine' | 'containers' | 'images'> {
  const { docker } = link;
  const up = (signal: AbortSignal) => ({ abortSignal: link.whileUp(signal) });
  return {
    engine: {
      async info(signal) {
        const { abortSignal } = up(signal);
        const [info, version] = await Promise.all([link.info(abortSignal), link.version(abortSignal)]);
        return engineInfo(info, version);
      },
      async ping(signal) {
        const begin = performance.now();
        await link.ping(link.whileUp(signal));
        return performance.now() - begin;
      },
      news: (signal) => link.news.read(signal, { kind: 'resync' }),
    },
    containers: containerService(link),
    images: {
      list: async (signal) => (await docker.listImages(up(signal))).map(imageRow),
      remove: async (id, options, signal) => {
        await docker.getImage(imageReference(id)).remove({ force: options?.force === true, ...up(signal) });
      },
    },
  };
}

function imageReference(value: unknown): string {
  if (typeof value === 'string' && /^[a-zA-Z0-9][a-zA-Z0-9_.:/@-]*$/.test(value) && !value.includes('..')) return value;
  throw new ServiceError('invalid', 'That is not the name or id of an image.');
}
