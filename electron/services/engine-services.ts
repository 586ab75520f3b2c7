import { performance } from 'node:perf_hooks';
import type { Implementation } from '../contract/contract.ts';
import { containerService } from './containers/service.ts';
import type { EngineLink } from './engine-link.ts';
import { engineInfo } from './rows.ts';

/** The engine's part of the contract. Every input is looked at here: ids end up in URL paths. */
export function engineServices(link: EngineLink): Pick<Implementation, 'engine' | 'containers'> {
  return {
    engine: {
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
      news: (signal) => link.news.read(signal, { kind: 'resync' }),
    },
    containers: containerService(link),
  };
}
