import { arch } from 'node:process';

import { invalidParameter, messageOf } from '../errors.ts';

import type { Descriptor, Platform } from './oci.ts';

/** Architectures in Go's words, as image configurations have them. */
const ARCHITECTURES: Record<string, string> = {
  x64: 'amd64',
  arm64: 'arm64',
  arm: 'arm',
  ppc64: 'ppc64le',
  s390x: 's390x',
};

export const hostPlatform = (): Platform => normalize({ os: 'linux', architecture: ARCHITECTURES[arch] ?? arch });

/** Common spellings to the one that images use; arm64's v8 and amd64's v1 are the same as none. */
export function normalize(platform: Platform): Platform {
  const aliases: Record<string, string> = {
    x86_64: 'amd64',
    'x86-64': 'amd64',
    aarch64: 'arm64',
    i386: '386',
    armhf: 'arm',
    armel: 'arm',
  };
  const given = platform.architecture.toLowerCase();
  const architecture = aliases[given] ?? given;
  let variant = platform.variant?.toLowerCase() || undefined;
  if (given === 'armel') variant = 'v6';
  if (architecture === 'arm64' && (variant === 'v8' || variant === '8')) variant = undefined;
  if (architecture === 'amd64' && variant === 'v1') variant = undefined;
  if (architecture === 'arm' && variant !== undefined && /^\d$/.test(variant)) variant = `v${variant}`;
  return {
    os: platform.os.toLowerCase(),
    architecture,
    ...(variant ? { variant } : {}),
    ...(platform['os.version'] ? { 'os.version': platform['os.version'] } : {}),
  };
}

/** `os[/arch[/variant]]` or a lone architecture, as `--platform` and the `platform` parameter of pull take it. */
export function parsePlatform(text: string, host: Platform = hostPlatform()): Platform {
  const parts = text.split('/');
  if (parts.length > 3 || parts.some((part) => !/^[A-Za-z0-9_.-]+$/.test(part))) {
    throw invalidParameter(
      `"${text}" is an invalid OS/Arch: platform specifier component must match "^[A-Za-z0-9_.-]+$": invalid argument`,
    );
  }
  const [first, architecture, variant] = parts as [string, string?, string?];
  if (architecture === undefined) {
    return ['linux', 'windows', 'darwin', 'freebsd'].includes(first.toLowerCase())
      ? normalize({ ...host, os: first })
      : normalize({ os: host.os, architecture: first });
  }
  return normalize({ os: first, architecture, variant });
}

/** The JSON form that the API takes elsewhere: `{"os":"linux","architecture":"arm64"}`. */
export function parsePlatformJson(text: string): Platform {
  let value: Partial<Platform> | null;
  try {
    value = JSON.parse(text) as Partial<Platform> | null;
  } catch (error) {
    throw invalidParameter(`failed to parse platform: ${messageOf(error)}`);
  }
  if (typeof value?.os !== 'string' || typeof value.architecture !== 'string') {
    throw invalidParameter('both OS and Architecture must be provided');
  }
  return normalize(value as Platform);
}

export const formatPlatform = (platform: Platform): string =>
  [platform.os, platform.architecture, platform.variant].filter(Boolean).join('/');

/** ARM runs what older ARMs run. */
function variantRank(wanted: Platform, offered: Platform): number {
  const want = wanted.variant ?? '';
  const have = offered.variant ?? '';
  if (want === have) return 100;
  if (wanted.architecture !== 'arm') return wanted.architecture === 'amd64' && want === '' ? -1 : have === '' ? 1 : -1;
  const level = (variant: string) => Number(variant.replace('v', '') || '7');
  return level(have) <= level(want) ? level(have) : -1;
}

/** How well an image for `offered` serves `wanted`; negative when it can't run. */
export function rank(wanted: Platform, offered: Platform): number {
  const [want, have] = [normalize(wanted), normalize(offered)];
  if (want.os !== have.os) return -1;
  if (want.architecture === have.architecture) return variantRank(want, have);
  // A 64-bit ARM also runs 32-bit images, where nothing better is offered.
  if (want.architecture === 'arm64' && have.architecture === 'arm') return 0;
  return -1;
}

/** The best of an index's manifests for a platform; undefined when none can run. Attestations don't count. */
export function choose(manifests: readonly Descriptor[], wanted: Platform): Descriptor | undefined {
  let best: { descriptor: Descriptor; rank: number } | undefined;
  for (const descriptor of manifests) {
    if (!descriptor.platform || descriptor.platform.os === 'unknown') continue;
    const score = rank(wanted, descriptor.platform);
    if (score >= 0 && (!best || score > best.rank)) best = { descriptor, rank: score };
  }
  return best?.descriptor;
}
