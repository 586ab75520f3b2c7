/** A published port in the engine's words. */
export interface EnginePort {
  proto: 'tcp' | 'udp';
  /** what the user asked for; '' and '0.0.0.0' are all addresses of the host, as Docker Desktop does it */
  hostIp: string;
  hostPort: number;
}

/** Engine → host. The first message of every connection is `sync`; `watch` names all paths that running containers have mounted. */
export type FromEngine =
  | { op: 'sync'; ports: EnginePort[] }
  | { id: number; op: 'watch'; paths: string[] }
  | ({ id: number; op: 'expose' | 'unexpose' } & EnginePort);

/** A file or folder of the host that changed. */
export interface FolderChange {
  path: string;
  /** nanoseconds since the epoch; absent when it is gone */
  mtime?: string;
  /** it is a folder that is watched */
  folder?: boolean;
}

/** Host → engine. `error` is in Docker's words; `holder` names the program that has the port, when that is known. */
export type ToEngine =
  | { id: number; ok: true; folders?: string[] }
  | { id: number; error: string; holder?: string }
  | { changes: FolderChange[] };
