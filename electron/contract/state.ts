import type { EngineProblem } from './engines.ts';

/**
 * What the window sees of the host side. These mirror the states of electron/machine and electron/tunnel in the words of the
 * contract: the window knows neither of them. Everything here survives JSON.
 */

export type StartStep = 'image' | 'disk' | 'keys' | 'qemu' | 'kernel' | 'ssh' | 'engine';

/** See the drawing in electron/machine/types.ts. Times are milliseconds since the epoch. */
export type MachineState =
  | { kind: 'stopped' }
  | { kind: 'starting'; step: StartStep; since: number }
  | { kind: 'running'; since: number; bootMs: number }
  | { kind: 'degraded'; reason: string; since: number }
  | { kind: 'stopping' }
  | { kind: 'failed'; step: StartStep; reason: string; hint: string; log: string[] };

/** See the drawing in electron/tunnel/types.ts. */
export type TunnelState =
  | { kind: 'closed' }
  | { kind: 'idle' }
  | { kind: 'dialling'; attempt: number; since: number; reason: string | undefined }
  | { kind: 'connected'; since: number }
  | { kind: 'blocked'; reason: string; hint: string };

/**
 *            machine and tunnel are up       /events is open
 *   off ───────────────────────────▶ waiting ──────────────▶ ready
 *    ▲ ▲                              │   ▲                    │
 *    │ └────────── machine stopped ───┘   └── connection lost ─┤
 *    └──────────────────────────── machine stopped ────────────┘
 *
 * An engine that is not in our machine is never off: it is waiting, ready, or lost until it answers again.
 */
export type EngineState =
  | { kind: 'off' }
  /** the engine should answer and does not yet; `reason` is what the last attempt said */
  | { kind: 'waiting'; reason: string | undefined }
  /** it can't be reached, which is tried again and again */
  | { kind: 'lost'; problem: EngineProblem }
  | { kind: 'ready'; version: string; apiVersion: string; since: number };

/** Everything the status bar and the tray need, in one piece; `engine` is the one in the machine. */
export interface AppState {
  machine: MachineState;
  tunnel: TunnelState;
  engine: EngineState;
}

/** Live figures of the machine; sent only while somebody looks at them. */
export interface MachineFigures {
  cpuPercent: number;
  hostRssBytes: number;
  guestMemoryBytes: number;
  guestUsedBytes: number | undefined;
  diskRealBytes: number;
  diskVirtualBytes: number;
}

/** When each step of the last start ended, in milliseconds after QEMU was started. */
export interface BootTiming {
  steps: { step: StartStep; atMs: number }[];
  guest: { mark: string; uptimeMs: number }[];
  totalMs: number;
}

export interface AppInfo {
  version: string;
  /** the app's folder */
  home: string;
  /** the socket `docker` connects to, and the value of DOCKER_HOST for it */
  socketPath: string;
  dockerHost: string;
  platform: string;
  /** process id of the app */
  pid: number;
  accelerator: string | undefined;
}
