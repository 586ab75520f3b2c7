import { parseReference } from '../../content/reference.ts';
import { conflict, EngineError } from '../../errors.ts';
import { type Digest, shortId } from '../../store/digest.ts';
import type { ImageName } from '../../store/images.ts';

import { familiarOf, type ImageStore, nameOf } from './image-store.ts';

/** swagger: ImageDeleteResponseItem. */
export type Deleted = { readonly Untagged: string } | { readonly Deleted: string };

export interface RemoveOptions {
  readonly force?: boolean;
  /** Untagged parents go as well (default). */
  readonly prune?: boolean;
}

interface Checks {
  readonly references: boolean;
  readonly stopped: boolean;
}

/** Why an image can't go. `hard` ones can't be forced; `used`: by a container. */
class DeleteConflict extends EngineError {
  readonly used: boolean;

  constructor(id: Digest, reason: string, options: { hard: boolean; used: boolean }) {
    const force = options.hard ? 'cannot be forced' : 'must be forced';
    super('conflict', `conflict: unable to delete ${shortId(id)} (${force}) - ${reason}`);
    this.used = options.used;
  }
}

/**
 * DELETE /images/{name}, by the rules of moby's ImageDelete: a name is untagged, and its image goes with its last name;
 * an id removes the image with its names when they all are of one repository.
 */
export function removeImage(
  store: ImageStore,
  reference: string,
  options: RemoveOptions,
): { records: Deleted[]; bytes: number } {
  return new Removal(store, options).run(reference);
}

class Removal {
  readonly #store: ImageStore;
  readonly #force: boolean;
  readonly #prune: boolean;
  readonly #records: Deleted[] = [];
  #bytes = 0;

  constructor(store: ImageStore, { force = false, prune = true }: RemoveOptions) {
    this.#store = store;
    this.#force = force;
    this.#prune = prune;
  }

  run(reference: string): { records: Deleted[]; bytes: number } {
    const id = this.#store.find(reference);
    let quiet = false;
    if (isIdPrefix(id, reference)) this.#untagAll(id);
    else {
      if (!this.#untagOne(id, reference)) return this.#result();
      quiet = true;
    }
    this.#delete(id, this.#force, quiet);
    return this.#result();
  }

  #result() {
    return { records: this.#records, bytes: this.#bytes };
  }

  /** Returns whether the image has lost its last name. */
  #untagOne(id: Digest, reference: string): boolean {
    const { rows, users } = this.#store;
    if (!this.#force && isSingleReference(rows.names(id))) {
      const container = users.containersUsing(id)[0];
      if (container) {
        throw conflict(
          `conflict: unable to remove repository reference ${JSON.stringify(reference)} (must force) - ` +
            `container ${shortId(container.id)} is using its referenced image ${shortId(id)}`,
        );
      }
    }
    const name = nameOf(parseReference(reference));
    this.#untag(id, name);
    const rest = rows.names(id);
    // Digests of a repository whose last tag is gone name nothing that people know.
    if ('tag' in name && !rest.some((other) => 'tag' in other && other.repository === name.repository)) {
      for (const other of rest) if (other.repository === name.repository) this.#untag(id, other, false);
    }
    return rows.names(id).length === 0;
  }

  #untagAll(id: Digest): void {
    const names = this.#store.rows.names(id);
    if (!isSingleReference(names)) return;
    this.#check(id, { references: false, stopped: !this.#force });
    for (const name of names) this.#untag(id, name);
  }

  #untag(id: Digest, name: ImageName, event = true): void {
    const labels = this.#store.image(id).config.config?.Labels;
    this.#store.atomically(() => this.#store.rows.removeName(name));
    if (event) this.#store.emit('untag', id, id, labels);
    this.#records.push({ Untagged: familiarOf(name) });
  }

  /** @param quiet a conflict ends the removal without an error, unless people should know of it */
  #delete(id: Digest, force: boolean, quiet: boolean): void {
    const { rows } = this.#store;
    try {
      this.#check(id, { references: !force, stopped: !force });
    } catch (error) {
      if (!(error instanceof DeleteConflict)) throw error;
      const dangling = rows.names(id).length === 0 && rows.children(id).length === 0;
      if (quiet && (!dangling || error.used)) return;
      throw error;
    }
    const parent = rows.get(id)?.parent;
    for (const name of rows.names(id)) this.#untag(id, name, false);
    this.#store.atomically(() => rows.remove(id));
    const { chains, bytes } = this.#store.collect();
    this.#bytes += bytes;
    this.#store.emit('delete', id, id);
    this.#records.push({ Deleted: id }, ...chains.map((chain) => ({ Deleted: chain })));
    if (this.#prune && parent !== undefined && rows.get(parent)) this.#delete(parent, false, true);
  }

  #check(id: Digest, checks: Checks): void {
    const { rows, users } = this.#store;
    if (rows.children(id).length > 0) {
      throw new DeleteConflict(id, 'image has dependent child images', { hard: true, used: false });
    }
    const containers = users.containersUsing(id);
    const running = containers.find((container) => container.running);
    if (running) {
      const reason = `image is being used by running container ${shortId(running.id)}`;
      throw new DeleteConflict(id, reason, { hard: true, used: true });
    }
    if (checks.references && rows.names(id).length > 0) {
      throw new DeleteConflict(id, 'image is referenced in multiple repositories', { hard: false, used: false });
    }
    const stopped = checks.stopped ? containers[0] : undefined;
    if (stopped) {
      const reason = `image is being used by stopped container ${shortId(stopped.id)}`;
      throw new DeleteConflict(id, reason, { hard: false, used: true });
    }
  }
}

function isIdPrefix(id: Digest, reference: string): boolean {
  return id.startsWith(reference) || id.slice('sha256:'.length).startsWith(reference);
}

/** One tag at most, and all digests of that tag's repository. */
function isSingleReference(names: readonly ImageName[]): boolean {
  if (names.length <= 1) return names.length === 1;
  const tags = names.filter((name) => 'tag' in name);
  const repositories = new Set(names.flatMap((name) => ('digest' in name ? name.repository : [])));
  if (tags.length > 1) return false;
  const single = (tags[0] ?? names[0]) as ImageName;
  return repositories.size === 1 && repositories.has(single.repository);
}
