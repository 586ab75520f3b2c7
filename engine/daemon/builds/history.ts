import { notFound } from '../../errors.ts';
import type { DocumentStore } from '../../store/documents.ts';
import { apiTime } from '../clock.ts';
import type { Build } from './build.ts';
import type { BuildRequest } from './request.ts';

/**
 *   running ──▶ completed | failed | canceled; one that the engine's death ended is failed.
 */
export interface BuildRecord {
  readonly id: string;
  /** The documents' name: the id again, it must be unique. */
  readonly name: string;
  readonly tags: readonly string[];
  readonly dockerfile: string;
  readonly target: string;
  readonly platform: string;
  readonly status: 'running' | 'completed' | 'failed' | 'canceled';
  readonly startedAt: string;
  readonly endedAt: string;
  readonly durationMs: number;
  readonly steps: { readonly total: number; readonly done: number; readonly cached: number };
  readonly image: string;
  readonly error: string;
  readonly log: string;
}

type Outcome = Partial<Pick<BuildRecord, 'image' | 'error'>> & Pick<BuildRecord, 'status'>;

const KEPT = 100;

/** The last builds, for the window. */
export class BuildHistory {
  readonly #store: DocumentStore<BuildRecord>;
  readonly #records = new Map<string, BuildRecord>();

  constructor(store: DocumentStore<BuildRecord>) {
    this.#store = store;
    const all = store.all().sort((a, b) => (a.startedAt < b.startedAt ? -1 : 1));
    for (const record of all) this.#records.set(record.id, record);
  }

  /** After a start: builds that were running have been ended by the engine's death. */
  settle(): void {
    for (const record of this.#records.values()) {
      if (record.status === 'running')
        this.#put({ ...record, status: 'failed', error: 'the engine ended', endedAt: apiTime() });
    }
  }

  begin(id: string, request: BuildRequest, build: Build): void {
    this.#put({
      id,
      name: id,
      tags: request.tags,
      dockerfile: build.source.name,
      target: request.target,
      platform: request.platform,
      status: 'running',
      startedAt: apiTime(),
      endedAt: '',
      durationMs: 0,
      steps: { total: build.total, done: 0, cached: 0 },
      image: '',
      error: '',
      log: '',
    });
    for (const old of [...this.#records.keys()].slice(0, Math.max(0, this.#records.size - KEPT))) {
      this.#records.delete(old);
      this.#store.delete(old);
    }
  }

  end(id: string, build: Build, log: string, outcome: Outcome): void {
    const record = this.#records.get(id);
    if (!record) return;
    this.#put({
      ...record,
      ...outcome,
      endedAt: apiTime(),
      durationMs: Date.now() - Date.parse(record.startedAt),
      steps: { total: build.total, done: build.steps, cached: build.cached },
      log,
    });
  }

  #put(record: BuildRecord): void {
    this.#store.put(record);
    this.#records.set(record.id, record);
  }

  /** Newest first, without their logs. */
  list(): Omit<BuildRecord, 'log'>[] {
    return [...this.#records.values()].reverse().map(({ log: _log, ...rest }) => rest);
  }

  get(id: string): BuildRecord {
    const record = this.#records.get(id);
    if (!record) throw notFound(`No such build: ${id}`);
    return record;
  }
}
