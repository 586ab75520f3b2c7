import { createHash } from 'node:crypto';

import { invalidParameter } from '../errors.ts';

/**
 * A content digest, `sha256:` and 64 hex digits (OCI image spec, descriptor.md). Parsed once at the edge; whatever holds
 * the type holds a valid one. sha512 is valid by the grammar but no registry or engine in use emits it: it is refused.
 */
export type Digest = string & { readonly __brand: 'Digest' };

const PATTERN = /^sha256:[0-9a-f]{64}$/;

export const isDigest = (text: string): text is Digest => PATTERN.test(text);

export function parseDigest(text: string): Digest {
  if (isDigest(text)) return text;
  if (/^[a-z0-9]+([+._-][a-z0-9]+)*:/.test(text) && !text.startsWith('sha256:')) {
    throw invalidParameter('unsupported digest algorithm');
  }
  throw invalidParameter('invalid checksum digest format');
}

/** The 64 hex digits without the algorithm: file names and short ids. */
export const digestHex = (digest: Digest): string => digest.slice('sha256:'.length);

/** The 12 digits that progress lines and messages show. */
export const shortId = (digest: string): string => digest.replace(/^sha256:/, '').slice(0, 12);

export const digestOf = (content: Buffer | string): Digest =>
  `sha256:${createHash('sha256').update(content).digest('hex')}` as Digest;

/** Chain ids of a stack of layers, base first (OCI image spec, config.md "Layer ChainID"): one for each diff id. */
export function chainIds(diffIds: readonly Digest[]): Digest[] {
  const chains: Digest[] = [];
  for (const diffId of diffIds) {
    const parent = chains.at(-1);
    chains.push(parent === undefined ? diffId : digestOf(`${parent} ${diffId}`));
  }
  return chains;
}
