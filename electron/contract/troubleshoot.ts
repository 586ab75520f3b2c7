export type CheckId = 'connection' | 'virtualisation' | 'disk' | 'clock' | 'context' | 'socket';

/** What can be done about a finding: a shell offers it as a button. */
export type Fix = 'start' | 'restart' | 'compact' | 'grow' | 'prune' | 'set-clock' | 'use-context';

/** What a check found. The shells have a sentence for each `code`, in which the values stand. */
export interface Finding {
  check: CheckId;
  /** `note`: worth knowing; `unknown`: it could not be found out now */
  level: 'good' | 'note' | 'warning' | 'bad' | 'unknown';
  code: string;
  /** names that end in `Bytes` are sizes */
  values: Record<string, string | number>;
  fixes: Fix[];
}

export interface TroubleshootContract {
  /** Looks at everything now. Does not wake the machine. */
  checks(): Promise<Finding[]>;
  /** Tells the machine what time it is. */
  setClock(): Promise<void>;
}
