import { familiar, familiarName, type ImageRef } from '../../content/reference.ts';
import type { Credentials } from '../../content/registry/auth.ts';
import type { Registries, Repository, RepositoryKind } from '../../content/registry/client.ts';
import { RegistryError } from '../../content/registry/errors.ts';
import { EngineError, isKind, messageOf, notFound, systemError, unauthorized } from '../../errors.ts';
import { log } from '../../log.ts';

/**
 * Asks a repository's endpoints in order, mirrors first: whatever goes wrong with a mirror, the registry itself is asked.
 */
export async function withRepository<T>(
  registries: Registries,
  ref: ImageRef,
  credentials: Credentials,
  write: boolean,
  work: (repository: Repository) => Promise<T>,
  kind: RepositoryKind = 'repository',
): Promise<T> {
  const endpoints = registries.endpoints(ref.domain, write);
  for (const [index, endpoint] of endpoints.entries()) {
    try {
      return await work(registries.repository(endpoint, ref, credentials, kind));
    } catch (error) {
      if (isKind(error, 'cancelled') || index === endpoints.length - 1) throw error;
      log.info('mirror failed, trying the next endpoint', { mirror: endpoint.base.host, error });
    }
  }
  throw systemError(`no endpoints found for ${familiarName(ref)}`);
}

/** A registry's refusal as Docker tells it (moby distribution.translatePullError), with the kind the API answers. */
export function translateRegistryError(error: unknown, ref: ImageRef): Error {
  if (!(error instanceof RegistryError)) return error instanceof Error ? error : systemError(messageOf(error));
  const words = error.message;
  switch (error.code) {
    case 'DENIED':
      return notFound(
        `pull access denied for ${familiarName(ref)}, repository does not exist or may require 'docker login': ${words}`,
        error,
      );
    case 'MANIFEST_UNKNOWN':
      return notFound(`manifest for ${familiar(ref)} not found: ${words}`, error);
    case 'NAME_UNKNOWN':
      return notFound(`repository ${familiarName(ref)} not found: ${words}`, error);
    case 'UNAUTHORIZED':
      return unauthorized(words, error);
    case 'NO_CREDENTIALS':
      return systemError(words, error);
    default:
      return new EngineError(error.status === 404 ? 'notFound' : 'system', words, error);
  }
}
