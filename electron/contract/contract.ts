import type { BuildsContract } from './builds.ts';
import type { ContainersContract } from './containers.ts';
import type { DaemonContract } from './daemon.ts';
import type { EngineInfo, EngineNews } from './engine.ts';
import type { EnginesContract } from './engines.ts';
import type { HostContract } from './host.ts';
import type { ImagesContract } from './images.ts';
import type { DiskChange, DockerContextState, SnapshotRow } from './machine-care.ts';
import type { NetworksContract } from './networks.ts';
import type { Effect, Settings } from './settings.ts';
import type { AppInfo, AppState, BootTiming, EngineState, MachineFigures } from './state.ts';
import type { SystemContract } from './system.ts';
import type { TasksContract } from './tasks.ts';
import type { TroubleshootContract } from './troubleshoot.ts';
import type { UpdatesContract } from './updates.ts';
import type { VolumesContract } from './volumes.ts';

/**
 * All that a shell (window, tray, `skiff` command) may ask of the app. A method that returns a Promise is a call; one that
 * returns an AsyncIterable is a stream, which ends when its reader leaves the loop or its signal fires. Both sides are typed
 * from here: `Client` is what a shell holds, `Implementation` what the services provide.
 *
 * Arguments and results are JSON plus Uint8Array. What `engine`, `containers`, `images`, `volumes`, `networks` and `builds` are asked goes
 * to the engine that the asker has chosen (see `protocol.ts`), all else to Skiff itself.
 */
export interface Contract {
  app: {
    info(): Promise<AppInfo>;
    /** the present state at once, then every change */
    state(): AsyncIterable<AppState>;
    /** the last lines of the guest's console and of QEMU */
    consoleLog(lines: number): Promise<string[]>;
    /** Serves the window to a browser of this computer; the token in the URL is good for one visit. */
    openWeb(): Promise<{ url: string }>;
    /** Writes logs, versions, states and settings, without secrets, into one zip file. */
    diagnose(): Promise<{ path: string }>;
    /** Stops the machine and ends the app. */
    quit(): Promise<void>;
  };
  machine: {
    start(): Promise<void>;
    stop(): Promise<void>;
    restart(): Promise<void>;
    bootTiming(): Promise<BootTiming | undefined>;
    figures(everyMs: number): AsyncIterable<MachineFigures>;
    /** for `skiff ssh`: the command line that logs in to the guest */
    sshCommand(): Promise<string[]>;
    /** Gives what the guest no longer uses back to the host's disk. The machine has to run. */
    compact(): Promise<DiskChange>;
    /** Enlarges the data disk, at once when the machine runs. */
    grow(diskGb: number): Promise<void>;
    /** Moves the data disk into another folder of this computer; stops the machine meanwhile. */
    moveDisk(folder: string): Promise<void>;
    /** Removes all that is in the machine; with `keepImages` all but the images. */
    reset(options: { keepImages: boolean }): Promise<void>;
    /** Looks for a newer VM image, and restarts a running machine with it. */
    updateImage(): Promise<{ version: string; changed: boolean }>;
  };
  /** All engine state (images, containers, volumes) at one time; only while the machine is stopped. */
  snapshots: {
    list(): Promise<SnapshotRow[]>;
    create(name: string): Promise<void>;
    restore(name: string): Promise<void>;
    remove(name: string): Promise<void>;
  };
  /** Docker's own context `skiff`, which points its command at our socket. */
  context: {
    state(): Promise<DockerContextState>;
    create(): Promise<void>;
    /** creates it when there is none */
    use(): Promise<void>;
    remove(): Promise<void>;
  };
  engines: EnginesContract;
  engine: {
    /** the present state of the engine that is asked at once, then every change */
    state(): AsyncIterable<EngineState>;
    /** Connects now to one that was lost, and not when its time comes. */
    retry(): Promise<void>;
    info(): Promise<EngineInfo>;
    /** milliseconds that `/_ping` took through the local socket */
    ping(): Promise<number>;
    news(): AsyncIterable<EngineNews>;
  };
  daemon: DaemonContract;
  containers: ContainersContract;
  images: ImagesContract;
  volumes: VolumesContract;
  networks: NetworksContract;
  builds: BuildsContract;
  tasks: TasksContract;
  troubleshoot: TroubleshootContract;
  host: HostContract;
  system: SystemContract;
  updates: UpdatesContract;
  settings: {
    get(): Promise<Settings>;
    /** what each change would take, without making it */
    effects(changes: Partial<Settings>): Promise<Partial<Record<keyof Settings, Effect>>>;
    set(changes: Partial<Settings>): Promise<Settings>;
  };
}

export type ServiceName = keyof Contract;

/** biome-ignore lint/suspicious/noExplicitAny: any method matches, whatever it takes */
type Method = (...args: any[]) => unknown;
type WithTrailing<M, Extra> = M extends (...args: infer A) => infer R ? (...args: [...A, Extra]) => R : never;

/** What the services implement: each method gets, as its last argument, a signal that fires when the asker is gone. */
export type Implementation = {
  [S in ServiceName]: {
    [M in keyof Contract[S]]: Contract[S][M] extends Method ? WithTrailing<Contract[S][M], AbortSignal> : never;
  };
};

/** What a shell holds: the contract with an optional signal after each method's own arguments. */
export type Client = {
  [S in ServiceName]: {
    [M in keyof Contract[S]]: Contract[S][M] extends (...args: infer A) => infer R
      ? (...args: [...A, signal?: AbortSignal]) => R
      : never;
  };
};
