import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { invalidParameter, messageOf } from '../../errors.ts';
import { log } from '../../log.ts';
import { FolderView } from '../../runtime/folder-view.ts';

interface FolderChange {
  readonly path: string;
  readonly mtime?: string;
  readonly folder?: boolean;
}

/** The way to the computer around the VM, as far as its folders go (network/host-channel.ts). */
interface FolderChannel {
  setWatcher(watcher: {
    watched(folders: readonly string[]): Promise<void>;
    changed(changes: readonly FolderChange[]): void;
  }): void;
  watch(paths: readonly string[]): Promise<void>;
}

/** Windows: one name has many spellings. */
const comparable = (path: string): string =>
  isWindowsPath(path) ? path.replaceAll('\\', '/').replace(/\/$/, '').toLowerCase() : path;

/** `C:\\Users\\me`, as the docker CLI sends it there. */
export const isWindowsPath = (path: string): boolean => /^[a-z]:[\\/]/i.test(path);

const place = (folder: { readonly path: string; readonly mountedAt: string }, source: string): string =>
  join(folder.mountedAt, source.replaceAll(isWindowsPath(source) ? '\\' : '/', '/').slice(folder.path.length));

/**
 * Folders of the computer around the VM, mounted in the VM: a bind's source inside one is found there. Without a VM around it the engine
 * has none, and sources are what they say.
 */
export class HostFolders {
  readonly #directory: string | undefined;
  #folders: readonly { readonly path: string; readonly mountedAt: string }[] | undefined;
  readonly #channel: FolderChannel | undefined;
  readonly #view = new FolderView();
  /** Container → paths of the computer that it has mounted. */
  readonly #users = new Map<string, readonly string[]>();
  #changes: Promise<void> = Promise.resolve();

  /**
   * @param directory `list` has a path of the computer a line, and what the n-th leads to is mounted at `<directory>/<n>`
   * @param channel tells what changes there; without one nothing is watched
   */
  constructor(directory: string | undefined, channel?: FolderChannel) {
    this.#directory = directory;
    this.#channel = directory === undefined ? undefined : channel;
    this.#channel?.setWatcher({
      watched: (folders) => this.#inTurn(() => this.#watched(folders)),
      changed: (changes) => void this.#inTurn(() => this.#changed(changes)),
    });
  }

  /** A container is about to run with these sources: changes in them on the computer wake its watchers. Resolves when they do, or soon. */
  async use(containerId: string, sources: readonly string[]): Promise<void> {
    const shared = sources.filter((source) => this.#folderOf(source));
    if (!this.#channel || shared.length === 0) return;
    this.#users.set(containerId, shared);
    await this.#channel.watch(this.#inUse());
  }

  /** It has ended. */
  leave(containerId: string): void {
    if (this.#users.delete(containerId)) void this.#channel?.watch(this.#inUse());
  }

  #inUse(): string[] {
    return [...new Set([...this.#users.values()].flat())];
  }

  /** What the computer says comes one after the other. Never rejects. */
  #inTurn(work: () => Promise<void>): Promise<void> {
    this.#changes = this.#changes.then(work).catch((error) => log.warn('host folders', { error: messageOf(error) }));
    return this.#changes;
  }

  async #watched(folders: readonly string[]): Promise<void> {
    const places = folders.flatMap((path) => this.#placeOf(path) ?? []);
    await this.#view.keep(places);
    for (const place of places) await this.#view.hold(place);
  }

  async #changed(changes: readonly FolderChange[]): Promise<void> {
    for (const { path, mtime, folder } of changes) {
      const place = this.#placeOf(path);
      if (place === undefined) continue;
      if (mtime === undefined) await this.#view.letGo(place);
      else await this.#view.touch(place, BigInt(mtime));
      if (folder) await this.#view.hold(place);
    }
  }

  #placeOf(path: string): string | undefined {
    const folder = this.#folderOf(path);
    return folder && place(folder, path);
  }

  #folderOf(source: string) {
    const path = comparable(source);
    return this.#directory === undefined
      ? undefined
      : this.#read().find(
          (folder) => path === folder.path || path.startsWith(folder.path === '/' ? '/' : `${folder.path}/`),
        );
  }

  /** Where a bind's source is in this machine. Throws when it is neither shared nor here. */
  locate(source: string): string {
    if (this.#directory === undefined) return source;
    const shared = this.#placeOf(source);
    if (shared) return shared;
    if (existsSync(source)) return source;
    throw invalidParameter(
      `Mounts denied: the path ${source} is not shared from your computer and does not exist in the machine. Share it in Settings > File sharing (skiff config set sharedFolders …), then restart the machine.`,
    );
  }

  /** The innermost first. The list is written once, after the folders are mounted, which is long before a client asks. */
  #read(): readonly { readonly path: string; readonly mountedAt: string }[] {
    if (this.#folders) return this.#folders;
    const directory = this.#directory ?? '';
    const list = join(directory, 'list');
    if (!existsSync(list)) return [];
    const paths = readFileSync(list, 'utf8').split('\n').filter(Boolean);
    this.#folders = paths
      .map((path, index) => ({ path: comparable(path), mountedAt: join(directory, String(index)) }))
      .sort((a, b) => b.path.length - a.path.length);
    return this.#folders;
  }
}
