import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import type Dockerode from 'dockerode';
import { extract, pack } from 'tar-stream';
import type { Implementation } from '../contract/contract.ts';
import type { VolumeRow } from '../contract/volumes.ts';
import type { EngineLink } from './engine-link.ts';
import { ServiceError } from './errors.ts';
import { counted, writeWhole } from './images-service.ts';
import { hostPath, text, textRecord, volumeName } from './inputs.ts';
import type { TaskRunner } from './tasks.ts';
import { readFile, readFolder, writeFile } from './volume-files.ts';
import { isNoHelper, VolumeHelper } from './volume-helper.ts';

interface FoundVolume {
  Name: string;
  Driver: string;
  CreatedAt?: string;
  Labels: Record<string, string> | null;
  Options: Record<string, string> | null;
  UsageData?: { Size: number };
}

export function volumesServices(link: EngineLink, tasks: TaskRunner): Implementation['volumes'] {
  const { docker, http } = link;
  const up = (signal: AbortSignal) => ({ abortSignal: link.whileUp(signal) });
  const inVolume = <T>(name: unknown, signal: AbortSignal, work: (helper: VolumeHelper) => Promise<T>) =>
    VolumeHelper.with(link, volumeName(name), signal, work);
  /** A helper container would make one that does not exist. */
  const exists = async (name: unknown, signal: AbortSignal) => {
    await http.json('GET', `/volumes/${volumeName(name)}`, { signal: link.whileUp(signal) });
  };
  const create = async (name: string, signal: AbortSignal) => {
    await http.json('POST', '/volumes/create', { json: { Name: name }, signal: link.whileUp(signal) });
  };

  return {
    async list(signal) {
      const [usage, containers] = await Promise.all([
        http.json<{ Volumes: FoundVolume[] | null }>('GET', '/system/df', {
          query: { type: 'volume' },
          signal: link.whileUp(signal),
        }),
        docker.listContainers({ all: true, ...up(signal) }),
      ]);
      return (usage.Volumes ?? []).map((volume) => row(volume, containers));
    },
    async create(wanted, signal) {
      const name = wanted?.name ? volumeName(wanted.name) : '';
      const json = { Name: name, Driver: text(wanted?.driver) || 'local', Labels: textRecord(wanted?.labels) };
      const made = await http.json<{ Name: string }>('POST', '/volumes/create', {
        json,
        signal: link.whileUp(signal),
      });
      return made.Name;
    },
    async remove(name, signal) {
      await docker.getVolume(volumeName(name)).remove(up(signal));
    },
    async prune(options, signal) {
      const filters = JSON.stringify(options?.all === true ? { all: ['true'] } : {});
      const gone = await http.json<{ VolumesDeleted: string[] | null; SpaceReclaimed: number }>(
        'POST',
        '/volumes/prune',
        { query: { filters }, signal: link.whileUp(signal) },
      );
      return { names: gone.VolumesDeleted ?? [], freedBytes: gone.SpaceReclaimed };
    },
    async clone(from, to, signal) {
      const source = volumeName(from);
      const target = volumeName(to);
      await exists(source, signal);
      await mustBeFree(exists(target, signal), target);
      return tasks.run('clone-volume', `${source} → ${target}`, async (job) => {
        await create(target, job.signal);
        await inVolume(source, job.signal, (reader) =>
          inVolume(target, job.signal, async (writer) => {
            const archive = counted(job, await reader.read(''), 0);
            await writer.write('', withoutFirst(archive));
          }),
        );
      });
    },
    async exportTo(name, path, signal) {
      const volume = volumeName(name);
      const file = hostPath(path);
      await exists(volume, signal);
      return tasks.run('export-volume', `${volume} → ${file}`, (job) =>
        inVolume(volume, job.signal, async (helper) => writeWhole(job, withoutFirst(await helper.read('')), file)),
      );
    },
    async importFrom(name, path) {
      const volume = volumeName(name);
      const file = hostPath(path);
      return tasks.run('import-volume', `${file} → ${volume}`, async (job) => {
        const { size } = await stat(file);
        await create(volume, job.signal);
        const raw = counted(job, createReadStream(file), size);
        const zipped = /\.t?gz$/.test(file);
        await inVolume(volume, job.signal, async (helper) => {
          if (!zipped) return helper.write('', raw);
          const plain = createGunzip();
          const unzipped = pipeline(raw, plain);
          await Promise.all([unzipped, helper.write('', plain)]);
        });
      });
    },
    async folder(name, path, signal) {
      await exists(name, signal);
      return inVolume(name, signal, (helper) => readFolder(helper, text(path)));
    },
    async readFile(name, path, signal) {
      await exists(name, signal);
      return inVolume(name, signal, (helper) => readFile(helper, text(path)));
    },
    async writeFile(name, path, content, signal) {
      const body = text(content, 4 * 1024 * 1024);
      await exists(name, signal);
      await inVolume(name, signal, (helper) => writeFile(helper, text(path), body));
    },
  };
}

async function mustBeFree(found: Promise<void>, name: string): Promise<void> {
  const there = await found.then(
    () => true,
    (error: { statusCode?: number }) => {
      if (error.statusCode === 404) return false;
      throw error;
    },
  );
  if (there) throw new ServiceError('conflict', `There is a volume ${name} already.`, 'Choose another name.');
}

/** The archive's names begin with the folder's own, which another volume has not. */
function withoutFirst(archive: NodeJS.ReadableStream) {
  const out = pack();
  const reader = extract();
  reader.on('entry', (header, stream, next) => {
    const name = cut(header.name);
    if (!name) {
      stream.resume();
      stream.on('end', next);
      return;
    }
    const linkname = header.type === 'link' && header.linkname ? cut(header.linkname) : header.linkname;
    // Path and link in PAX records would win over the header's.
    const { path: _, linkpath: __, ...pax } = (header.pax ?? {}) as Record<string, string>;
    const entry = out.entry({ ...header, name, linkname, pax: Object.keys(pax).length > 0 ? pax : undefined }, next);
    stream.pipe(entry);
  });
  reader.on('finish', () => out.finalize());
  pipeline(archive, reader).catch((error: Error) => out.destroy(error));
  return out.pipe(new Transform({ transform: (chunk, _, done) => done(null, chunk) }));
}

function cut(name: string): string {
  const clean = name.replace(/^\.\//, '');
  return clean.slice(clean.indexOf('/') + 1 || clean.length);
}

function row(volume: FoundVolume, containers: Dockerode.ContainerInfo[]): VolumeRow {
  const size = volume.UsageData?.Size ?? -1;
  return {
    name: volume.Name,
    driver: volume.Driver,
    sizeBytes: size >= 0 ? size : undefined,
    createdAt: volume.CreatedAt ? Date.parse(volume.CreatedAt) : 0,
    labels: volume.Labels ?? {},
    options: volume.Options ?? {},
    anonymous: volume.Labels?.['com.docker.volume.anonymous'] !== undefined,
    usedBy: containers
      .filter(isNoHelper)
      .filter((one) => one.Mounts?.some((mount) => mount.Type === 'volume' && mount.Name === volume.Name))
      .map((one) => ({ id: one.Id, name: (one.Names[0] ?? one.Id).replace(/^\//, ''), status: one.State })),
  };
}
