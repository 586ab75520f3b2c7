import { familiar, type ImageRef, parseReference, withDefaultTag, withTag } from '../../content/reference.ts';
import { invalidParameter } from '../../errors.ts';
import type { Digest } from '../../store/digest.ts';

import { type ImageStore, nameOf } from './image-store.ts';

/** The target of tag, commit and import: a name and perhaps a tag, never a digest (moby httputils.RepoTagReference). */
export function parseTarget(repo: string, tag: string | undefined): ImageRef | undefined {
  if (repo === '') return undefined;
  const ref = parseReference(repo);
  if (ref.digest !== undefined) throw invalidParameter('cannot import digest reference');
  return tag ? withTag(ref, tag) : withDefaultTag(ref);
}

/** POST /images/{name}/tag. A name that pointed elsewhere is moved. */
export function tagImage(store: ImageStore, source: string, repo: string, tag: string | undefined): void {
  const id = store.find(source);
  const ref = parseReference(repo);
  if (ref.digest !== undefined) throw invalidParameter('refusing to create a tag with a digest reference');
  const target = tag ? withTag(ref, tag) : withDefaultTag(ref);
  if (target.path === 'library/sha256' && target.domain === 'docker.io') {
    throw invalidParameter('refusing to create an ambiguous tag using digest algorithm as name');
  }
  setTagOf(store, target, id);
}

export function setTagOf(store: ImageStore, target: ImageRef, id: Digest): void {
  store.atomically(() => store.rows.setName(nameOf(target), id, Date.now()));
  store.emit('tag', id, familiar(target), store.image(id).config.config?.Labels);
}
