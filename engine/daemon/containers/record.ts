import type { ContainerConfig, EndpointSettings, HostConfig, PortMap } from '../../model/container.ts';
import type { Digest } from '../../store/digest.ts';

/**
 *            create               start                    exit
 *   (nothing) ────▶ created ────────────▶ running ─────────────────────▶ exited ──▶ removed
 *                                          ▲  │ pause/unpause (paused)      │
 *                                          │  └ restart policy ▶ restarting │ start
 *                                          └────────────┴───────────────────┘
 *   dead: a removal that could not finish.
 */
export type ContainerState =
  | { readonly status: 'created'; readonly exitCode: number; readonly error: string }
  | {
      readonly status: 'running';
      readonly pid: number;
      readonly startedAt: string;
      readonly paused: boolean;
      /** When the run before this one ended. */
      readonly finishedAt: string;
    }
  | ({ readonly status: 'restarting' } & Ended)
  | ({ readonly status: 'exited' } & Ended)
  | ({ readonly status: 'dead' } & Ended);

export interface Ended {
  readonly exitCode: number;
  readonly oomKilled: boolean;
  readonly error: string;
  readonly startedAt: string;
  readonly finishedAt: string;
}

/** A container's place in one network (swagger: EndpointSettings); addresses only while it runs. */
export interface Endpoint {
  readonly networkId: string;
  readonly settings: EndpointSettings;
  readonly endpointId: string;
  readonly ipAddress: string;
  readonly prefix: number;
  readonly gateway: string;
  readonly macAddress: string;
  /** On networks with IPv6. */
  readonly ipv6Address?: string;
  readonly ipv6Prefix?: number;
  readonly ipv6Gateway?: string;
  /** Interface inside: eth<index>. */
  readonly index: number;
}

/** A mount as inspect shows it (swagger: MountPoint). */
export interface MountPoint {
  readonly type: 'bind' | 'volume' | 'tmpfs' | 'image';
  readonly name?: string;
  /** Of an image: empty until it is mounted. */
  readonly source: string;
  /** What a mount of type `image` shows. */
  readonly imageId?: Digest;
  readonly destination: string;
  readonly driver?: string;
  readonly mode: string;
  readonly rw: boolean;
  readonly propagation: string;
  /** Mount options of a tmpfs. */
  readonly options?: readonly string[];
  readonly noCopy?: boolean;
  readonly subpath?: string;
  /** Anonymous volumes go with their container on `rm -v` and --rm. */
  readonly anonymous?: boolean;
  readonly recursive?: boolean;
  /** Read-only itself, while what is mounted below it stays as it is. */
  readonly shallowReadOnly?: boolean;
}

/** All that is kept of a container. Immutable: a change is a new record, written before it is told to anyone. */
export interface ContainerRecord {
  readonly id: string;
  readonly name: string;
  /** RFC 3339. */
  readonly created: string;
  readonly imageId: Digest;
  /** As the client named it. */
  readonly imageName: string;
  /** Client's configuration merged with the image's. */
  readonly config: ContainerConfig;
  readonly hostConfig: HostConfig;
  readonly state: ContainerState;
  /** Docker's network name → endpoint. */
  readonly networks: Readonly<Record<string, Endpoint>>;
  /** Published ports of the current run, `80/tcp` → bindings. */
  readonly ports: PortMap;
  readonly mounts: readonly MountPoint[];
  readonly restartCount: number;
  /** Stopped by a user: no restart policy brings it back before the next start. */
  readonly manuallyStopped: boolean;
}

export const isRunning = (record: ContainerRecord): boolean => record.state.status === 'running';

export function pidOf(record: ContainerRecord): number {
  return record.state.status === 'running' ? record.state.pid : 0;
}

/** `<path> <args…>`: what the container's init process runs. */
export function commandOf(config: ContainerConfig): string[] {
  return [...(config.Entrypoint ?? []), ...(config.Cmd ?? [])];
}
