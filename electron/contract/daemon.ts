import type { Effect } from './settings.ts';

/** A key that the engine's daemon.json may have. */
export interface ConfigKey {
  key: string;
  /** in words: "a list of strings" */
  expected: string;
  effect: Effect;
  /** all that it may be, when that is a short list */
  values: unknown[];
}

export interface ConfigProblem {
  /** empty: the file as a whole */
  key: string;
  message: string;
}

/** What saving a text would mean. */
export interface ConfigCheck {
  problems: ConfigProblem[];
  /** the keys that differ from what is saved now, with what each of them takes */
  changes: { key: string; effect: Effect }[];
}

export interface DaemonFile {
  /** empty: there is none */
  text: string;
  /** what the engine would not start with: the last file that worked was put back */
  refused: string;
  /** certificates (PEM) that the engine trusts besides the public ones */
  authorities: string;
}

/** The engine's configuration; it lies in the machine, which has to run. */
export interface DaemonContract {
  keys(): Promise<ConfigKey[]>;
  read(): Promise<DaemonFile>;
  check(text: string): Promise<ConfigCheck>;
  /** Checked by the engine itself, then written and put to use: the engine reads it again, or is started anew. */
  save(text: string): Promise<void>;
  /** Starts the engine anew when they have changed. */
  setAuthorities(pem: string): Promise<void>;
  /** Proxies and certificates that this computer uses. */
  hostNetwork(): Promise<HostNetwork>;
}

export interface HostNetwork {
  httpProxy: string;
  httpsProxy: string;
  noProxy: string;
  /** where further certificates were found, and the certificates that the public ones do not have */
  authorities: { subject: string; pem: string }[];
}
