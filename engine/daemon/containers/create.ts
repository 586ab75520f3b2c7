import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { invalidParameter, isKind } from '../../errors.ts';
import type { ContainerConfig, CreateRequest, HostConfig } from '../../model/container.ts';
import { apiTime } from '../clock.ts';
import { newId } from '../ids.ts';
import type { Image } from '../images/images.ts';
import { withDefaults } from './defaults.ts';
import { checkLinks } from './links.ts';
import { checkAgainstMachine, discardUnsupported } from './machine-limits.ts';
import { resolveMounts } from './mounts.ts';
import { plannedNetworks } from './networking.ts';
import { type ContainerParts, publish } from './parts.ts';
import { randomName } from './random-name.ts';
import { type ContainerRecord, commandOf } from './record.ts';
import { checkCreate } from './validate.ts';

export interface CreateResult {
  readonly id: string;
  readonly warnings: readonly string[];
}

/** Where a container's own files are: log, hosts, hostname, resolv.conf. */
export const containerDirectory = (dataRoot: string, id: string): string => join(dataRoot, 'containers', id);

/** POST /containers/create. Nothing is left behind when it fails. */
export function createContainer(
  parts: ContainerParts,
  request: CreateRequest,
  options: { readonly name?: string; readonly platform?: string },
): CreateResult {
  const { name } = options;
  const { HostConfig: hostRequest, NetworkingConfig: _networks, ...configRequest } = request;
  const host: HostConfig = { ...(hostRequest ?? {}) };
  checkCreate(configRequest, host);
  const machine = parts.runtime.limits();
  checkAgainstMachine(host, machine);
  const warnings = discardUnsupported(host, machine);
  if (name) parts.registry.checkName(name);
  if (host.Runtime) parts.runtime.checkName(host.Runtime);
  if (!configRequest.Image) throw invalidParameter('config cannot be empty in order to create a container');
  const image = parts.images.get(configRequest.Image, options.platform);
  try {
    return { id: make(parts, request, host, image, name), warnings };
  } catch (error) {
    // Not found is what the docker CLI takes for a missing image, which it then pulls.
    if (isKind(error, 'notFound')) throw invalidParameter(error.message, error);
    throw error;
  }
}

function make(
  parts: ContainerParts,
  request: CreateRequest,
  host: HostConfig,
  image: Image,
  name: string | undefined,
): string {
  const { HostConfig: _host, NetworkingConfig, ...configRequest } = request;
  const id = newId();
  const config = mergeImage(configRequest, image);
  if (commandOf(config).length === 0) throw invalidParameter('no command specified');
  const hostConfig = normalizeHost(parts, host);
  config.Hostname ||= hostConfig.NetworkMode === 'host' ? '' : id.slice(0, 12);
  checkLinks(parts, hostConfig);
  const networks = plannedNetworks(parts, hostConfig, NetworkingConfig?.EndpointsConfig ?? {}, config);
  const directory = containerDirectory(parts.settings.dataRoot, id);
  const before = new Set(parts.volumes.list(new Map()).map((volume) => volume.name));
  let undo = (): void => {};
  try {
    const mounts = resolveMounts(config, hostConfig, parts);
    mkdirSync(directory, { recursive: true, mode: 0o710 });
    const record: ContainerRecord = {
      id,
      name: name?.replace(/^\//, '') || randomName((candidate) => parts.registry.hasName(candidate)),
      created: apiTime(),
      imageId: image.id,
      imageName: configRequest.Image ?? image.id,
      config,
      hostConfig,
      state: { status: 'created', exitCode: 0, error: '' },
      networks,
      ports: {},
      mounts,
      restartCount: 0,
      manuallyStopped: false,
    };
    const container = parts.registry.add(record, () => {
      undo = parts.snapshots.prepare(id, image.chainId);
    });
    publish(parts, container, 'create');
  } catch (error) {
    undo();
    rmSync(directory, { recursive: true, force: true });
    for (const volume of parts.volumes.list(new Map())) if (!before.has(volume.name)) parts.volumes.remove(volume.name);
    throw error;
  }
  return id;
}

/** The client's configuration with the image's filling the gaps, by Docker's rules (runconfig merge). */
export function mergeImage(request: ContainerConfig, image: Image): ContainerConfig {
  const defaults = image.config.config ?? {};
  const config: ContainerConfig = { ...request, Env: mergeEnv(defaults.Env ?? [], request.Env ?? []) };
  config.User ||= defaults.User ?? '';
  config.WorkingDir ||= defaults.WorkingDir ?? '';
  config.StopSignal ||= defaults.StopSignal;
  config.StopTimeout ??= defaults.StopTimeout;
  config.ExposedPorts = { ...defaults.ExposedPorts, ...request.ExposedPorts };
  config.Volumes = { ...defaults.Volumes, ...request.Volumes };
  config.Labels = { ...defaults.Labels, ...request.Labels };
  config.Shell ??= defaults.Shell ? [...defaults.Shell] : undefined;
  if (!request.Entrypoint?.length && !isReset(request.Entrypoint)) {
    // The image's arguments belong to the image's entrypoint.
    if (!request.Cmd?.length) config.Cmd = defaults.Cmd ? [...defaults.Cmd] : request.Cmd;
    config.Entrypoint = defaults.Entrypoint ? [...defaults.Entrypoint] : request.Entrypoint;
  } else if (isReset(request.Entrypoint)) config.Entrypoint = [];
  config.Healthcheck = mergeHealth(request, defaults.Healthcheck);
  return config;
}

/** `--entrypoint ""`: no entrypoint at all, not even the image's. */
const isReset = (entrypoint: ContainerConfig['Entrypoint']): boolean =>
  entrypoint?.length === 1 && entrypoint[0] === '';

function mergeEnv(base: readonly string[], own: readonly string[]): string[] {
  const names = new Set(own.map((entry) => entry.split('=')[0]));
  return [...base.filter((entry) => !names.has(entry.split('=')[0])), ...own];
}

function mergeHealth(
  request: ContainerConfig,
  defaults: NonNullable<Image['config']['config']>['Healthcheck'],
): ContainerConfig['Healthcheck'] {
  const own = request.Healthcheck;
  if (!defaults) return own;
  const base = { ...defaults, Test: defaults.Test ? [...defaults.Test] : undefined };
  if (!own) return base;
  return {
    Test: own.Test?.length ? own.Test : base.Test,
    Interval: own.Interval || base.Interval,
    Timeout: own.Timeout || base.Timeout,
    StartPeriod: own.StartPeriod || base.StartPeriod,
    StartInterval: own.StartInterval || base.StartInterval,
    Retries: own.Retries || base.Retries,
  };
}

/** Defaults that inspect shows, as dockerd fills them in. */
function normalizeHost(parts: ContainerParts, host: HostConfig): HostConfig {
  const mode = host.NetworkMode === 'default' || !host.NetworkMode ? 'bridge' : host.NetworkMode;
  return {
    ...withDefaults(host, parts.settings.defaults),
    NetworkMode: mode.startsWith('container:') ? `container:${parts.registry.get(mode.slice(10)).id}` : mode,
    RestartPolicy: {
      Name: host.RestartPolicy?.Name || 'no',
      MaximumRetryCount: host.RestartPolicy?.MaximumRetryCount ?? 0,
    },
    Runtime: host.Runtime || parts.runtime.defaultName,
  };
}
