export type BuildStatus = 'running' | 'completed' | 'failed' | 'canceled';

export interface BuildRow {
  id: string;
  tags: string[];
  dockerfile: string;
  target: string;
  platform: string;
  status: BuildStatus;
  startedAt: number;
  durationMs: number;
  steps: { total: number; done: number; cached: number };
  /** id of what it made, empty when it made nothing */
  image: string;
  error: string;
}

/** One instruction of the Dockerfile, and what it printed. */
export interface BuildStep {
  /** as the engine numbers it, e.g. `2/5` */
  number: string;
  instruction: string;
  cached: boolean;
  log: string;
  /** set on the step that ended the build */
  error: string;
}

export interface BuildDetail extends BuildRow {
  steps: BuildRow['steps'];
  stepLogs: BuildStep[];
}

export interface BuildWish {
  /** a folder of this computer */
  folder: string;
  /** relative to the folder */
  dockerfile: string;
  tags: string[];
  args: Record<string, string>;
  target: string;
  platform: string;
  noCache: boolean;
  pull: boolean;
}

export interface BuildsContract {
  list(): Promise<BuildRow[]>;
  detail(id: string): Promise<BuildDetail>;
  start(wish: BuildWish): Promise<string>;
  cacheUse(): Promise<{ records: number; sizeBytes: number; reclaimableBytes: number }>;
  pruneCache(options: { all: boolean }): Promise<string>;
}
