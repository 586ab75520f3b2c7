import type { Database } from '../store/database.ts';
import type { Digest } from '../store/digest.ts';

/** One line of GET /containers/{id}/changes. kind: 0 modified, 1 added, 2 deleted. */
export interface Change {
  readonly path: string;
  readonly kind: 0 | 1 | 2;
}

/**
 * Layers and the writable snapshots of containers, under `<data-root>/snapshots/`.
 *
 * Synchronous methods take well under a millisecond and may be called on the way of `docker run`.
 */
export class Snapshots {
  constructor(_options: { root: string; db: Database }) {}

  /** Makes the writable layer of a container (`key`), on top of an image's chain; undefined is an empty root. */
  prepare(_key: string, _chainId: Digest | undefined): void {
    throw new Error('not written yet');
  }

  /** Mounts the overlay of a prepared snapshot at `target`, which must exist. */
  mount(_key: string, _target: string, _options: { readonly?: boolean } = {}): void {
    throw new Error('not written yet');
  }

  /** Not being mounted is not an error. */
  unmount(_target: string): void {
    throw new Error('not written yet');
  }

  /** Forgets the snapshot at once; its files go in the background. Unknown keys are not an error. */
  remove(_key: string): void {
    throw new Error('not written yet');
  }

  upperDir(_key: string): string {
    throw new Error('not written yet');
  }

  /** Top first, as overlay wants them. */
  lowerDirs(_key: string): string[] {
    throw new Error('not written yet');
  }

  changes(_key: string): Promise<Change[]> {
    throw new Error('not written yet');
  }

  /** Bytes in the writable layer. */
  usage(_key: string): Promise<{ size: number }> {
    throw new Error('not written yet');
  }

  hasLayer(_chainId: Digest): boolean {
    throw new Error('not written yet');
  }

  /** The whole root of a snapshot as a tar (GET /containers/{id}/export). */
  exportTar(_key: string, _signal: AbortSignal): AsyncIterable<Buffer> {
    throw new Error('not written yet');
  }

  /** Only the changes, whiteouts in OCI's form: what commit puts into a layer. */
  diffTar(_key: string, _signal: AbortSignal): AsyncIterable<Buffer> {
    throw new Error('not written yet');
  }
}
