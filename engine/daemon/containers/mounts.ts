import { accessSync, constants, existsSync, mkdirSync } from 'node:fs';
import { isAbsolute, join, normalize } from 'node:path';

import { conflict, hasCode, invalidParameter } from '../../errors.ts';
import type { ContainerConfig, HostConfig, MountRequest } from '../../model/container.ts';
import { resolveInRoot } from '../../runtime/rootfs.ts';
import type { OciMount } from '../../runtime/spec.ts';
import type { Images } from '../images/images.ts';
import type { Volumes } from '../volumes/volumes.ts';
import { type HostFolders, isWindowsPath } from './host-folders.ts';
import type { MountPoint } from './record.ts';
import type { ContainerRegistry } from './registry.ts';

const PROPAGATIONS = ['private', 'rprivate', 'shared', 'rshared', 'slave', 'rslave'];
const cleanTarget = (path: string): string => {
  const clean = normalize(path);
  return clean.length > 1 ? clean.replace(/\/$/, '') : clean;
};

/** Words of a `-v` mode; at most one of each group (moby: linuxValidMountMode). */
const MODES: readonly (readonly string[])[] = [
  ['ro', 'rw'],
  ['z', 'Z'],
  PROPAGATIONS,
  ['nocopy'],
  ['consistent', 'cached', 'delegated', 'default'],
];

function modeWords(mode: string): string[] {
  const words = mode === '' ? [] : mode.split(',');
  const groups = words.map((word) => MODES.find((group) => group.includes(word)));
  if (groups.includes(undefined) || new Set(groups).size < groups.length) {
    throw invalidParameter(`invalid mode: ${mode}`);
  }
  return words;
}

/** `-v source:target[:options]` (HostConfig.Binds). A source that isn't a path is a volume's name. */
function parseBind(text: string, volumes: Volumes, driver: string): MountPoint {
  // A drive's colon is none that separates.
  const parts = text
    .replace(/^([a-z]):(?=[\\/])/i, '$1\0')
    .split(':')
    .map((part) => part.replace('\0', ':'));
  const invalid = (reason: string) => invalidParameter(`invalid volume specification: '${text}'${reason}`);
  if (parts.length < 2 || parts.length > 3 || parts.some((part) => part === '')) throw invalid('');
  const [source = '', target = '', mode = ''] = parts;
  const words = modeWords(mode);
  const type = isAbsolute(source) || isWindowsPath(source) ? 'bind' : 'volume';
  const config = (reason: string) => invalid(`: invalid mount config for type "${type}": ${reason}`);
  if (!isAbsolute(target)) throw config(`invalid mount path: '${target}' mount path must be absolute`);
  if (cleanTarget(target) === '/') throw invalid(": invalid specification: destination can't be '/'");
  const rw = !words.includes('ro');
  const propagation = words.find((word) => PROPAGATIONS.includes(word)) ?? '';
  const noCopy = words.includes('nocopy');
  const destination = cleanTarget(target);
  if (type === 'bind') {
    if (noCopy) throw config('field VolumeOptions must not be specified');
    return { type, source, destination, mode, rw, propagation: propagation || 'rprivate', recursive: true };
  }
  if (propagation) throw config('field BindOptions must not be specified');
  const volume = volumes.create({ Name: source, Driver: driver || undefined });
  return {
    type,
    name: volume.name,
    source: volumes.mountpointOf(volume.name),
    destination,
    driver: volume.driver,
    mode: mode || 'z',
    rw,
    propagation,
    noCopy,
  };
}

const bad = (type: string, reason: string) => invalidParameter(`invalid mount config for type "${type}": ${reason}`);

/** Options that belong to another type of mount (moby: validateMountConfigImpl). */
function checkFields(request: MountRequest, type: string): void {
  for (const [owner, field] of [
    ['bind', 'BindOptions'],
    ['volume', 'VolumeOptions'],
    ['tmpfs', 'TmpfsOptions'],
    ['image', 'ImageOptions'],
  ] as const) {
    if (owner !== type && request[field]) throw bad(type, `field ${field} must not be specified`);
  }
}

interface MountParts {
  readonly volumes: Volumes;
  readonly folders: HostFolders;
  readonly images: Pick<Images, 'get'>;
}

/** `--mount` (HostConfig.Mounts). */
function parseMount(request: MountRequest, { volumes, folders, images }: MountParts): MountPoint {
  const type = request.Type ?? '';
  const target = request.Target ?? '';
  if (type !== 'bind' && type !== 'volume' && type !== 'tmpfs' && type !== 'image') {
    throw bad(type, 'mount type unknown');
  }
  if (!target) throw bad(type, 'field Target must not be empty');
  if (!isAbsolute(target)) throw bad(type, `invalid mount path: '${target}' mount path must be absolute`);
  if (cleanTarget(target) === '/') throw bad(type, "invalid specification: destination can't be '/'");
  checkFields(request, type);
  const common = { destination: cleanTarget(target), mode: '', rw: !request.ReadOnly };
  if (type === 'tmpfs') {
    if (request.Source) throw bad(type, 'field Source must not be specified');
    return { ...common, type, source: '', propagation: '', options: tmpfsOptions(request) };
  }
  if (type === 'image') return { ...common, ...imageMount(request, images) };
  return type === 'bind'
    ? { ...common, ...bindMount(request, folders) }
    : { ...common, ...volumeMount(request, volumes) };
}

function bindMount(request: MountRequest, folders: HostFolders) {
  const type = 'bind' as const;
  const source = request.Source ?? '';
  const options = request.BindOptions ?? {};
  if (!source) throw bad(type, 'field Source must not be empty');
  if (!isAbsolute(source) && !isWindowsPath(source)) {
    throw bad(type, `invalid mount path: '${source}' mount path must be absolute`);
  }
  const propagation = options.Propagation || 'rprivate';
  if (!PROPAGATIONS.includes(propagation)) throw bad(type, `invalid propagation mode: ${propagation}`);
  const { ReadOnlyNonRecursive = false, ReadOnlyForceRecursive = false } = options;
  if ((ReadOnlyNonRecursive || ReadOnlyForceRecursive) && !request.ReadOnly) {
    throw bad(
      type,
      `mount source is not read-only, so ${ReadOnlyNonRecursive ? 'ReadOnlyNonRecursive' : 'ReadOnlyForceRecursive'} can't be set`,
    );
  }
  if (ReadOnlyNonRecursive && ReadOnlyForceRecursive) {
    throw bad(type, 'ReadOnlyForceRecursive must not be set with ReadOnlyNonRecursive');
  }
  const located = folders.locate(source);
  if (!existsSync(located)) {
    if (!options.CreateMountpoint) throw bad(type, `bind source path does not exist: ${source}`);
    mkdirSync(located, { recursive: true });
  }
  return {
    type,
    source,
    propagation,
    recursive: !options.NonRecursive,
    ...(ReadOnlyNonRecursive ? { shallowReadOnly: true } : {}),
  };
}

/** An image's files, never writable. */
function imageMount(request: MountRequest, images: Pick<Images, 'get'>) {
  const type = 'image' as const;
  const name = request.Source ?? '';
  const subpath = request.ImageOptions?.Subpath || undefined;
  if (!name) throw bad(type, 'field Source must not be empty');
  if (subpath) checkSubpath(type, subpath);
  return { type, name, source: '', imageId: images.get(name).id, rw: false, propagation: '', subpath };
}

function checkSubpath(type: string, subpath: string): void {
  if (isAbsolute(subpath) || normalize(subpath).split('/')[0] === '..') {
    throw bad(type, 'subpath must be a relative path within the volume');
  }
}

function volumeMount(request: MountRequest, volumes: Volumes) {
  const type = 'volume' as const;
  const options = request.VolumeOptions ?? {};
  const subpath = options.Subpath || undefined;
  if (!request.Source && request.ReadOnly) throw bad(type, 'must not set ReadOnly mode when using anonymous volumes');
  if (!request.Source && subpath) throw bad(type, 'must not set Subpath when using anonymous volumes');
  if (subpath) checkSubpath(type, subpath);
  const volume = volumes.create({
    Name: request.Source || undefined,
    Driver: options.DriverConfig?.Name,
    DriverOpts: options.DriverConfig?.Options,
    Labels: options.Labels,
  });
  return {
    type,
    mode: 'z',
    name: volume.name,
    source: volumes.mountpointOf(volume.name),
    driver: volume.driver,
    propagation: '',
    noCopy: options.NoCopy,
    subpath,
    anonymous: !request.Source,
  };
}

function tmpfsOptions(request: MountRequest): string[] {
  const { SizeBytes = 0, Mode = 0, Options } = request.TmpfsOptions ?? {};
  const options = ['nosuid', 'nodev', 'noexec'];
  for (const [word = '', value] of Options ?? []) {
    if (word === 'exec') options.splice(options.indexOf('noexec'), 1);
    else if (word !== 'noexec') {
      const shown = value === undefined ? word : `${word}=${value}`;
      throw bad('tmpfs', `invalid option: ${JSON.stringify(shown)}`);
    }
  }
  if (SizeBytes < 0) throw bad('tmpfs', 'size must not be negative');
  if (SizeBytes) options.push(`size=${SizeBytes}`);
  if (Mode) options.push(`mode=${Mode.toString(8)}`);
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
  parts: MountParts & { readonly registry: ContainerRegistry },
): MountPoint[] {
  const { volumes, registry } = parts;
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
  for (const request of host.Mounts ?? []) put(parseMount(request, parts));
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

/** crun would lift the read-only of what is mounted so. */
function isReadOnly(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return false;
  } catch (error) {
    return hasCode(error, 'EROFS');
  }
}

function toOci(mount: MountPoint, folders: HostFolders): OciMount {
  if (mount.type === 'tmpfs') {
    const options = mount.rw ? [...(mount.options ?? [])] : [...(mount.options ?? []), 'ro'];
    return { destination: mount.destination, type: 'tmpfs', source: 'tmpfs', options };
  }
  const base = mount.type === 'bind' ? folders.locate(mount.source) : mount.source;
  if (mount.type === 'bind' && !existsSync(base)) mkdirSync(base, { recursive: true });
  // A symlink in a volume must not lead out of it.
  const source = mount.subpath ? resolveInRoot(base, mount.subpath) : base;
  if (source === undefined || !existsSync(source)) {
    throw invalidParameter(`cannot access path ${join(base, mount.subpath ?? '')}: no such file or directory`);
  }
  const deep = mount.recursive !== false;
  const options = [deep ? 'rbind' : 'bind', mount.propagation || 'rprivate'];
  if (!mount.rw || isReadOnly(source)) options.push('ro');
  // Read-only all the way down, mounts below included, as Docker's since 25.
  if (!mount.rw && deep && !mount.shallowReadOnly) options.push('rro');
  return { destination: mount.destination, type: 'bind', source, options };
}
