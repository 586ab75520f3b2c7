import type Dockerode from 'dockerode';
import type {
  ContainerRow,
  ContainerStatus,
  EngineEvent,
  EngineInfo,
  ImageRow,
  Noun,
  PublishedPort,
} from '../contract/engine.ts';

/** GET /containers/json → the window's rows. Labels are Compose's own (docs.docker.com/compose, "labels"). */
export function containerRow(found: Dockerode.ContainerInfo): ContainerRow {
  const labels = found.Labels ?? {};
  return {
    id: found.Id,
    name: (found.Names?.[0] ?? found.Id.slice(0, 12)).replace(/^\//, ''),
    image: found.Image,
    imageId: found.ImageID,
    command: found.Command,
    status: found.State as ContainerStatus,
    statusText: found.Status,
    createdAt: found.Created * 1000,
    ports: publishedPorts(found.Ports ?? []),
    labels,
    project: labels['com.docker.compose.project'],
    service: labels['com.docker.compose.service'],
  };
}

/** Docker lists an IPv4 and an IPv6 entry for the same published port; people see one. */
function publishedPorts(found: Dockerode.Port[]): PublishedPort[] {
  const byKey = new Map<string, PublishedPort>();
  for (const port of found) {
    const row: PublishedPort = {
      protocol: port.Type as PublishedPort['protocol'],
      containerPort: port.PrivatePort,
      hostPort: port.PublicPort || undefined,
      hostIp: port.IP || undefined,
    };
    const key = `${row.protocol} ${row.containerPort} ${row.hostPort}`;
    if (!byKey.has(key) || byKey.get(key)?.hostIp?.includes(':')) byKey.set(key, row);
  }
  return [...byKey.values()].sort((a, b) => a.containerPort - b.containerPort);
}

/** GET /images/json → the window's rows. */
export function imageRow(found: Dockerode.ImageInfo): ImageRow {
  return {
    id: found.Id,
    tags: (found.RepoTags ?? []).filter((tag) => tag !== '<none>:<none>'),
    createdAt: found.Created * 1000,
    sizeBytes: found.Size,
    uniqueBytes: found.SharedSize >= 0 ? found.Size - found.SharedSize : undefined,
    // The API says -1 when it did not count.
    containers: found.Containers >= 0 ? found.Containers : undefined,
  };
}

const NOUNS: readonly string[] = ['container', 'image', 'network', 'volume', 'builder', 'daemon'] satisfies Noun[];

/** A message of GET /events; undefined for a noun the window does not know. */
export function engineEvent(found: {
  Type?: string;
  Action?: string;
  Actor?: { ID?: string; Attributes?: Record<string, string> };
  time?: number;
  timeNano?: number;
}): EngineEvent | undefined {
  if (!found.Type || !NOUNS.includes(found.Type)) return undefined;
  const attributes = found.Actor?.Attributes ?? {};
  return {
    noun: found.Type as Noun,
    action: found.Action ?? '',
    id: found.Actor?.ID ?? '',
    name: attributes.name,
    attributes,
    time: found.timeNano ? Math.floor(found.timeNano / 1e6) : (found.time ?? 0) * 1000,
  };
}

/** GET /info and GET /version in one. */
export function engineInfo(
  info: Record<string, unknown>,
  version: { Version: string; ApiVersion: string },
): EngineInfo {
  const number = (name: string) => Number(info[name] ?? 0);
  const text = (name: string) => String(info[name] ?? '');
  return {
    name: text('Name'),
    serverVersion: version.Version,
    apiVersion: version.ApiVersion,
    kernel: text('KernelVersion'),
    operatingSystem: text('OperatingSystem'),
    architecture: text('Architecture'),
    cpus: number('NCPU'),
    memoryBytes: number('MemTotal'),
    containers: {
      total: number('Containers'),
      running: number('ContainersRunning'),
      paused: number('ContainersPaused'),
      stopped: number('ContainersStopped'),
    },
    images: number('Images'),
    storageDriver: text('Driver'),
    runtimes: Object.keys((info.Runtimes as object | undefined) ?? {}),
    defaultRuntime: text('DefaultRuntime'),
  };
}
