import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Implementation } from '../contract/contract.ts';
import type { AppPort } from '../contract/protocol.ts';
import type { AppState } from '../contract/state.ts';
import { SftpMounts } from '../folders/sftp-mounts.ts';
import { machinePaths } from '../machine/paths.ts';
import { folderTransport, thisHost } from '../machine/platform.ts';
import type { BootImage, Machine, SshEndpoint } from '../machine/types.ts';
import { PortKeeper } from '../ports/ports.ts';
import { serve } from '../rpc/server.ts';
import { dockerHost, engineSocketPath } from '../tunnel/socket-path.ts';
import { openTunnel } from '../tunnel/tunnel.ts';
import type { Tunnel } from '../tunnel/types.ts';
import { daemonServices } from './daemon/daemon-service.ts';
import { diagnose } from './diagnose.ts';
import { troubleshootServices } from './diagnostics/checks.ts';
import { DockerContext } from './docker-context.ts';
import { EngineLink } from './engine-link.ts';
import { engineServices } from './engine-services.ts';
import { Engines, type SharedServices } from './engines/engines.ts';
import { EnginesFile, OWN_ENGINE } from './engines/engines-file.ts';
import { toWire } from './errors.ts';
import { Health } from './health.ts';
import { hostServices } from './host-files.ts';
import { IdleStop } from './idle-stop.ts';
import { machineCare, snapshotServices } from './machine-care.ts';
import { Revival } from './revival.ts';
import { machineResources, SettingsFile } from './settings.ts';
import { type LoginItem, loginService } from './system/login.ts';
import { SocketLink } from './system/socket-link.ts';
import { SYSTEM_SOCKET } from './system/socket-owner.ts';
import { TaskKeeper } from './tasks.ts';
import { Topic } from './topic.ts';
import { type Updater, Updates } from './updates.ts';

export interface AppOptions {
  home: string;
  version: string;
  /** made from the settings, which decide its size */
  machine: (settings: SettingsFile['values']) => Machine | Promise<Machine>;
  /** finds the VM image that belongs to this app now; without it there is only the one it started with */
  image?: () => Promise<BootImage>;
  log?: (line: string) => void;
  /** how this shell is started with the user's session; undefined when it can't be */
  login?: LoginItem;
  /** how this shell gets a newer version of itself, or why it can't */
  updater?: Updater | string;
  /** the socket that other tools use by default */
  systemSocket?: string;
  /** how this shell serves the window to a browser */
  openWeb?: (app: App) => Promise<{ url: string }>;
  /** what ends the process after `app.quit` */
  onQuit?: () => void;
}

/** The app without a shell: machine, tunnel, ports and engine client joined, and the contract's implementation over them. */
export class App {
  readonly machine: Machine;
  readonly tunnel: Tunnel;
  readonly settings: SettingsFile;
  #options: AppOptions;
  #engine: EngineLink;
  #ports: PortKeeper;
  #mounts: SftpMounts | undefined;
  #health: Health;
  #idleStop: IdleStop;
  #revival: Revival;
  #tasks = new TaskKeeper();
  #updates: Updates;
  #state: Topic<AppState>;
  #engines: Engines;
  #closing: Promise<void> | undefined;

  /** Listens on the local socket when it resolves; does not start the machine. Throws TunnelError. */
  static async open(options: AppOptions): Promise<App> {
    const settings = await SettingsFile.open(options.home);
    const engines = await EnginesFile.open(options.home);
    const machine = await options.machine(settings.values);
    const socketPath = engineSocketPath(options.home);
    const tunnel = await openTunnel({ machine, socketPath, wakes: () => settings.values.wakeOnConnect });
    return new App(options, settings, engines, machine, tunnel);
  }

  private constructor(
    options: AppOptions,
    settings: SettingsFile,
    engines: EnginesFile,
    machine: Machine,
    tunnel: Tunnel,
  ) {
    this.#options = options;
    this.settings = settings;
    this.machine = machine;
    this.tunnel = tunnel;
    // Of states only the last one matters to a reader that fell behind.
    this.#state = new Topic<AppState>(8, (queue) => queue.slice(-1));
    const changed = () => this.#state.publish(this.state);
    this.#ports = new PortKeeper(machine, tunnel, (line) => options.log?.(line));
    if (folderTransport(thisHost()) === 'sftp') this.#mounts = new SftpMounts(tunnel, (line) => options.log?.(line));
    this.#engine = new EngineLink({ socketPath: tunnel.socketPath });
    this.#followMachine(changed);
    this.#health = new Health(machine, tunnel);
    this.#idleStop = new IdleStop({
      machine,
      minutes: () => settings.values.idleStopMinutes,
      clients: () => this.#foreignClients(),
      // What runs in a task needs the machine as well.
      containersRun: async () =>
        this.#tasks.busyOn(OWN_ENGINE) || (await this.#engine.docker.listContainers()).length > 0,
      log: (line) => options.log?.(line),
    });
    this.#revival = new Revival({ machine, log: (line) => options.log?.(line) });
    this.#updates = new Updates(
      options.updater ?? 'Only the desktop app updates itself: update this with git pull, or install the new package.',
      settings,
    );
    machine.onState(changed);
    tunnel.onState(changed);
    this.#engines = new Engines(engines, this.#tasks, tunnel.socketPath);
    const shared: SharedServices = {
      ...this.#ownServices(),
      engines: this.#engines.services(),
      tasks: this.#tasks.services(),
      host: hostServices(),
      system: this.#systemServices(),
      updates: this.#updates.services(),
      daemon: daemonServices({ machine, tunnel, engineState: () => this.#engine.state }),
    };
    const own = { id: OWN_ENGINE, name: 'Skiff' };
    this.#engines.begin(shared, engineServices(this.#engine, this.#tasks.on(own)));
  }

  get state(): AppState {
    // Called once during construction, before there is an engine link.
    return { machine: this.machine.state, tunnel: this.tunnel.state, engine: this.#engine?.state ?? { kind: 'off' } };
  }

  get options(): AppOptions {
    return this.#options;
  }

  /** The engine in the machine is there while the machine is. */
  #followMachine(changed: () => void): void {
    const look = () => {
      const { kind } = this.machine.state;
      if (kind === 'running' || kind === 'degraded') this.#engine.follow();
      else this.#engine.leave();
    };
    this.machine.onState(look);
    look();
    void (async () => {
      for await (const _ of this.#engine.states.read(this.#engine.closed)) changed();
    })();
  }

  /** Answers a shell over this port until it closes. */
  serve(port: AppPort): void {
    serve(port, (engine) => this.#engines.open(engine), toWire);
  }

  /** After the computer slept. */
  async resumed(): Promise<void> {
    await this.#health.resumed();
  }

  /** Without our own: the stream of the engine's events, and what asks how it is. */
  #foreignClients(): { open: number; served: number } {
    const { joined, waiting, served } = this.tunnel.clients;
    const own = this.#engine.state.kind === 'ready' ? 1 : 0;
    return { open: Math.max(0, joined + waiting - own), served: served - this.#health.asked };
  }

  /** Closes everything; stops the machine first, unless it is to go on for the next app. */
  close(machine: 'stop' | 'leave' = 'stop'): Promise<void> {
    this.#closing ??= this.#close(machine);
    return this.#closing;
  }

  async #close(machine: 'stop' | 'leave'): Promise<void> {
    this.#idleStop.close();
    this.#revival.close();
    this.#updates.close();
    this.#health.close();
    this.#tasks.close();
    this.#engines.close();
    this.#ports.close();
    this.#mounts?.close();
    this.#engine.close();
    if (machine === 'stop') await this.machine.stop();
    else await this.machine.release();
    await this.tunnel.close();
  }

  #systemServices(): Implementation['system'] {
    const { home, login, systemSocket = SYSTEM_SOCKET } = this.#options;
    const link = new SocketLink(home, this.tunnel.socketPath, systemSocket);
    return {
      ...loginService(login),
      socket: () => link.state(),
      linkSocket: () => link.link(),
      unlinkSocket: () => link.unlink(),
    };
  }

  #ownServices(): Pick<Implementation, 'app' | 'machine' | 'settings' | 'snapshots' | 'context' | 'troubleshoot'> {
    const { machine, tunnel, settings } = this;
    const context = new DockerContext(dockerHost(tunnel.socketPath));
    return {
      app: {
        info: async () => ({
          version: this.#options.version,
          home: this.#options.home,
          socketPath: tunnel.socketPath,
          dockerHost: dockerHost(tunnel.socketPath),
          platform: process.platform,
          pid: process.pid,
          accelerator: machine.accelerator,
        }),
        state: (signal) => this.#state.read(signal, this.state),
        consoleLog: async (lines) => machine.logTail(Math.max(1, Math.min(Number(lines) || 200, 5_000))),
        openWeb: async () => {
          if (!this.#options.openWeb) throw new Error('This shell has no web window.');
          return this.#options.openWeb(this);
        },
        diagnose: () =>
          diagnose(this.#options.home, {
            app: () => ({
              version: this.#options.version,
              accelerator: machine.accelerator,
              image: machine.imageVersion,
            }),
            state: () => this.state,
            settings: () => settings.values,
            boot: () => machine.bootTiming(),
            figures: () => machine.stats(),
            engine: () => this.#engines.open(OWN_ENGINE).services.engine.info(AbortSignal.timeout(10_000)),
          }),
        quit: async () => {
          await this.machine.stop();
          // The answer should still reach the one who asked.
          setTimeout(() => this.#options.onQuit?.(), 100);
        },
      },
      machine: {
        start: (signal) => machine.start(signal),
        // A stop must not be broken off because a window was closed.
        stop: () => machine.stop(),
        restart: async () => {
          await machine.stop();
          await machine.start();
        },
        bootTiming: async () => machine.bootTiming(),
        figures: (everyMs, signal) => figures(machine, everyMs, signal),
        sshCommand: async () => sshCommand(this.#options.home, machine.endpoint()),
        ...machineCare(machine, settings, () => this.#engine, this.#options.image),
      },
      snapshots: snapshotServices(machine),
      context: {
        state: () => context.state(),
        create: () => context.create(),
        use: () => context.use(),
        remove: () => context.remove(),
      },
      troubleshoot: troubleshootServices({
        home: this.#options.home,
        socketPath: tunnel.socketPath,
        machine,
        context,
        state: () => this.state,
        guestTime: (signal) => this.#health.guestTime(signal),
      }),
      settings: {
        get: async () => settings.values,
        effects: async (changes) => settings.effects(changes),
        set: async (changes) => {
          const values = await settings.set(changes);
          machine.configure(machineResources(values));
          this.#updates.changed();
          return values;
        },
      },
    };
  }
}

async function* figures(machine: Machine, everyMs: number, signal: AbortSignal) {
  const pause = Math.max(500, Math.min(Number(everyMs) || 2_000, 60_000));
  while (!signal.aborted) {
    if (machine.state.kind === 'running' || machine.state.kind === 'degraded') {
      const stats = await machine.stats().catch(() => undefined);
      if (stats) yield stats;
    }
    await sleep(pause, undefined, { signal }).catch(() => {});
  }
}

/** The host key goes into a file of ours: the port is another one at each boot, and the user's known_hosts is his. */
async function sshCommand(home: string, endpoint: SshEndpoint): Promise<string[]> {
  const knownHosts = join(home, 'known_hosts');
  const key = endpoint.hostKey;
  const type = key.subarray(4, 4 + key.readUInt32BE(0)).toString();
  await writeFile(knownHosts, `[${endpoint.host}]:${endpoint.port} ${type} ${key.toString('base64')}\n`, {
    mode: 0o600,
  });
  return [
    'ssh',
    ...['-i', machinePaths(home).privateKey],
    ...['-p', String(endpoint.port)],
    ...['-o', `UserKnownHostsFile=${knownHosts}`],
    ...['-o', 'StrictHostKeyChecking=yes'],
    ...['-o', 'IdentitiesOnly=yes'],
    `${endpoint.username}@${endpoint.host}`,
  ];
}
