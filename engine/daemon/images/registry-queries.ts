import { parseDocument, parseImageConfig } from '../../content/documents.ts';
import type { Descriptor, Platform } from '../../content/oci.ts';
import { parseReference, withDefaultTag } from '../../content/reference.ts';
import { type Credentials, decodeCredentials } from '../../content/registry/auth.ts';
import type { Registries } from '../../content/registry/client.ts';
import { RegistryError } from '../../content/registry/errors.ts';
import { fetchManifest } from '../../content/registry/fetch.ts';
import { login, type SearchResult, search } from '../../content/registry/login.ts';
import { readBody } from '../../content/registry/transport.ts';
import { EngineError, invalidParameter, systemError, unauthorized } from '../../errors.ts';
import { booleanFilter, checkFilters, type Filters } from '../filters.ts';

import { translateRegistryError, withRepository } from './remote.ts';

/** swagger: DistributionInspect. */
export interface DistributionInspect {
  readonly Descriptor: Descriptor;
  readonly Platforms: readonly Platform[];
}

const CONFIG_LIMIT = 8 * 1024 * 1024;

/** GET /distribution/{name}/json: what the registry has, without pulling it. */
export async function inspectDistribution(
  registries: Registries,
  name: string,
  auth: string | undefined,
  signal: AbortSignal,
): Promise<DistributionInspect> {
  const ref = withDefaultTag(parseReference(name));
  try {
    return await withRepository(registries, ref, decodeCredentials(auth), false, async (repository) => {
      const top = await fetchManifest(repository, ref.digest ?? (ref.tag as string), signal);
      const document = parseDocument(top.content, top.mediaType);
      const descriptor = { mediaType: document.mediaType, digest: top.digest, size: top.content.length };
      if (document.kind === 'index') {
        return {
          Descriptor: descriptor,
          Platforms: document.index.manifests.flatMap(({ platform }) => platform ?? []),
        };
      }
      const answer = await repository.request(repository.url(`blobs/${document.manifest.config.digest}`), {
        scopes: repository.scopes('pull'),
        accepted: [200],
        signal,
      });
      const config = parseImageConfig(await readBody(answer, CONFIG_LIMIT));
      const { architecture, os, variant } = config;
      return { Descriptor: descriptor, Platforms: [{ architecture, os, ...(variant ? { variant } : {}) }] };
    });
  } catch (error) {
    // A registry that lets nobody look can't be told from one that has no such image (swagger: 401).
    if (error instanceof RegistryError && (error.status === 401 || error.code === 'DENIED')) {
      throw unauthorized(error.message, error);
    }
    throw translateRegistryError(error, ref);
  }
}

export type AuthRequest = Credentials;

export interface AuthResult {
  readonly Status: string;
  readonly IdentityToken: string;
}

/** POST /auth. */
export async function authenticate(
  registries: Registries,
  request: AuthRequest,
  signal: AbortSignal,
): Promise<AuthResult> {
  try {
    const token = await login(registries, request, signal);
    return { Status: 'Login Succeeded', IdentityToken: token ?? '' };
  } catch (error) {
    if (!(error instanceof RegistryError)) throw error;
    throw error.status === 401 ? unauthorized(error.message, error) : systemError(error.message, error);
  }
}

export type { SearchResult } from '../../content/registry/login.ts';

const DEFAULT_LIMIT = 25;

/** GET /images/search. */
export async function searchImages(
  registries: Registries,
  request: { term: string; limit: number | undefined; filters: Filters; auth: string | undefined; signal: AbortSignal },
): Promise<SearchResult[]> {
  const { term, filters, signal } = request;
  const limit = request.limit || DEFAULT_LIMIT;
  if (limit < 1 || limit > 100) throw invalidParameter(`limit ${limit} is outside the range of [1, 100]`);
  checkFilters(filters, ['is-official', 'is-automated', 'stars']);
  const official = booleanFilter(filters, 'is-official');
  const automated = booleanFilter(filters, 'is-automated');
  const stars = Math.max(0, ...(filters.get('stars') ?? []).map(parseStars));
  try {
    const results = await search(registries, term, limit, decodeCredentials(request.auth), signal);
    return results.filter(
      (result) =>
        (official === undefined || result.is_official === official) && automated !== true && result.star_count >= stars,
    );
  } catch (error) {
    throw error instanceof RegistryError ? new EngineError('system', error.message, error) : error;
  }
}

function parseStars(text: string): number {
  if (!/^\d+$/.test(text)) throw invalidParameter(`invalid filter 'stars=[${text}]'`);
  return Number(text);
}
