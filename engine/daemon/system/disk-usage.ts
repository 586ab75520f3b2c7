import { invalidParameter } from '../../errors.ts';
import type { Containers } from '../containers/containers.ts';
import type { Images } from '../images/images.ts';

export interface DiskUsageParts {
  readonly images: Images;
  readonly containers: Containers;
  /** swagger: Volume[] with UsageData */
  readonly volumes: { usage(): Promise<readonly object[]> };
  /** swagger: BuildCache[] */
  readonly buildCache: () => Promise<readonly object[]>;
}

const TYPES: readonly string[] = ['container', 'image', 'volume', 'build-cache'];

/**
 * GET /system/df. What isn't asked for is left out, as moby does (swagger: SystemDataUsageResponse).
 * @param types of TYPES; empty: all
 */
export async function diskUsage(parts: DiskUsageParts, types: readonly string[]): Promise<object> {
  for (const type of types) if (!TYPES.includes(type)) throw invalidParameter(`unknown object type: ${type}`);
  const wants = (type: string): boolean => types.length === 0 || types.includes(type);
  const filters = new Map();
  const [containers, volumes, cache] = await Promise.all([
    wants('container') ? parts.containers.list({ all: true, limit: undefined, filters, size: true }) : null,
    wants('volume') ? parts.volumes.usage() : null,
    wants('build-cache') ? parts.buildCache() : null,
  ]);
  const images = wants('image') ? parts.images.diskUsage() : undefined;
  return {
    LayersSize: images?.LayersSize ?? 0,
    Images: images?.Images ?? null,
    Containers: containers,
    Volumes: volumes,
    BuildCache: cache,
  };
}
