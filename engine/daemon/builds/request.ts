import type { Credentials } from '../../content/registry/auth.ts';
import type { Ulimit } from '../../model/container.ts';

/** POST /build, decoded. */
export interface BuildRequest {
  /** The context: a tar, compressed or not. */
  readonly body: AsyncIterable<Buffer>;
  readonly dockerfile: string;
  readonly tags: readonly string[];
  readonly remote: string;
  readonly quiet: boolean;
  readonly noCache: boolean;
  readonly cacheFrom: readonly string[];
  readonly pull: boolean;
  readonly remove: boolean;
  readonly buildArgs: ReadonlyMap<string, string>;
  readonly labels: Readonly<Record<string, string>>;
  readonly networkMode: string;
  readonly platform: string;
  readonly target: string;
  readonly limits: BuildLimits;
  /** Credentials by registry, as X-Registry-Config has them. */
  readonly registries: Readonly<Record<string, Credentials>>;
}

/** What RUN steps may use. */
export interface BuildLimits {
  readonly Memory?: number;
  readonly MemorySwap?: number;
  readonly CpuShares?: number;
  readonly CpusetCpus?: string;
  readonly CpusetMems?: string;
  readonly CpuPeriod?: number;
  readonly CpuQuota?: number;
  readonly ShmSize?: number;
  readonly CgroupParent?: string;
  readonly Ulimits?: Ulimit[];
  readonly ExtraHosts?: string[];
}
