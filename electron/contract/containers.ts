import type { ContainerRow, LogChunk, LogRequest } from './engine.ts';

/** What the window may ask about containers. Ids are ids or names. */
export interface ContainersContract {
  list(): Promise<ContainerRow[]>;
  start(id: string): Promise<void>;
  stop(id: string): Promise<void>;
  restart(id: string): Promise<void>;
  pause(id: string): Promise<void>;
  unpause(id: string): Promise<void>;
  kill(id: string): Promise<void>;
  remove(id: string, options: { force: boolean; volumes: boolean }): Promise<void>;
  create(wish: ContainerWish, options: { start: boolean; pull: boolean }): Promise<CreatedContainer>;
  /** the engine's own words: GET /containers/{id}/json, and of its image GET /images/{id}/json when that is still there */
  inspect(id: string): Promise<Inspection>;
  top(id: string): Promise<ProcessTable>;
  changes(id: string): Promise<FileChange[]>;
  logs(id: string, request: LogRequest): AsyncIterable<LogChunk>;
  /** Figures of these running containers, again and again while somebody reads. */
  usage(ids: string[]): AsyncIterable<ContainerUsage[]>;
  /** The last ten minutes as far as they are known, then a point a second. */
  stats(id: string): AsyncIterable<StatsPoint[]>;
  /** Runs a program on a terminal. The first item names the session for `terminalInput` and `terminalResize`. */
  terminal(id: string, request: TerminalRequest): AsyncIterable<TerminalNews>;
  terminalInput(session: string, text: string): Promise<void>;
  terminalResize(session: string, size: TerminalSize): Promise<void>;
  listFiles(id: string, folder: string): Promise<FileEntry[]>;
  /** The content of a file; of a folder, a tar of it. */
  readFile(id: string, path: string): AsyncIterable<Uint8Array>;
  /** Begins a file of exactly `size` bytes, which `uploadPart` then fills and `uploadEnd` waits for. */
  uploadBegin(id: string, folder: string, file: { name: string; size: number; mode?: number }): Promise<string>;
  uploadPart(upload: string, part: Uint8Array): Promise<void>;
  uploadEnd(upload: string): Promise<void>;
  makeFolder(id: string, folder: string, name: string): Promise<void>;
  /** Needs a running container with `rm` in it. */
  removeFile(id: string, path: string): Promise<void>;
}

export interface Inspection {
  container: Record<string, unknown>;
  image: Record<string, unknown> | undefined;
}

/** Titles and rows as `docker top` prints them. */
export interface ProcessTable {
  titles: string[];
  processes: string[][];
}

export interface FileChange {
  kind: 'added' | 'changed' | 'deleted';
  path: string;
}

export interface ContainerUsage {
  id: string;
  /** of one CPU: 200 is two CPUs busy */
  cpuPercent: number;
  memoryBytes: number;
  memoryLimitBytes: number;
}

/** Rates are per second, made from two samples of the engine. */
export interface StatsPoint {
  /** milliseconds since the epoch */
  time: number;
  cpuPercent: number;
  memoryBytes: number;
  memoryLimitBytes: number;
  receivedPerSecond: number;
  sentPerSecond: number;
  readPerSecond: number;
  writtenPerSecond: number;
  processes: number;
}

export interface TerminalSize {
  columns: number;
  rows: number;
}

export interface TerminalRequest {
  /** a program and its arguments; empty: bash where there is one, else sh */
  command: string[];
  size: TerminalSize;
}

export type TerminalNews =
  | { kind: 'opened'; session: string }
  | { kind: 'output'; data: Uint8Array }
  | { kind: 'ended'; exitCode: number | undefined };

export interface FileEntry {
  name: string;
  kind: 'file' | 'folder' | 'link' | 'other';
  sizeBytes: number;
  /** milliseconds since the epoch */
  modifiedAt: number;
  /** permission bits */
  mode: number;
  linkTarget: string;
}

export interface CreatedContainer {
  id: string;
  warnings: string[];
}

/** A container that is wished for, in the terms of `docker run`. */
export interface ContainerWish {
  image: string;
  name: string;
  /** empty: the image's */
  command: string[];
  env: { name: string; value: string }[];
  ports: { hostIp: string; hostPort: string; containerPort: string; protocol: 'tcp' | 'udp' | 'sctp' }[];
  /** `source` is a folder of this computer or the name of a volume; empty: an anonymous volume */
  volumes: { source: string; target: string; readOnly: boolean }[];
  networks: string[];
  restart: '' | 'no' | 'always' | 'unless-stopped' | 'on-failure';
  /** CPUs; 0: no limit */
  cpus: number;
  /** 0: no limit */
  memoryBytes: number;
}
