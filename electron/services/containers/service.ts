import type Dockerode from 'dockerode';
import type { FileChange, Inspection } from '../../contract/containers.ts';
import type { Implementation } from '../../contract/contract.ts';
import type { EngineLink } from '../engine-link.ts';
import { ServiceError } from '../errors.ts';
import { containerRow } from '../rows.ts';
import { isNoHelper } from '../volume-helper.ts';
import { createContainer } from './create.ts';
import { listFiles, makeFolder, readFile, removeFile, Uploads } from './files.ts';
import { absolutePath, logRequest, nameOrId } from './input.ts';
import { logStream } from './log-stream.ts';
import { StatsHistory } from './stats-history.ts';
import { Terminals } from './terminals.ts';
import { usageStream } from './usage.ts';

const MOST_USAGES = 200;
const CHANGES: FileChange['kind'][] = ['changed', 'added', 'deleted'];

/** Containers, as the contract offers them. Every input is looked at here. */
export function containerService(link: EngineLink): Implementation['containers'] {
  const { docker } = link;
  const container = (id: string) => docker.getContainer(nameOrId(id));
  const up = (signal: AbortSignal) => ({ abortSignal: link.whileUp(signal) });
  const terminals = new Terminals(docker);
  const uploads = new Uploads(docker);
  const history = new StatsHistory(docker);
  return {
    list: async (signal) =>
      (await docker.listContainers({ all: true, ...up(signal) })).filter(isNoHelper).map(containerRow),
    start: async (id, signal) => unlessDone(container(id).start(up(signal))),
    stop: async (id, signal) => unlessDone(container(id).stop(up(signal))),
    restart: async (id, signal) => unlessDone(container(id).restart(up(signal))),
    pause: async (id, signal) => unlessDone(container(id).pause(up(signal))),
    unpause: async (id, signal) => unlessDone(container(id).unpause(up(signal))),
    kill: async (id, signal) => unlessDone(container(id).kill(up(signal))),
    remove: async (id, options, signal) => {
      await container(id).remove({ force: options?.force === true, v: options?.volumes === true, ...up(signal) });
    },
    create: async (wish, options, signal) => {
      const wanted = { start: options?.start === true, pull: options?.pull === true };
      return createContainer(docker, wish, wanted, link.whileUp(signal));
    },
    inspect: async (id, signal) => inspect(docker, nameOrId(id), link.whileUp(signal)),
    top: async (id, signal) => {
      const { Titles, Processes } = await container(id).top(up(signal));
      return { titles: Titles ?? [], processes: Processes ?? [] };
    },
    changes: async (id, signal) => {
      const found = (await container(id).changes(up(signal))) as { Kind: number; Path: string }[] | null;
      return (found ?? []).map(({ Kind, Path }) => ({ kind: CHANGES[Kind] ?? 'changed', path: Path }));
    },
    logs: (id, request, signal) => logStream(container(id), logRequest(request), link.whileUp(signal)),
    usage: (ids, signal) => {
      if (!Array.isArray(ids)) throw new ServiceError('invalid', 'That is not a list of containers.');
      return usageStream(docker, ids.slice(0, MOST_USAGES).map(nameOrId), link.whileUp(signal));
    },
    stats: (id, signal) => history.read(nameOrId(id), link.whileUp(new AbortController().signal), signal),
    terminal: (id, request, signal) => terminals.open(nameOrId(id), request, link.whileUp(signal)),
    terminalInput: (session, text) => terminals.input(session, text),
    terminalResize: (session, size) => terminals.resize(session, size),
    listFiles: (id, folder, signal) => listFiles(docker, nameOrId(id), absolutePath(folder), link.whileUp(signal)),
    readFile: (id, path, signal) => readFile(docker, nameOrId(id), absolutePath(path), link.whileUp(signal)),
    uploadBegin: async (id, folder, file, signal) => {
      link.whileUp(signal);
      return uploads.begin(nameOrId(id), absolutePath(folder), file);
    },
    uploadPart: (upload, part) => uploads.part(upload, part),
    uploadEnd: (upload) => uploads.end(upload),
    makeFolder: async (id, folder, name, signal) => {
      link.whileUp(signal);
      await makeFolder(docker, nameOrId(id), absolutePath(folder), name);
    },
    removeFile: async (id, path, signal) => {
      link.whileUp(signal);
      await removeFile(docker, nameOrId(id), absolutePath(path));
    },
  };
}

async function inspect(docker: Dockerode, id: string, abortSignal: AbortSignal): Promise<Inspection> {
  const container = await docker.getContainer(id).inspect({ abortSignal });
  const image = await docker
    .getImage(container.Image)
    .inspect({ abortSignal } as object)
    .catch(() => undefined);
  return { container: container as unknown as Record<string, unknown>, image: image as unknown as Inspection['image'] };
}

/** "Already started" is what was wished. */
async function unlessDone(call: Promise<unknown>): Promise<void> {
  try {
    await call;
  } catch (error) {
    if ((error as { statusCode?: number }).statusCode !== 304) throw error;
  }
}
