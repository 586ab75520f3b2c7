import { existsSync, mkdirSync } from 'node:fs';
import { isAbsolute, join, normalize } from 'node:path';

import { conflict, invalidParameter } from '../../errors.ts';
import type { ContainerConfig, HostConfig, MountRequest } from '../../model/container.ts';
import type { OciMount } from '../../runtime/spec.ts';
import type { Volumes } from '../volumes/volumes.ts';
import type { HostFolders } from './host-folders.ts';
import type { MountPoint } from './record.ts';
import type { ContainerRegistry } from './registry.ts';

const PROPAGATIONS = ['private', 'rprivate', 'shared', 'rshared', 'slave', 'rslave'];
const BIND_OPTIONS = [
  'ro',
  'rw',
  'z',
  'Z',
  'nocopy',
  'bind',
  'rbind',
  'consistent',
  'cached',
  'delegated',
  ...PROPAGATIONS,
];

const cleanTarget = (path: string): string => {
  const clean = normalize(path);
  return clean.length > 1 ? clean.replace(/\/$/, '') : clean;
};

/** `-v source:target[:options]` (HostConfig.Binds). A source that isn't a path is a volume's name. */
function parseBind(text: string, volumes: Volumes, driver: string): MountPoint {
  const parts = text.split(':');
  if (parts.length < 2 || parts.length > 3 || parts.some((part) => part === '')) {
    throw invalidParameter(`invalid volume specification: '${text}'`);
  }
  const [source = '', target = '', mode = ''] = parts;
  if (!isAbsolute(target)) {
    throw invalidParameter(
      `invalid volume specification: '${text}': invalid mount config for type "${isAbsolute(source) ? 'bind' : 'volume'}": invalid mount path: '${target}' mount path must be absolute`,
    );
  }
  if (cleanTarget(target) === '/') {
    throw invalidParameter(`invalid volume specification: '${text}': invalid specification: destination can't be '/'`);
  }
  const options = mode.split(',').filter(Boolean);
  for (const option of options) if (!BIND_OPTIONS.includes(option)) throw invalidParameter(`invalid mode: ${mode}`);
  const rw = !options.includes('ro');
  const propagation = options.find((option) => PROPAGATIONS.includes(option)) ?? '';
  const destination = cleanTarget(target);
  if (isAbsolute(source)) {
    return { type: 'bind', source, destination, mode, rw, propagation: propagation || 'rprivate', recursive: true };
  }
  const volume = volumes.create({ Name: source, Driver: driver || undefined });
  return {
    type: 'volume',
    name: volume.name,
    source: volumes.mountpointOf(volume.name),
    destination,
    driver: volume.driver,
    mode: mode || 'z',
    rw,
    propagation,
    noCopy: options.includes('nocopy'),
  };
}

const bad = (type: string, reason: string) => invalidParameter(`invalid mount config for type "${type}": ${reason}`);

/** `--mount` (HostConfig.Mounts). */
function parseMount(request: MountRequest, volumes: Volumes, folders: HostFolders): MountPoint {
  const type = request.Type ?? '';
  const target = request.Target ?? '';
  if (!['bind', 'volume', 'tmpfs'].includes(type))
    throw invalidParameter(`mount type unknown: ${JSON.stringify(type)}`);
  if (!target) throw bad(type, 'field Target must not be empty');
  if (!isAbsolute(target)) throw bad(type, `invalid mount path: '${target}' mount path must be absolute`);
  if (cleanTarget(target) === '/') throw bad(type, "invalid specification: destination can't be '/'");
  const common = { destination: cleanTarget(target), mode: '', rw: !request.ReadOnly };
  if (type === 'tmpfs') {
    if (request.Source) throw bad(type, 'field Source must not be specified');
    return { ...common, type, source: '', propagation: '', options: tmpfsOptions(request) };
  }
  if (type === 'bind') {
    const source = request.Source ?? '';
    if (!source) throw bad(type, 'field Source must not be empty');
    if (!isAbsolute(source)) throw bad(type, `invalid mount path: '${source}' mount path must be absolute`);
    const located = folders.locate(source);
    if (!existsSync(located)) {
      if (!request.BindOptions?.CreateMountpoint) throw bad(type, `bind source path does not exist: ${source}`);
      mkdirSync(located, { recursive: true });
    }
    const propagation = request.BindOptions?.Propagation || 'rprivate';
    if (!PROPAGATIONS.includes(propagation)) throw bad(type, `invalid propagation mode: ${propagation}`);
    return { ...common, type, source, propagation, recursive: !request.BindOptions?.NonRecursive };
  }
  const volume = volumes.create({
    Name: request.Source || undefined,
    Driver: request.VolumeOptions?.DriverConfig?.Name,
    DriverOpts: request.VolumeOptions?.DriverConfig?.Options,
    Labels: request.VolumeOptions?.Labels,
  });
  return {
    ...common,
    type: 'volume',
    mode: 'z',
    name: volume.name,
    source: volumes.mountpointOf(volume.name),
    driver: volume.driver,
    propagation: '',
    noCopy: request.VolumeOptions?.NoCopy,
    subpath: request.VolumeOptions?.Subpath || undefined,
    anonymous: !request.Source,
  };
}

function tmpfsOptions(request: MountRequest): string[] {
  const options = ['nosuid', 'nodev', 'noexec'];
  if (request.TmpfsOptions?.SizeBytes) options.push(`size=${request.TmpfsOptions.SizeBytes}`);
  if (request.TmpfsOptions?.Mode) options.push(`mode=${request.TmpfsOptions.Mode.toString(8)}`);
  return options;
}

/** `--volumes-from container[:ro|rw]`. */
function inherit(text: string, registry: ContainerRegistry): MountPoint[] {
  const [name = '', mode = ''] = text.split(':');
  if (mode && !/^(ro|rw|z|Z)(,(ro|rw|z|Z))*$/.test(mode)) throw invalidParameter(`invalid mode: ${mode}`);
  const donor = registry.get(name).record;
  const readonly = mode.split(',').includes('ro');
  return donor.mounts
    .filter((mount) => mount.type !== 'tmpfs')
    .map((mount) => ({ ...mount, rw: mount.rw && !readonly, anonymous: false }));
}

/** All mounts of a new container; anonymous volumes are made for image volumes that nothing else covers. */
export function resolveMounts(
  config: ContainerConfig,
  host: HostConfig,
  parts: { readonly volumes: Volumes; readonly registry: ContainerRegistry; readonly folders: HostFolders },
): MountPoint[] {
  const { volumes, registry, folders } = parts;
  const found = new Map<string, MountPoint>();
  for (const text of host.VolumesFrom ?? []) {
    for (const mount of inherit(text, registry)) found.set(mount.destination, mount);
  }
  const explicit = new Set<string>();
  const put = (mount: MountPoint): void => {
    if (explicit.has(mount.destination)) throw invalidParameter(`Duplicate mount point: ${mount.destination}`);
    explicit.add(mount.destination);
    found.set(mount.destination, mount);
  };
  for (const text of host.Binds ?? []) put(parseBind(text, volumes, host.VolumeDriver ?? ''));
  for (const request of host.Mounts ?? []) put(parseMount(request, volumes, folders));
  for (const [target, options] of Object.entries(host.Tmpfs ?? {})) {
    if (!isAbsolute(target)) throw invalidParameter(`invalid mount path: '${target}' mount path must be absolute`);
    const given = options.split(',').filter(Boolean);
    const defaults = ['nosuid', 'nodev', 'noexec'].filter((option) => !given.includes(option.replace('no', '')));
    put({
      type: 'tmpfs',
      source: '',
      destination: cleanTarget(target),
      mode: options,
      rw: !given.includes('ro'),
      propagation: '',
      options: [...defaults, ...given],
    });
  }
  for (const target of Object.keys(config.Volumes ?? {})) {
    const destination = cleanTarget(target);
    if (found.has(destination)) continue;
    if (destination === '/') throw conflict("invalid volume specification: '/': destination can't be '/'");
    const volume = volumes.create({});
    found.set(destination, {
      type: 'volume',
      name: volume.name,
      source: volumes.mountpointOf(volume.name),
      destination,
      driver: volume.driver,
      mode: '',
      rw: true,
      propagation: '',
      anonymous: true,
    });
  }
  return [...found.values()];
}

const depth = (path: string): number => path.split('/').length;

/** Mounts as the OCI runtime takes them, outermost first. Makes missing sources of `-v`, as Docker does. */
export function ociMounts(mounts: readonly MountPoint[], folders: HostFolders): OciMount[] {
  return [...mounts].sort((a, b) => depth(a.destination) - depth(b.destination)).map((mount) => toOci(mount, folders));
}

function toOci(mount: MountPoint, folders: HostFolders): OciMount {
  if (mount.type === 'tmpfs') {
    const options = mount.rw ? [...(mount.options ?? [])] : [...(mount.options ?? []), 'ro'];
    return { destination: mount.destination, type: 'tmpfs', source: 'tmpfs', options };
  }
  const base = mount.type === 'bind' ? folders.locate(mount.source) : mount.source;
  const source = mount.subpath ? join(base, normalize(join('/', mount.subpath))) : base;
  if (mount.type === 'bind' && !existsSync(source)) mkdirSync(source, { recursive: true });
  if (!existsSync(source)) throw invalidParameter(`cannot access path ${source}: no such file or directory`);
  const bind = mount.recursive === false ? 'bind' : 'rbind';
  const options = [bind, mount.rw ? 'rw' : 'ro', mount.propagation || 'rprivate'];
  return { destination: mount.destination, type: 'bind', source, options };
}
