import { conflict, invalidParameter, notFound } from '../../errors.ts';
import type { Digest } from '../../store/digest.ts';
import type { DocumentStore } from '../../store/documents.ts';
import { Container } from './container.ts';
import type { ContainerRecord } from './record.ts';

const VALID_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;

/** All containers, by id and by name. The only writer of their records. */
export class ContainerRegistry {
  readonly #store: DocumentStore<ContainerRecord>;
  readonly #byId = new Map<string, Container>();
  readonly #byName = new Map<string, Container>();

  constructor(store: DocumentStore<ContainerRecord>) {
    this.#store = store;
    for (const record of store.all()) this.#index(new Container(record));
  }

  #index(container: Container): void {
    this.#byId.set(container.id, container);
    this.#byName.set(container.record.name, container);
  }

  all(): Container[] {
    return [...this.#byId.values()];
  }

  /** By full id, name, or an id prefix that fits one only. Throws Docker's `No such container`. */
  get(reference: string): Container {
    const found = this.find(reference);
    if (!found) throw notFound(`No such container: ${reference}`);
    return found;
  }

  find(reference: string): Container | undefined {
    const name = reference.startsWith('/') ? reference.slice(1) : reference;
    const exact = this.#byId.get(name) ?? this.#byName.get(name);
    if (exact || !/^[0-9a-f]+$/.test(name)) return exact;
    const matches = this.all().filter((container) => container.id.startsWith(name));
    if (matches.length > 1) throw invalidParameter(`multiple IDs found with provided prefix: ${name}`);
    return matches[0];
  }

  byId(id: string): Container | undefined {
    return this.#byId.get(id);
  }

  /** Containers made from an image, and those that mount it. */
  usersOfImage(imageId: Digest): Container[] {
    return this.all().filter(
      ({ record }) => record.imageId === imageId || record.mounts.some((mount) => mount.imageId === imageId),
    );
  }

  /** Refuses names Docker refuses, and taken ones. */
  checkName(name: string): void {
    const bare = name.replace(/^\//, '');
    if (!VALID_NAME.test(bare)) {
      throw invalidParameter(`Invalid container name (${name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`);
    }
    const owner = this.#byName.get(bare);
    if (owner) {
      throw conflict(
        `Conflict. The container name "/${bare}" is already in use by container "${owner.id}". You have to remove (or rename) that container to be able to reuse that name.`,
      );
    }
  }

  hasName(name: string): boolean {
    return this.#byName.has(name);
  }

  /** @param alongside writes what must be durable together with the record */
  add(record: ContainerRecord, alongside: () => void): Container {
    this.checkName(record.name);
    this.#store.together(() => {
      alongside();
      this.#store.put(record);
    });
    const container = new Container(record);
    this.#index(container);
    return container;
  }

  /** Writes the changed record, then makes it the container's. */
  update(container: Container, change: Partial<ContainerRecord>): void {
    const record = { ...container.record, ...change };
    // Removed meanwhile: nothing may bring its record back.
    if (this.#byId.get(container.id) !== container) {
      container.record = record;
      return;
    }
    if (record.name !== container.record.name) this.checkName(record.name);
    this.#store.put(record);
    if (record.name !== container.record.name) {
      this.#byName.delete(container.record.name);
      this.#byName.set(record.name, container);
    }
    container.record = record;
  }

  /** @param alongside writes what must go together with the record */
  delete(container: Container, alongside: () => void): void {
    this.#store.together(() => {
      this.#store.delete(container.id);
      alongside();
    });
    this.#byId.delete(container.id);
    this.#byName.delete(container.record.name);
  }
}
