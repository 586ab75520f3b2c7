export interface HostEntry {
  name: string;
  folder: boolean;
  sizeBytes: number;
}

/** A folder of the computer that the app runs on. */
export interface HostFolder {
  path: string;
  /** undefined at the top */
  parent: string | undefined;
  /** folders first; hidden ones last */
  entries: HostEntry[];
}

/** This computer's files, for choosing one: a page has no other way to a path. */
export interface HostContract {
  /** empty: the user's home */
  folder(path: string): Promise<HostFolder>;
  /** the first TCP port from this one on that nobody listens on */
  freePort(from: number): Promise<number>;
}
