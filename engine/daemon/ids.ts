import { randomBytes } from 'node:crypto';

/** A new 64-digit hex id, as Docker gives containers, networks and execs. */
export function newId(): string {
  for (;;) {
    const id = randomBytes(32).toString('hex');
    // An id whose short form is all digits would be taken for a number by some clients; Docker avoids it too.
    if (!/^\d+$/.test(id.slice(0, 12))) return id;
  }
}
