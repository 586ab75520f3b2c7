import { createReadStream, createWriteStream } from 'node:fs';
import { rename, rm, stat } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type Dockerode from 'dockerode';
import type { Implementation } from '../contract/contract.ts';
import type { ImageDetail } from '../contract/images.ts';
import type { ProgressLine } from './engine-http.ts';
import type { EngineLink } from './engine-link.ts';
import { hostPath, imageReference, splitReference, text, texts } from './inputs.ts';
import { registryAuth } from './registry-auth.ts';
import { imageRow } from './rows.ts';
import type { Job, TaskRunner } from './tasks.ts';

export function imagesServices(link: EngineLink, tasks: TaskRunner): Implementation['images'] {
  const { docker, http } = link;
  const up = (signal: AbortSignal) => ({ abortSignal: link.whileUp(signal) });
  return {
    async list(signal) {
      const query = { 'shared-size': true };
      const found = await http.json<Dockerode.ImageInfo[]>('GET', '/images/json', {
        query,
        signal: link.whileUp(signal),
      });
      return found.map(imageRow);
    },
    async detail(id, signal) {
      const reference = imageReference(id);
      const call = { signal: link.whileUp(signal) };
      const [rows, inspect, history, containers] = await Promise.all([
        this.list(signal),
        http.json<Dockerode.ImageInspectInfo>('GET', `/images/${reference}/json`, call),
        http.json<HistoryEntry[]>('GET', `/images/${reference}/history`, call),
        docker.listContainers({ all: true, ...up(signal) }),
      ]);
      const row = rows.find((one) => one.id === inspect.Id) ?? imageRow(asRow(inspect));
      return {
        ...row,
        digests: inspect.RepoDigests ?? [],
        os: inspect.Os,
        architecture: inspect.Architecture,
        author: inspect.Author ?? '',
        layers: history.map(layer).reverse(),
        config: inspect.Config as unknown as Record<string, unknown>,
        usedBy: containers
          .filter((one) => one.ImageID === inspect.Id)
          .map((one) => ({ id: one.Id, name: (one.Names[0] ?? one.Id).replace(/^\//, ''), status: one.State })),
      };
    },
    async remove(id, options, signal) {
      await docker.getImage(imageReference(id)).remove({ force: options?.force === true, ...up(signal) });
    },
    async tag(id, reference, signal) {
      const { repository, tag } = splitReference(imageReference(reference));
      await docker.getImage(imageReference(id)).tag({ repo: repository, tag, ...up(signal) });
    },
    async pull(reference, options) {
      const wanted = imageReference(reference);
      const platform = text(options?.platform);
      const { repository, tag } = splitReference(wanted);
      return tasks.run('pull', wanted, async (job) => {
        const headers = await registryAuth(repository);
        const query = { fromImage: repository, tag, platform };
        const signal = link.whileUp(job.signal);
        await follow(job, http.lines('POST', '/images/create', { query, headers, signal }));
      });
    },
    async push(reference) {
      const wanted = imageReference(reference);
      const { repository, tag } = splitReference(wanted);
      return tasks.run('push', wanted, async (job) => {
        // Unlike for a pull, the engine wants the header even when nobody logged in.
        const headers = { 'X-Registry-Auth': 'e30=', ...(await registryAuth(repository)) };
        const signal = link.whileUp(job.signal);
        await follow(job, http.lines('POST', `/images/${repository}/push`, { query: { tag }, headers, signal }));
      });
    },
    async save(references, path) {
      const names = texts(references).map(imageReference);
      const file = hostPath(path);
      return tasks.run('save', `${names.join(', ')} → ${file}`, async (job) => {
        const signal = link.whileUp(job.signal);
        const answer = await http.open('GET', '/images/get', { query: { names }, signal });
        await writeWhole(job, answer, file);
      });
    },
    async load(path) {
      const file = hostPath(path);
      return tasks.run('load', file, async (job) => {
        const { size } = await stat(file);
        const body = counted(job, createReadStream(file), size);
        const signal = link.whileUp(job.signal);
        await follow(job, http.lines('POST', '/images/load', { body, signal }));
      });
    },
    async prune(options) {
      const all = options?.all === true;
      return tasks.run('prune-images', all ? 'unused' : 'dangling', async (job) => {
        const filters = JSON.stringify({ dangling: [String(!all)] });
        const gone = await http.json<{ ImagesDeleted: Record<string, string>[] | null; SpaceReclaimed: number }>(
          'POST',
          '/images/prune',
          { query: { filters }, signal: link.whileUp(job.signal) },
        );
        for (const one of gone.ImagesDeleted ?? []) job.log(`${one.Untagged ?? one.Deleted}\n`);
        job.progress(gone.SpaceReclaimed, gone.SpaceReclaimed);
      });
    },
  };
}

/** Engine's progress lines → the task's parts, status and log. */
async function follow(job: Job, lines: AsyncIterable<ProgressLine>): Promise<void> {
  const last = new Map<string, string>();
  for await (const { id, status = '', stream, progressDetail } of lines) {
    if (stream) job.log(stream);
    if (id && status && !status.startsWith('Pulling from')) {
      const { current = 0, total = 0 } = progressDetail ?? {};
      job.part({ id, status, current, total });
      if (last.get(id) !== status) job.log(`${id}: ${status}\n`);
      last.set(id, status);
    } else if (status) {
      job.status(status);
      job.log(`${status}\n`);
    }
  }
}

/** Under another name until it is whole: a broken archive must not look like one. */
export async function writeWhole(job: Job, source: Readable, file: string): Promise<void> {
  const part = `${file}.part`;
  try {
    await pipeline(counted(job, source, 0), createWriteStream(part, { flags: 'w', mode: 0o644 }), {
      signal: job.signal,
    });
    await rename(part, file);
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
}

export function counted(job: Job, source: Readable, total: number): Readable {
  let bytes = 0;
  source.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    job.progress(bytes, total);
  });
  // Listening to data sets a stream flowing; whoever reads it next decides.
  return source.pause();
}

interface HistoryEntry {
  Created: number;
  CreatedBy: string;
  Size: number;
  Comment: string;
}

function layer(entry: HistoryEntry): ImageDetail['layers'][number] {
  return {
    command: entry.CreatedBy.replace(/^\/bin\/sh -c #\(nop\)\s*/, '').replace(/^\/bin\/sh -c /, 'RUN '),
    sizeBytes: entry.Size,
    createdAt: entry.Created * 1000,
    comment: entry.Comment,
  };
}

/** An image that was asked for by a name the list does not show, e.g. a digest. */
function asRow(inspect: Dockerode.ImageInspectInfo): Dockerode.ImageInfo {
  const { Id, RepoTags, Size } = inspect;
  const Created = Date.parse(inspect.Created) / 1000;
  return { Id, RepoTags, Created, Size, SharedSize: -1, Containers: -1 } as Dockerode.ImageInfo;
}
