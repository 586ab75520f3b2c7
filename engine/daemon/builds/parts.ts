import type { Transport } from '../../content/registry/transport.ts';
import type { BuildCacheRepository } from '../../store/build-cache.ts';
import type { ContainerParts } from '../containers/parts.ts';
import type { Cache } from './cache.ts';
import type { StepExits } from './step-exits.ts';

/** What a build works with: the containers' parts, as RUN is a container, and the cache. */
export interface BuildParts extends ContainerParts {
  readonly cache: Cache;
  readonly rows: BuildCacheRepository;
  readonly exits: StepExits;
  /** Folder for spools, caches of `RUN --mount=type=cache`, and what else a build needs on disk. */
  readonly root: string;
  /** For contexts and files of ADD that are on the web. */
  readonly web: Transport;
  /** The environment, for its HTTP_PROXY and its kind. */
  readonly proxies: Readonly<Record<string, string | undefined>>;
}
