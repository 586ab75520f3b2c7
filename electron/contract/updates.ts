/**
 *   off · impossible
 *   unknown ─check─▶ checking ─▶ current | found ─install─▶ loading ─▶ ready (the app restarts)
 *                        └─▶ failed      └─ later | skip ─▶ current
 */
export type UpdateState =
  | { kind: 'off' }
  /** this way of running Skiff is updated in another way; `reason` says how */
  | { kind: 'impossible'; reason: string }
  | { kind: 'unknown' }
  | { kind: 'checking' }
  | { kind: 'current'; checkedAt: number }
  | { kind: 'found'; version: string }
  | { kind: 'loading'; version: string; percent: number }
  | { kind: 'ready'; version: string }
  | { kind: 'failed'; reason: string };

export interface UpdatesContract {
  state(): AsyncIterable<UpdateState>;
  check(): Promise<void>;
  /** not now: found again at the next check */
  later(): Promise<void>;
  /** never this version */
  skip(): Promise<void>;
  /** Loads it and starts the app anew with it; the machine is stopped meanwhile. */
  install(): Promise<void>;
}
