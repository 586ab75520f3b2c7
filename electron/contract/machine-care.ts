/** What changes the machine as a whole: its disk, its snapshots, Docker's context for it. */

/** What the data disk's file took on the host before, and takes now. */
export interface DiskChange {
  beforeBytes: number;
  afterBytes: number;
}

export interface SnapshotRow {
  name: string;
  /** milliseconds since the epoch */
  created: number;
}

export interface DockerContextState {
  /** is there a context `skiff` that leads to our socket */
  exists: boolean;
  /** the context that `docker` uses when nothing else is said */
  current: string;
  /** a variable that overrides every context, with its value */
  override: string | undefined;
}
