import { invalidParameter } from '../../errors.ts';
import type { PortMap } from '../../model/container.ts';
import { humanDuration } from '../clock.ts';
import { checkFilters, type Filters, matchesLabels } from '../filters.ts';
import type { Container } from './container.ts';
import type { HealthState } from './health.ts';
import { endpointView, mountView } from './inspect.ts';
import type { ContainerParts } from './parts.ts';
import { type ContainerRecord, commandOf, isRunning } from './record.ts';

const FILTERS = `ancestor before exited expose health id is-task isolation label name network publish since status volume`;
const STATUSES = ['created', 'restarting', 'running', 'removing', 'paused', 'exited', 'dead'];

export interface ListOptions {
  readonly all: boolean;
  readonly limit: number | undefined;
  readonly filters: Filters;
  readonly health: (container: Container) => HealthState | undefined;
}

const statusOf = (record: ContainerRecord): string =>
  record.state.status === 'running' && record.state.paused ? 'paused' : record.state.status;

/** "Up 5 minutes (healthy)", "Exited (0) 2 hours ago" — as the CLI prints. */
export function statusText(record: ContainerRecord, health: HealthState | undefined): string {
  const { state } = record;
  const ago = (time: string): string => humanDuration(Date.now() - Date.parse(time));
  switch (state.status) {
    case 'created':
      return 'Created';
    case 'dead':
      return 'Dead';
    case 'restarting':
      return `Restarting (${state.exitCode}) ${ago(state.finishedAt)} ago`;
    case 'exited':
      return `Exited (${state.exitCode}) ${ago(state.finishedAt)} ago`;
    case 'running': {
      const up = `Up ${ago(state.startedAt)}`;
      if (state.paused) return `${up} (Paused)`;
      if (!health) return up;
      return `${up} (${health.Status === 'starting' ? 'health: starting' : health.Status})`;
    }
  }
}

/** swagger: Port[] */
function portList(record: ContainerRecord): object[] {
  if (record.state.status !== 'running') return [];
  const list: { IP?: string; PrivatePort: number; PublicPort?: number; Type: string }[] = [];
  const published: PortMap = record.ports;
  for (const name of new Set([...Object.keys(record.config.ExposedPorts ?? {}), ...Object.keys(published)])) {
    const [port = '', Type = 'tcp'] = name.split('/');
    const bindings = published[name] ?? [];
    if (bindings.length === 0) list.push({ PrivatePort: Number(port), Type });
    for (const { HostIp = '0.0.0.0', HostPort = '0' } of bindings) {
      list.push({ IP: HostIp, PrivatePort: Number(port), PublicPort: Number(HostPort), Type });
    }
  }
  return list;
}

/** GET /containers/json, newest first. */
export function listContainers(parts: ContainerParts, options: ListOptions): Container[] {
  const { filters } = options;
  checkFilters(filters, FILTERS.split(' '));
  for (const status of filters.get('status') ?? []) {
    if (!STATUSES.includes(status)) throw invalidParameter(`invalid filter 'status=${status}'`);
  }
  // Filters that speak of containers that don't run imply them.
  const all = options.all || filters.has('status') || filters.has('exited') || options.limit !== undefined;
  const created = (container: Container): string => container.record.created;
  const newest = parts.registry.all().sort((a, b) => created(b).localeCompare(created(a)));
  const before = filters.get('before')?.map((name) => created(parts.registry.get(name)));
  const since = filters.get('since')?.map((name) => created(parts.registry.get(name)));
  const matching = newest.filter(
    (container) =>
      (all || isRunning(container.record)) &&
      (!before || before.some((time) => created(container) < time)) &&
      (!since || since.some((time) => created(container) > time)) &&
      matches(parts, container, options),
  );
  return options.limit && options.limit > 0 ? matching.slice(0, options.limit) : matching;
}

function matches(parts: ContainerParts, container: Container, options: ListOptions): boolean {
  const { record } = container;
  const any = (name: string, test: (value: string) => boolean): boolean =>
    !options.filters.has(name) || options.filters.get(name)!.some(test);
  return (
    any('id', (value) => record.id.startsWith(value)) &&
    any('name', (value) => nameMatches(record.name, value)) &&
    any('status', (value) => statusOf(record) === value) &&
    any('exited', (value) => record.state.status === 'exited' && record.state.exitCode === Number(value)) &&
    any('health', (value) => (options.health(container)?.Status ?? 'none') === value) &&
    any('network', (value) =>
      Object.entries(record.networks).some(([n, e]) => n === value || e.networkId.startsWith(value)),
    ) &&
    any('volume', (value) => record.mounts.some((mount) => mount.name === value || mount.destination === value)) &&
    any('publish', (value) => hasPort(Object.keys(record.ports), value) || hasPublic(record, value)) &&
    any('expose', (value) => hasPort(Object.keys(record.config.ExposedPorts ?? {}), value)) &&
    any('ancestor', (value) => isAncestor(parts, record, value)) &&
    matchesLabels(options.filters, record.config.Labels ?? {})
  );
}

function nameMatches(name: string, pattern: string): boolean {
  try {
    return new RegExp(pattern).test(name) || new RegExp(pattern).test(`/${name}`);
  } catch {
    return name.includes(pattern);
  }
}

function hasPort(names: readonly string[], wanted: string): boolean {
  const [range = '', protocol = 'tcp'] = wanted.split('/');
  const [first = 0, last = first] = range.split('-').map(Number);
  return names.some((name) => {
    const [port = '', type = 'tcp'] = name.split('/');
    return type === protocol && Number(port) >= first && Number(port) <= last;
  });
}

function hasPublic(record: ContainerRecord, wanted: string): boolean {
  const names = Object.entries(record.ports).flatMap(([name, bindings]) =>
    (bindings ?? []).map((binding) => `${binding.HostPort}/${name.split('/')[1]}`),
  );
  return hasPort(names, wanted);
}

function isAncestor(parts: ContainerParts, record: ContainerRecord, name: string): boolean {
  try {
    const image = parts.images.get(name);
    if (image.id === record.imageId) return true;
    const own = parts.images.get(record.imageId).config.rootfs?.diff_ids ?? [];
    const base = image.config.rootfs?.diff_ids ?? [];
    return base.length > 0 && base.every((diffId, index) => own[index] === diffId);
  } catch {
    return false;
  }
}

/** swagger: ContainerSummary */
export function summaryView(
  parts: ContainerParts,
  container: Container,
  health: HealthState | undefined,
  size?: { readonly rw: number; readonly rootFs: number },
): object {
  const { record } = container;
  return {
    Id: record.id,
    Names: [`/${record.name}`],
    Image: imageLabel(parts, record),
    ImageID: record.imageId,
    Command: commandOf(record.config)
      .map((word) => (/[\s'"$]/.test(word) ? `'${word.replaceAll("'", "'\\''")}'` : word))
      .join(' '),
    Created: Math.floor(Date.parse(record.created) / 1000),
    Ports: portList(record),
    ...(size ? { SizeRw: size.rw, SizeRootFs: size.rootFs } : {}),
    Labels: record.config.Labels ?? {},
    State: statusOf(record),
    Status: statusText(record, health),
    HostConfig: { NetworkMode: record.hostConfig.NetworkMode ?? 'bridge', ...annotations(record) },
    NetworkSettings: {
      Networks: Object.fromEntries(
        Object.entries(record.networks).map(([name, endpoint]) => [name, endpointView(record, endpoint, name)]),
      ),
    },
    Mounts: record.mounts.filter((mount) => mount.type !== 'tmpfs' || !mount.mode).map(mountView),
  };
}

const annotations = (record: ContainerRecord): object =>
  record.hostConfig.Annotations ? { Annotations: record.hostConfig.Annotations } : {};

/** The name the container was made from, while that name still means the same image. */
function imageLabel(parts: ContainerParts, record: ContainerRecord): string {
  try {
    return parts.images.get(record.imageName).id === record.imageId ? record.imageName : record.imageId;
  } catch {
    return record.imageId;
  }
}
