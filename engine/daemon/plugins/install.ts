import { familiar, type ImageRef, parseReference, repositoryOf, withDefaultTag } from '../../content/reference.ts';
import { decodeCredentials } from '../../content/registry/auth.ts';
import { conflict, invalidParameter, messageOf, systemError } from '../../errors.ts';
import type { Events } from '../events.ts';
import type { Progress } from '../images/images.ts';
import { checkPrivileges, type PluginPrivilege, privilegesOf } from './config.ts';
import type { PluginImages, PluginSource } from './image.ts';
import type { ManagedPlugins } from './managed.ts';
import type { PluginRecord } from './record.ts';

export interface PluginPull {
  readonly remote: string;
  /** X-Registry-Auth as it came. */
  readonly auth: string | undefined;
  /** What the user has granted. */
  readonly privileges: readonly PluginPrivilege[];
}

/** Brings plugins into the engine, and out of it into registries. */
export class PluginInstaller {
  readonly #plugins: ManagedPlugins;
  readonly #images: PluginImages;
  readonly #events: Events;

  constructor(plugins: ManagedPlugins, images: PluginImages, events: Events) {
    this.#plugins = plugins;
    this.#images = images;
    this.#events = events;
  }

  /** What a plugin asks for; nothing when the registry doesn't give it: then the pull says why, as with dockerd. */
  async privileges(remote: string, auth: string | undefined, signal: AbortSignal): Promise<PluginPrivilege[]> {
    const source = sourceOf(remote, auth);
    try {
      return privilegesOf(await this.#images.config(source, signal));
    } catch (error) {
      if (!/^error resolving plugin reference/.test(messageOf(error))) throw error;
      return [];
    }
  }

  /** The name that a plugin is going to have here. @param name given by the user; '' for the one it has there */
  nameFor(remote: string, name: string): string {
    if (!name) {
      const { domain, path, tag = 'latest' } = referenceOf(remote);
      return familiar({ domain, path, tag });
    }
    const ref = referenceOf(name);
    if (ref.digest !== undefined) throw systemError('cannot use digest in plugin tag');
    return familiar(withDefaultTag(ref));
  }

  /** Pulls a plugin; it is disabled until it is enabled. @param name as nameFor says */
  async pull(request: PluginPull, name: string, progress: Progress, signal: AbortSignal): Promise<void> {
    const source = sourceOf(request.remote, request.auth);
    if (this.#plugins.isTaken(name)) throw invalidParameter(`plugin ${name} already exists`);
    await this.#enter(name, fullReference(source.ref), (keep) =>
      this.#images.pull(source, progress, signal, (config) => checkPrivileges(config, request.privileges), keep),
    );
    this.#events.publish('plugin', 'pull', familiar(source.ref), { name });
  }

  /** Replaces a disabled plugin by what a registry has. */
  async upgrade(name: string, request: PluginPull, progress: Progress, signal: AbortSignal): Promise<void> {
    const source = sourceOf(request.remote, request.auth);
    await this.#plugins.upgrade(name, fullReference(source.ref), (keep) =>
      this.#images.pull(source, progress, signal, (config) => checkPrivileges(config, request.privileges), keep),
    );
    this.#events.publish('plugin', 'pull', familiar(source.ref), { name });
  }

  /** @param context a tar with config.json and rootfs/ */
  async create(reference: string, context: AsyncIterable<Buffer>, signal: AbortSignal): Promise<void> {
    let ref: ImageRef;
    try {
      ref = parseReference(reference);
    } catch (error) {
      throw systemError(`failed to parse reference ${reference}: ${messageOf(error)}`, error);
    }
    if (ref.digest !== undefined) throw systemError('canonical references are not permitted');
    const name = familiar(withDefaultTag(ref));
    if (this.#plugins.isTaken(name)) throw conflict(`plugin ${name} already exists`);
    const { id } = await this.#enter(name, name, (keep) => this.#images.create(context, signal, keep));
    this.#events.publish('plugin', 'create', id, { name });
  }

  async push(reference: string, auth: string | undefined, progress: Progress, signal: AbortSignal): Promise<void> {
    const record = this.#plugins.recordOf(reference);
    const source = { ref: parseReference(record.name), credentials: decodeCredentials(auth) };
    await this.#images.push(source, record, progress, signal);
  }

  async #enter(
    name: string,
    reference: string,
    work: (keep: ReturnType<ManagedPlugins['keeper']>['keep']) => Promise<void>,
  ): Promise<PluginRecord> {
    let entered: PluginRecord | undefined;
    const { keep, undo } = this.#plugins.keeper(name, reference, (record) => {
      entered = record;
    });
    try {
      await work(keep);
    } catch (error) {
      undo();
      throw error;
    }
    const record = entered as unknown as PluginRecord;
    this.#plugins.add(record);
    return record;
  }
}

const sourceOf = (remote: string, auth: string | undefined): PluginSource => ({
  ref: withDefaultTag(referenceOf(remote)),
  credentials: decodeCredentials(auth),
});

const fullReference = (ref: ImageRef): string =>
  `${repositoryOf(ref)}${ref.digest === undefined ? `:${ref.tag}` : `@${ref.digest}`}`;

/** dockerd answers a bad reference of a plugin with a server's error. */
function referenceOf(text: string): ImageRef {
  try {
    return parseReference(text);
  } catch (error) {
    throw systemError(messageOf(error), error);
  }
}
