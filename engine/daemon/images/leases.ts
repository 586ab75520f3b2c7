import type { Digest } from '../../store/digest.ts';

/** Content that running operations need although no image names it (yet): garbage collection leaves it alone. */
export class Leases {
  readonly #counts = new Map<Digest, number>();

  hold(digest: Digest): void {
    this.#counts.set(digest, (this.#counts.get(digest) ?? 0) + 1);
  }

  release(digest: Digest): void {
    const count = (this.#counts.get(digest) ?? 0) - 1;
    if (count > 0) this.#counts.set(digest, count);
    else this.#counts.delete(digest);
  }

  has(digest: Digest): boolean {
    return this.#counts.has(digest);
  }

  held(): ReadonlySet<Digest> {
    return new Set(this.#counts.keys());
  }
}
