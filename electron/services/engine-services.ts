import { performance } from 'node:perf_hooks';
import type { Implementation } from '../contract/contract.ts';
import type { LogRequest } from '../contract/engine.ts';
import type { EngineLink } from './engine-link.ts';
import { ServiceError } from './errors.ts';
import { logStream } from './log-stream.ts';
import { containerRow, engineInfo, imageRow } from './rows.ts';

/** The engine's part of the contract. Every input is looked at here: ids end up in URL paths. */
export function engineServices(link: EngineLink): Pick<Implementation, 'engine' | 'containers' | 'images'> {
  const { docker } = link;
  const container = (id: string) => docker.getContainer(nameOrId(id));
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
    containers: {
      list: async (signal) => (await docker.listContainers({ all: true, ...up(signal) })).map(containerRow),
      start: async (id, signal) => unlessDone(container(id).start(up(signal))),
      stop: async (id, signal) => unlessDone(container(id).stop(up(signal))),
      restart: async (id, signal) => unlessDone(container(id).restart(up(signal))),
      remove: async (id, options, signal) => {
        await container(id).remove({ force: options?.force === true, v: options?.volumes === true, ...up(signal) });
      },
      logs: (id, request, signal) => logStream(container(id), logRequest(request), link.whileUp(signal)),
    },
    images: {
      list: async (signal) => (await docker.listImages(up(signal))).map(imageRow),
      remove: async (id, options, signal) => {
        await docker.getImage(imageReference(id)).remove({ force: options?.force === true, ...up(signal) });
      },
    },
  };
}

/** "Already started" is what was wished. */
async function unlessDone(call: Promise<unknown>): Promise<void> {
  try {
    await call;
  } catch (error) {
    if ((error as { statusCode?: number }).statusCode !== 304) throw error;
  }
}

function nameOrId(value: unknown): string {
  if (typeof value === 'string' && /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(value)) return value;
  throw new ServiceError('invalid', 'That is not the name or id of a container.');
}

function imageReference(value: unknown): string {
  if (typeof value === 'string' && /^[a-zA-Z0-9][a-zA-Z0-9_.:/@-]*$/.test(value) && !value.includes('..')) return value;
  throw new ServiceError('invalid', 'That is not the name or id of an image.');
}

function logRequest(request: LogRequest | undefined): LogRequest {
  const tail = Number(request?.tail);
  return {
    tail: Number.isInteger(tail) && tail >= 0 ? Math.min(tail, 100_000) : 1_000,
    follow: request?.follow === true,
    timestamps: request?.timestamps === true,
  };
}
