/** A published port in the engine's words. */
export interface EnginePort {
  proto: 'tcp' | 'udp';
  /** what the user asked for; '' and '0.0.0.0' are all addresses of the host, as Docker Desktop does it */
  hostIp: string;
  hostPort: number;
}

/** Engine → host. The first message of every connection is `sync`. */
export type FromEngine = { op: 'sync'; ports: EnginePort[] } | ({ id: number; op: 'expose' | 'unexpose' } & EnginePort);

/** Host → engine. `error` is in Docker's words; `holder` names the program that has the port, when that is known. */
export type ToEngine = { id: number; ok: true } | { id: number; error: string; holder?: string };
