import { type DaemonConfig, readConfig } from './config.ts';
import { KEYS } from './config-keys.ts';

/** What a reload found: keys that took effect, and keys that changed but wait for a restart. */
export interface Reloaded {
  readonly applied: readonly string[];
  readonly waiting: readonly string[];
}

/**
 * daemon.json while the engine runs. Whoever can follow a change asks `current` each time; a reload replaces the keys that dockerd
 * reloads too, and leaves the others as they were at start.
 */
export class LiveConfig {
  readonly #path: string | undefined;
  readonly #follow: (next: DaemonConfig) => void;
  #current: DaemonConfig;

  /** @param follow is told of what is about to be current; when it throws, everything stays as it was */
  constructor(path: string | undefined, atStart: DaemonConfig, follow: (next: DaemonConfig) => void) {
    this.#path = path;
    this.#follow = follow;
    this.#current = atStart;
  }

  get current(): DaemonConfig {
    return this.#current;
  }

  /** Reads the file again. Throws for a bad file, and changes nothing then. */
  reload(): Reloaded {
    const read = readConfig(this.#path) as Record<string, unknown>;
    const before = this.#current as Record<string, unknown>;
    const names = new Set([...Object.keys(before), ...Object.keys(read)]);
    const changed = [...names].filter((key) => JSON.stringify(before[key]) !== JSON.stringify(read[key]));
    const next = { ...before };
    const applied = changed.filter((key) => KEYS[key]?.live);
    for (const key of applied) {
      if (key in read) next[key] = read[key];
      else delete next[key];
    }
    this.#follow(next as DaemonConfig);
    this.#current = next as DaemonConfig;
    return { applied, waiting: changed.filter((key) => !KEYS[key]?.live) };
  }
}
