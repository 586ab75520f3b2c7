import { existsSync, mkdirSync, readFileSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { archiveRoutes } from './api/archive.ts';
import { buildRoutes } from './api/builds.ts';
import { commitRoutes } from './api/commit.ts';
import { containerRoutes } from './api/containers.ts';
import { execRoutes } from './api/execs.ts';
import { imageRoutes } from './api/images.ts';
import { networkRoutes } from './api/networks.ts';
import { pluginRoutes } from './api/plugins.ts';
import type { Route } from './api/router.ts';
import { standaloneRoutes } from './api/standalone.ts';
import { systemRoutes } from './api/system.ts';
import { volumeRoutes } from './api/volumes.ts';
import type { DaemonConfig } from './config.ts';
import { containerDefaults } from './container-defaults.ts';
import { Builds } from './daemon/builds/builds.ts';
import { Cache } from './daemon/builds/cache.ts';
import type { BuildRecord } from './daemon/builds/history.ts';
import { Containers, usersOf } from './daemon/containers/containers.ts';
import { HostFolders } from './daemon/containers/host-folders.ts';
import { restoreNetworks } from './daemon/containers/networking.ts';
import type { ContainerParts } from './daemon/containers/parts.ts';
import type { ContainerRecord } from './daemon/containers/record.ts';
import { ContainerRegistry } from './daemon/containers/registry.ts';
import { restoreVolumes } from './daemon/containers/volume-use.ts';
import { Events } from './daemon/events.ts';
import { Images } from './daemon/images/images.ts';
import { Bridges } from './daemon/networks/bridges.ts';
import { DefaultPools } from './daemon/networks/default-pools.ts';
import { Names } from './daemon/networks/names.ts';
import { Networks } from './daemon/networks/networks.ts';
import { Ports } from './daemon/networks/ports.ts';
import { DEFAULT_MTU } from './daemon/networks/predefined.ts';
import type { NetworkRecord } from './daemon/networks/record.ts';
import { Authorization } from './daemon/plugins/authorization.ts';
import { PluginImages } from './daemon/plugins/image.ts';
import { PluginInstaller } from './daemon/plugins/install.ts';
import { ManagedPlugins } from './daemon/plugins/managed.ts';
import type { PluginRecord } from './daemon/plugins/record.ts';
import { parseSize } from './daemon/sizes.ts';
import { engineId } from './daemon/system/identity.ts';
import type { Metric } from './daemon/system/metrics.ts';
import { System } from './daemon/system/system.ts';
import { type VolumeRecord, Volumes } from './daemon/volumes/volumes.ts';
import { messageOf } from './errors.ts';
import { cgroupVersion } from './linux/cgroups.ts';
import { lockFile } from './linux/lock.ts';
import { LiveConfig, type Reloaded } from './live-config.ts';
import { log } from './log.ts';
import { HostChannel } from './network/host-channel.ts';
import { Sandboxes } from './network/sandbox.ts';
import type { EngineOptions } from './options.ts';
import { capabilitiesOfMask } from './runtime/capabilities.ts';
import { chooseRuntimes } from './runtime/choice.ts';
import { Runtime } from './runtime/runtime.ts';
import { ShimClient } from './runtime/shim-client.ts';
import { Snapshots } from './snapshots/snapshots.ts';
import { blobSchema } from './store/blobs.ts';
import { BuildCacheRepository, buildCacheSchema } from './store/build-cache.ts';
import { openDatabase } from './store/database.ts';
import { DocumentStore, documentsSchema } from './store/documents.ts';
import { imageSchema } from './store/images.ts';
import { layerSchema } from './store/layers.ts';

const INIT_PATHS = ['/usr/bin/tini-static', '/usr/bin/tini', '/usr/bin/catatonit'];
const EXT4_MAGIC = 0xef53;
const FILESYSTEMS: Record<number, string> = {
  [EXT4_MAGIC]: 'extfs',
  1481003842: 'xfs',
  2435016766: 'btrfs',
  16914836: 'tmpfs',
};
const DEFAULT_SHUTDOWN_SECONDS = 15;
const SETTLE_AGAIN_MS = 5_000;

/** The assembled engine: what main.ts listens with and ends. */
export interface Engine {
  readonly routes: readonly Route[];
  readonly metrics: () => readonly Metric[];
  readonly authorization: Authorization;
  /** Reads daemon.json again; throws for a bad one, and nothing has changed then. */
  reload(): Reloaded & { readonly config: DaemonConfig };
  /** Stops containers by their own rules, then the shim, and takes the network away; with live-restore all of them stay. */
  shutDown(): Promise<void>;
}

/** Puts the parts together, in the order in which they need each other, and takes over what an earlier engine left. */
export async function startEngine(options: EngineOptions): Promise<Engine> {
  const { dataRoot, execRoot, config } = options;
  let runtimes = chooseRuntimes(config);
  const live = new LiveConfig(options.configFile, config, (next) => {
    runtimes = chooseRuntimes(next);
  });
  mkdirSync(dataRoot, { recursive: true, mode: 0o710 });
  mkdirSync(execRoot, { recursive: true, mode: 0o710 });
  if (!lockFile(join(dataRoot, 'lock'))) throw new Error(`another engine is using ${dataRoot}`);
  const shim = new ShimClient({ directory: join(execRoot, 'shim'), command: [process.execPath, shimProgram()] });
  // The shim starts while the rest is put together: under emulation that is seconds.
  const shimOpen = shim.open();
  shimOpen.catch(() => {});
  const db = openDatabase(join(dataRoot, 'state.db'), [
    blobSchema,
    layerSchema,
    imageSchema,
    documentsSchema,
    buildCacheSchema,
  ]);
  const events = new Events();
  const registry = new ContainerRegistry(new DocumentStore<ContainerRecord>(db, 'container'));
  const users = usersOf(registry);
  const snapshots = new Snapshots({ root: join(dataRoot, 'snapshots'), db });
  const buildRows = new BuildCacheRepository(db);
  const buildCache = new Cache(buildRows);
  const images = new Images({
    root: dataRoot,
    db,
    snapshots,
    users,
    retained: () => buildCache.retained(),
    events: ({ type, action, id, attributes }) => events.publish(type, action, id, attributes),
    settings: {
      get mirrors() {
        return live.current['registry-mirrors'];
      },
      get insecureRegistries() {
        return live.current['insecure-registries'];
      },
      get maxConcurrentDownloads() {
        return live.current['max-concurrent-downloads'];
      },
      get maxConcurrentUploads() {
        return live.current['max-concurrent-uploads'];
      },
      get maxDownloadAttempts() {
        return live.current['max-download-attempts'];
      },
      hostLoopback: options.hostGatewayIp,
      env: proxyEnvironment(config),
    },
  });

  const runtime = new Runtime({ execRoot, shim, choice: () => runtimes });

  const host = options.hostChannel ? new HostChannel() : undefined;
  if (host && options.hostChannel) await host.listen(options.hostChannel);
  prepareKernel();
  const ports = new Ports(host);
  const bridges = new Bridges(() => ports.published(), { dataRoot, mtu: config.mtu ?? DEFAULT_MTU });
  const networkStore = new DocumentStore<NetworkRecord>(db, 'network');
  const pools = new DefaultPools(config['default-address-pools'], engineId(dataRoot));
  const networks = new Networks({ store: networkStore, bridges, events, users, config, pools });
  const names = new Names(() => registry.all().map(({ record }) => record), options.hostGatewayIp);
  const bounding = boundingCapabilities();
  const pluginStore = new DocumentStore<PluginRecord>(db, 'plugin');
  const plugins = new ManagedPlugins({ store: pluginStore, images, snapshots, runtime, events, dataRoot, bounding });
  const authorization = new Authorization(() => live.current['authorization-plugins'] ?? [], plugins);
  const volumeStore = new DocumentStore<VolumeRecord>(db, 'volume');
  const volumes = new Volumes({ store: volumeStore, dataRoot, events, users, managed: plugins });
  plugins.connect({
    inUse: (name) => volumes.hasAnyOf(name),
    onDisable: (name) => authorization.leaveOut(name),
  });
  const sandboxes = new Sandboxes(execRoot);

  const parts: ContainerParts = {
    registry,
    images,
    snapshots,
    runtime,
    volumes,
    networks,
    bridges,
    names,
    ports,
    sandboxes,
    events,
    folders: new HostFolders(options.hostFolders, host),
    plugins,
    settings: {
      dataRoot,
      hostGatewayIp: options.hostGatewayIp,
      bounding,
      cgroupVersion: cgroupVersion(),
      defaults: containerDefaults(config, cgroupVersion()),
      initPath: config['init-path'] ?? INIT_PATHS.find((path) => existsSync(path)) ?? '/usr/bin/tini',
      dns: config.dns ?? [],
      dnsSearch: config['dns-search'] ?? [],
      dnsOptions: config['dns-opts'] ?? [],
      bridgeGateway: () => config['host-gateway-ip'] ?? networks.hostGateway(),
    },
  };
  const containers = new Containers(parts);
  const records = new DocumentStore<BuildRecord>(db, 'build');
  const builds = new Builds({
    ...parts,
    dataRoot,
    cache: buildCache,
    rows: buildRows,
    records,
    keepBytes: cacheLimit(config),
    proxies: proxyEnvironment(config),
  });

  networks.start();
  await restoreNetworks(parts);
  restoreVolumes(parts);
  bridges.writeFirewall();
  const runs = (id: string): boolean => registry.byId(id)?.record.state.status === 'running';
  sandboxes.sweep(runs);
  shim.on('event', (event) => {
    if (builds.onShimEvent(event) || plugins.onShimEvent(event)) return;
    void untilSettled(() => containers.onShimEvent(event));
  });
  await shimOpen;
  const known = await runtime.processes();
  // Containers that start with the engine may want their volumes.
  await plugins.restore(known);
  await containers.lifecycle.restore(known);
  for (const process of known) {
    if (process.exit && process.key !== process.container) await runtime.forget(process.key);
  }
  let ending = false;
  shim.on('lost', () => {
    if (ending) return;
    log.error('the shim has died; ending its containers and starting a new one');
    builds.shimLost();
    // Starts wait for the new one; what the dead one held is ended meanwhile.
    void shim
      .open()
      .then(() => runtime.processes())
      .catch((error) => {
        log.error('no new shim', { error: messageOf(error) });
        return [];
      })
      .then((left) => {
        plugins.shimLost(left);
        return containers.lifecycle.shimLost(left);
      });
  });
  let preloaded: Promise<void> = Promise.resolve();
  if (options.preload && existsSync(options.preload)) {
    preloaded = images
      .loadPreloaded(options.preload)
      .catch((error) => log.error('preload failed', { error: messageOf(error) }));
  }

  const system = new System({
    id: engineId(dataRoot),
    dataRoot,
    backingFilesystem: FILESYSTEMS[statfsSync(dataRoot).type] ?? 'unknown',
    cgroupVersion: cgroupVersion(),
    runtimes: () => runtimes,
    containers,
    images,
    volumes,
    buildCache: () => builds.usage(),
    events,
    config: () => live.current,
    proxies: proxyEnvironment(config),
  });
  return {
    routes: [
      ...systemRoutes(system, events),
      ...containerRoutes(containers),
      ...archiveRoutes(containers),
      ...execRoutes(containers),
      ...commitRoutes(containers),
      ...networkRoutes(networks, containers),
      ...volumeRoutes(volumes),
      ...imageRoutes(images),
      ...pluginRoutes(plugins, new PluginInstaller(plugins, new PluginImages(images.content), events)),
      ...standaloneRoutes(),
      ...buildRoutes(builds),
    ].map((entry) => afterPreload(entry, preloaded)),
    metrics: () => system.metrics(),
    authorization,
    reload() {
      const reloaded = live.reload();
      authorization.askAll();
      system.publishReload();
      return { ...reloaded, config: live.current };
    },
    async shutDown() {
      await builds.shutDown();
      // A machine that powers off (init says so with this file) takes its containers along: they get their stop signals.
      ending = live.current['live-restore'] === true && !existsSync(join(execRoot, 'stopping'));
      if (ending) {
        // Shim, containers, their network and ports stay; the next engine takes them over.
        shim.close();
        host?.close();
        db.close();
        return;
      }
      await containers.lifecycle.shutDown(live.current['shutdown-timeout'] ?? DEFAULT_SHUTDOWN_SECONDS);
      await plugins.shutDown();
      ending = true;
      const held = await shim.shutdown();
      if (held) log.warn('the shim stays', { reason: held });
      shim.close();
      host?.close();
      networks.stop();
      db.close();
    },
  };
}

/** The API answers before the shipped images are loaded (first start only); what needs images waits for them. */
function afterPreload(entry: Route, preloaded: Promise<void>): Route {
  if (!entry.path.startsWith('/images') && entry.path !== '/containers/create' && entry.path !== '/build') return entry;
  return {
    ...entry,
    handler: async (context) => {
      await preloaded;
      await entry.handler(context);
    },
  };
}

/** Bytes of build cache that are kept (`builder.gc`); undefined: all, until someone prunes. */
function cacheLimit({ builder }: DaemonConfig): number | undefined {
  const { enabled = true, defaultKeepStorage, maxUsedSpace } = builder?.gc ?? {};
  const limit = defaultKeepStorage ?? maxUsedSpace;
  return enabled && limit !== undefined ? parseSize(String(limit)) : undefined;
}

/** `proxies` of daemon.json before the environment, as dockerd does. */
function proxyEnvironment({ proxies = {} }: DaemonConfig): Record<string, string | undefined> {
  const names = [
    ['HTTP_PROXY', proxies['http-proxy']],
    ['HTTPS_PROXY', proxies['https-proxy']],
    ['NO_PROXY', proxies['no-proxy']],
  ] as const;
  const set = names.flatMap(([name, value]) =>
    value === undefined
      ? []
      : [
          [name, value],
          [name.toLowerCase(), value],
        ],
  );
  return { ...process.env, ...Object.fromEntries(set) };
}

/** An exit that can't be written down (a full disk) is settled as soon as it can be: the shim keeps it till then. */
async function untilSettled(settle: () => Promise<void>): Promise<void> {
  for (;;) {
    try {
      await settle();
      return;
    } catch (error) {
      log.error('exit not settled, tried again', { error: messageOf(error) });
      await delay(SETTLE_AGAIN_MS);
    }
  }
}

/** The shim's program lies beside this one: bundled, or as source. */
function shimProgram(): string {
  const bundled = join(import.meta.dirname, 'shim.mjs');
  return existsSync(bundled) ? bundled : join(import.meta.dirname, 'shim/main.ts');
}

/** Settings of the kernel that containers' networks need. */
function prepareKernel(): void {
  writeFileSync('/proc/sys/net/ipv4/ip_forward', '1');
}

function boundingCapabilities(): string[] {
  const mask = /^CapBnd:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0';
  return capabilitiesOfMask(BigInt(`0x${mask}`));
}
