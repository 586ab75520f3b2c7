/**
 * What skiffd and the shim say to each other over the shim's unix socket. docs/shim.md tells the whole.
 *
 * Every connection starts with one line of JSON, a request. A connection that opens with `attach` turns into a byte stream
 * at once; any other stays a control connection: one JSON line per request, one per answer (same `id`), and one per event.
 */
export const PROTOCOL_VERSION = 1;

/** A process is known by its key: the container's id for its init process, the exec's id for an exec. */
export type ProcessKey = string;

export type LogTarget =
  | { readonly driver: 'none' }
  | {
      /** json-file is Docker's format; local a shorter one of our own (engine/shim/log-format.ts). */
      readonly driver: 'json-file' | 'local';
      readonly path: string;
      /** Bytes after which the file is rotated; absent: never. */
      readonly maxSize?: number;
      /** Files kept in all, the live one included. */
      readonly maxFiles?: number;
      readonly compress?: boolean;
      /** Never let the process wait: what would queue up beyond these bytes is dropped and counted. */
      readonly nonBlockingBytes?: number;
      /** Extra attributes written to each line (labels, env). */
      readonly attributes?: Readonly<Record<string, string>>;
    };

export interface StdioOptions {
  readonly tty: boolean;
  /** Keep stdin open for clients that attach; otherwise it is /dev/null. */
  readonly stdin: boolean;
  /** Initial window of the terminal: rows, columns. */
  readonly size?: readonly [number, number];
}

/** The OCI runtime's program and global options, for instance ['/usr/bin/crun', '--root', '/run/skiff/crun']. */
export type RuntimeCommand = readonly string[];

export interface RunRequest {
  readonly op: 'run';
  readonly key: ProcessKey;
  readonly runtime: RuntimeCommand;
  readonly bundle: string;
  readonly stdio: StdioOptions;
  readonly log: LogTarget;
}

export interface ExecRequest {
  readonly op: 'exec';
  readonly key: ProcessKey;
  readonly container: ProcessKey;
  readonly runtime: RuntimeCommand;
  /** Path of the process.json (OCI runtime spec, `process`). */
  readonly processFile: string;
  readonly stdio: StdioOptions;
}

export type ShimRequest =
  | { readonly op: 'hello' }
  | RunRequest
  | ExecRequest
  | { readonly op: 'signal'; readonly key: ProcessKey; readonly signal: number }
  | { readonly op: 'resize'; readonly key: ProcessKey; readonly rows: number; readonly columns: number }
  | { readonly op: 'invoke'; readonly argv: readonly string[] }
  | { readonly op: 'processes' }
  | { readonly op: 'forget'; readonly key: ProcessKey }
  | { readonly op: 'shutdown' };

export interface AttachRequest {
  readonly op: 'attach';
  readonly key: ProcessKey;
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  /** Close the process's stdin when this client ends its side (Docker's StdinOnce). */
  readonly closeStdin: boolean;
}

export interface ProcessExit {
  /** 0–255; 128 + signal when a signal ended it. */
  readonly code: number;
  /** When it was reaped, milliseconds since the epoch. */
  readonly at: number;
}

export interface ProcessInfo {
  readonly key: ProcessKey;
  /** Container the process belongs to; its own key for an init process. */
  readonly container: ProcessKey;
  readonly pid: number;
  readonly startedAt: number;
  readonly exit?: ProcessExit;
}

/** Answers, by request. `failed` carries the OCI runtime's own words. */
export interface ShimAnswers {
  hello: { readonly version: number; readonly pid: number };
  run: { readonly pid: number; readonly startedAt: number };
  exec: { readonly pid: number; readonly startedAt: number };
  signal: { readonly delivered: boolean };
  resize: Record<string, never>;
  invoke: { readonly code: number; readonly output: string };
  processes: { readonly processes: readonly ProcessInfo[] };
  forget: Record<string, never>;
  shutdown: Record<string, never>;
}

export type ShimEvent =
  | { readonly event: 'exit'; readonly process: ProcessInfo & { readonly exit: ProcessExit } }
  | { readonly event: 'logLoss'; readonly key: ProcessKey; readonly lines: number; readonly reason: string };

export type ShimReply = { readonly id: number } & ({ readonly ok: unknown } | { readonly failed: string });
