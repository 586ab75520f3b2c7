import { invalidParameter } from '../errors.ts';
import { type Digest, isDigest, parseDigest } from '../store/digest.ts';

/**
 * Image references, by the grammar of distribution/reference and Docker's normalization: `busybox` is
 * `docker.io/library/busybox`. Parsed once at the edge; a value of this type is always valid.
 */
export interface ImageRef {
  /** `docker.io`, `localhost:5000` */
  readonly domain: string;
  /** `library/busybox` */
  readonly path: string;
  readonly tag?: string;
  readonly digest?: Digest;
  readonly __brand?: 'ImageRef';
}

/** Docker's default registry; part of the reference grammar. */
export const DEFAULT_DOMAIN = 'docker.io';
/** The old name of Docker Hub, with which its search and its auth entries still go. */
export const LEGACY_DOMAIN = 'index.docker.io';
const OFFICIAL = 'library/';
export const DEFAULT_TAG = 'latest';

const MAX_NAME = 255;
const COMPONENT = '[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*';
const HOST = '(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])';
const DOMAIN = `(?:${HOST}(?:\\.${HOST})*|\\[(?:[a-fA-F0-9:]+)\\])(?::[0-9]+)?`;
const TAG = '[\\w][\\w.-]{0,127}';
const REFERENCE = new RegExp(
  `^(${DOMAIN})/(${COMPONENT}(?:/${COMPONENT})*)(?::(${TAG}))?(?:@([A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}))?$`,
);
const ANCHORED_TAG = new RegExp(`^${TAG}$`);
const HEX64 = /^[a-f0-9]{64}$/;

/** ParseNormalizedNamed: throws invalidParameter in the reference package's words. */
export function parseReference(text: string): ImageRef {
  if (HEX64.test(text)) {
    throw invalidParameter(`invalid repository name (${text}), cannot specify 64-byte hexadecimal strings`);
  }
  const { domain, remainder } = splitDomain(text);
  const remote = remainder.split(/[:@]/, 1)[0] as string;
  const match = REFERENCE.exec(`${domain}/${remainder}`);
  if (!match) {
    if (remote.toLowerCase() !== remote) {
      throw invalidParameter(`invalid reference format: repository name (${remote}) must be lowercase`);
    }
    throw invalidParameter('invalid reference format');
  }
  const path = match[2] as string;
  if (domain.length + 1 + path.length > MAX_NAME) {
    throw invalidParameter(`repository name must not be more than ${MAX_NAME} characters`);
  }
  return {
    domain,
    path,
    ...(match[3] === undefined ? {} : { tag: match[3] }),
    ...(match[4] === undefined ? {} : { digest: parseDigest(match[4]) }),
  };
}

function splitDomain(text: string): { domain: string; remainder: string } {
  const slash = text.indexOf('/');
  const first = slash < 0 ? '' : text.slice(0, slash);
  let domain = DEFAULT_DOMAIN;
  let remainder = text;
  if (slash >= 0 && (/[.:]/.test(first) || first === 'localhost' || first.toLowerCase() !== first)) {
    domain = first === LEGACY_DOMAIN ? DEFAULT_DOMAIN : first;
    remainder = text.slice(slash + 1);
  }
  if (domain === DEFAULT_DOMAIN && !remainder.includes('/')) remainder = OFFICIAL + remainder;
  return { domain, remainder };
}

/** A digest (with or without algorithm) or a name: what operations on local images take. */
export function parseAnyReference(text: string): { readonly id: Digest } | { readonly name: ImageRef } {
  if (HEX64.test(text)) return { id: `sha256:${text}` as Digest };
  if (isDigest(text)) return { id: text };
  return { name: parseReference(text) };
}

/** `docker.io/library/busybox`: the key of a repository. */
export const repositoryOf = (ref: Pick<ImageRef, 'domain' | 'path'>): string => `${ref.domain}/${ref.path}`;

/** Adds `latest` to a bare name. */
export const withDefaultTag = (ref: ImageRef): ImageRef =>
  ref.tag !== undefined || ref.digest !== undefined ? ref : { ...ref, tag: DEFAULT_TAG };

export function withTag(ref: ImageRef, tag: string): ImageRef {
  if (!ANCHORED_TAG.test(tag)) throw invalidParameter('invalid tag format');
  return { domain: ref.domain, path: ref.path, tag };
}

export const withDigest = (ref: ImageRef, digest: Digest): ImageRef => ({ domain: ref.domain, path: ref.path, digest });

/** The name as people write it: `busybox`, `localhost:5000/x`. */
export function familiarName(ref: Pick<ImageRef, 'domain' | 'path'>): string {
  if (ref.domain !== DEFAULT_DOMAIN) return repositoryOf(ref);
  const short = ref.path.startsWith(OFFICIAL) ? ref.path.slice(OFFICIAL.length) : ref.path;
  return short.includes('/') ? ref.path : short;
}

/** With tag and digest where there are any. */
export const familiar = (ref: ImageRef): string =>
  familiarName(ref) + (ref.tag === undefined ? '' : `:${ref.tag}`) + (ref.digest === undefined ? '' : `@${ref.digest}`);

/** Reads a repository key back. Only for keys that repositoryOf made. */
export function parseRepository(key: string): Pick<ImageRef, 'domain' | 'path'> {
  const slash = key.indexOf('/');
  return { domain: key.slice(0, slash), path: key.slice(slash + 1) };
}
