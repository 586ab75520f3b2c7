/** Who owns the socket that tools use which know nothing of contexts. `path` is empty where the system has none. */
export interface SystemSocket {
  path: string;
  owner: 'none' | 'dangling' | 'ours' | 'other' | 'unknown';
  product: string;
  target: string;
}

export interface LoginStart {
  enabled: boolean;
  /** why it can't be changed here; empty when it can */
  problem: string;
}

/** What this computer's system is told about Skiff. */
export interface SystemContract {
  login(): Promise<LoginStart>;
  setLogin(enabled: boolean): Promise<void>;
  socket(): Promise<SystemSocket>;
  /** Makes the system's socket a link to ours; the system asks for an administrator where it has to. */
  linkSocket(): Promise<void>;
  /** Takes our link away; one that was there before is put back. */
  unlinkSocket(): Promise<void>;
}
