import type { WireError } from './errors.ts';

export type TaskKind =
  | 'pull'
  | 'push'
  | 'build'
  | 'load'
  | 'save'
  | 'prune-images'
  | 'prune-cache'
  | 'clone-volume'
  | 'export-volume'
  | 'import-volume'
  | 'support-bundle';

/** A part with progress of its own: a layer. */
export interface TaskPart {
  id: string;
  status: string;
  current: number;
  /** 0: not known */
  total: number;
}

/**
 *   running ──▶ done | failed | cancelled
 */
export interface Task {
  id: string;
  kind: TaskKind;
  /** the engine that it works on, by its name then */
  engine: { id: string; name: string };
  /** what it is about: an image, a folder, a volume */
  subject: string;
  state: 'running' | 'done' | 'failed' | 'cancelled';
  startedAt: number;
  endedAt: number | undefined;
  /** what is being done now, in the engine's words */
  status: string;
  /** 0: not known */
  current: number;
  total: number;
  parts: TaskPart[];
  error: WireError | undefined;
}

/** Long work: it goes on when the window is closed, and is kept (with its log) until the app ends. */
export interface TasksContract {
  /** all of them at once, then again at every change */
  watch(): AsyncIterable<Task[]>;
  /** what was written so far, then what is written, until the task ends */
  log(id: string): AsyncIterable<string>;
  cancel(id: string): Promise<void>;
  /** takes ended ones off the list */
  clear(): Promise<void>;
}
