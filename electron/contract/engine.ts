/** The engine's nouns as the window shows them: the fields of the Docker API that are used, decoded and named once. */

/** Docker's container states. */
export type ContainerStatus = 'created' | 'running' | 'paused' | 'restarting' | 'removing' | 'exited' | 'dead';

export interface PublishedPort {
  protocol: 'tcp' | 'udp' | 'sctp';
  containerPort: number;
  /** absent when the port is exposed but not published */
  hostPort: number | undefined;
  hostIp: string | undefined;
}

export interface ContainerRow {
  id: string;
  /** without Docker's leading slash */
  name: string;
  image: string;
  imageId: string;
  command: string;
  status: ContainerStatus;
  /** Docker's sentence, e.g. `Up 5 minutes (healthy)` */
  statusText: string;
  /** milliseconds since the epoch */
  createdAt: number;
  ports: PublishedPort[];
  labels: Record<string, string>;
  /** from Compose's labels; undefined when it was not started by Compose */
  project: string | undefined;
  service: string | undefined;
}

export interface ImageRow {
  /** `sha256:…` */
  id: string;
  /** `repository:tag`, empty for a dangling image */
  tags: string[];
  /** milliseconds since the epoch */
  createdAt: number;
  sizeBytes: number;
  /** what removing it would free; undefined when the engine did not count */
  uniqueBytes: number | undefined;
  /** containers that use it; undefined when the engine did not count */
  containers: number | undefined;
}

export interface EngineInfo {
  name: string;
  serverVersion: string;
  apiVersion: string;
  kernel: string;
  operatingSystem: string;
  architecture: string;
  cpus: number;
  memoryBytes: number;
  containers: { total: number; running: number; paused: number; stopped: number };
  images: number;
  storageDriver: string;
  runtimes: string[];
  defaultRuntime: string;
}

export type Noun = 'container' | 'image' | 'network' | 'volume' | 'builder' | 'daemon';

/** One thing that happened in the engine. */
export interface EngineEvent {
  noun: Noun;
  /** Docker's action, e.g. `start`, `die`, `exec_create: sh` */
  action: string;
  id: string;
  /** name of the container, image, … when the engine told it */
  name: string | undefined;
  attributes: Record<string, string>;
  /** milliseconds since the epoch */
  time: number;
}

/** What a subscriber of the engine's events hears. */
export type EngineNews =
  | { kind: 'event'; event: EngineEvent }
  /** events may have been missed (first subscription, reconnection): fetch everything again */
  | { kind: 'resync' };

export interface LogRequest {
  /** lines from the end to begin with; 'all': the whole log */
  tail: number | 'all';
  follow: boolean;
  timestamps: boolean;
  /** only lines up to this time, RFC 3339 with nanoseconds as the log's own timestamps */
  until?: string;
}

/** A piece of a container's log: whole lines are not promised, the order is. */
export interface LogChunk {
  stream: 'stdout' | 'stderr';
  text: string;
}
