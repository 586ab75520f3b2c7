import type { Implementation } from '../contract/contract.ts';
import type { UpdateState } from '../contract/updates.ts';
import { ServiceError } from './errors.ts';
import type { SettingsFile } from './settings.ts';
import { Topic } from './topic.ts';

/** What the shell can do about a newer version of itself. */
export interface Updater {
  /** the newest version, when it is newer than this one */
  find(): Promise<string | undefined>;
  load(percent: (done: number) => void): Promise<void>;
  /** ends the app and starts the new one */
  restart(): void;
}

const FIRST_MS = 60_000;
const EVERY_MS = 24 * 3_600_000;

/** Looks for updates once a day while the setting says so; nothing is loaded or installed unasked. */
export class Updates {
  readonly #updater: Updater | string;
  readonly #settings: Pick<SettingsFile, 'values' | 'set'>;
  readonly #topic = new Topic<UpdateState>(8, (queue) => queue.slice(-1));
  #last: UpdateState = { kind: 'unknown' };
  #timer: NodeJS.Timeout | undefined;

  /** @param updater or why there is none */
  constructor(updater: Updater | string, settings: Pick<SettingsFile, 'values' | 'set'>) {
    this.#updater = updater;
    this.#settings = settings;
    this.#again(FIRST_MS);
  }

  get state(): UpdateState {
    if (typeof this.#updater === 'string') return { kind: 'impossible', reason: this.#updater };
    return this.#settings.values.updates === 'off' ? { kind: 'off' } : this.#last;
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  /** After the setting was changed. */
  changed(): void {
    this.#topic.publish(this.state);
  }

  services(): Implementation['updates'] {
    return {
      state: (signal) => this.#topic.read(signal, this.state),
      check: () => this.check(true),
      later: async () => this.#set({ kind: 'current', checkedAt: Date.now() }),
      skip: async () => {
        if (this.#last.kind !== 'found') return;
        await this.#settings.set({ skippedUpdate: this.#last.version });
        this.#set({ kind: 'current', checkedAt: Date.now() });
      },
      install: () => this.#install(),
    };
  }

  /** @param asked by a person, who sees a skipped version again */
  async check(asked: boolean): Promise<void> {
    const updater = this.#able();
    if (this.#last.kind === 'checking' || this.#last.kind === 'loading') return;
    this.#set({ kind: 'checking' });
    try {
      const version = await updater.find();
      const wanted = version !== undefined && (asked || version !== this.#settings.values.skippedUpdate);
      this.#set(wanted ? { kind: 'found', version } : { kind: 'current', checkedAt: Date.now() });
    } catch (error) {
      this.#set({ kind: 'failed', reason: (error as Error).message });
    }
  }

  async #install(): Promise<void> {
    const updater = this.#able();
    if (this.#last.kind !== 'found') throw new ServiceError('conflict', 'There is no update to install.');
    const { version } = this.#last;
    try {
      this.#set({ kind: 'loading', version, percent: 0 });
      await updater.load((percent) => this.#set({ kind: 'loading', version, percent }));
      this.#set({ kind: 'ready', version });
    } catch (error) {
      this.#set({ kind: 'failed', reason: (error as Error).message });
      throw error;
    }
    updater.restart();
  }

  #able(): Updater {
    if (typeof this.#updater === 'string') throw new ServiceError('invalid', this.#updater);
    return this.#updater;
  }

  #set(state: UpdateState): void {
    this.#last = state;
    this.#topic.publish(this.state);
  }

  #again(afterMs: number): void {
    this.#timer = setTimeout(() => {
      this.#again(EVERY_MS);
      if (typeof this.#updater !== 'string' && this.#settings.values.updates === 'check') void this.check(false);
    }, afterMs);
    this.#timer.unref();
  }
}
