import type { BuildRow, BuildStep } from '../contract/builds.ts';
import type { Implementation } from '../contract/contract.ts';
import { buildContext } from './build-context.ts';
import type { EngineLink } from './engine-link.ts';
import { ServiceError } from './errors.ts';
import { hostPath, imageReference, text, textRecord, texts } from './inputs.ts';
import type { Job, TaskRunner } from './tasks.ts';

/** GET /skiff/builds, see docs/build.md. */
interface FoundBuild extends Omit<BuildRow, 'startedAt'> {
  startedAt: string;
  log?: string;
}

export function buildsServices(link: EngineLink, tasks: TaskRunner): Implementation['builds'] {
  const { http } = link;
  const cache = async (signal: AbortSignal) => {
    const query = { type: 'build-cache' };
    const call = { query, signal: link.whileUp(signal) };
    const found = await http.json<{ BuildCache: { Size: number; InUse: boolean; Shared: boolean }[] | null }>(
      'GET',
      '/system/df',
      call,
    );
    return found.BuildCache ?? [];
  };
  return {
    async list(signal) {
      // Docker's own engine keeps no history of them.
      const found = await http
        .json<FoundBuild[]>('GET', '/skiff/builds', { signal: link.whileUp(signal) })
        .catch((error: { statusCode?: number }) => {
          if (error.statusCode !== 404) throw error;
          return [];
        });
      return found.map(row).sort((a, b) => b.startedAt - a.startedAt);
    },
    async detail(id, signal) {
      if (typeof id !== 'string' || !/^[\w-]+$/.test(id)) throw new ServiceError('invalid', 'That is not a build.');
      const found = await http.json<FoundBuild>('GET', `/skiff/builds/${id}`, { signal: link.whileUp(signal) });
      return { ...row(found), stepLogs: stepsOf(found.log ?? '', found.error) };
    },
    async start(wish) {
      const folder = hostPath(wish?.folder);
      const dockerfile = text(wish?.dockerfile) || 'Dockerfile';
      if (dockerfile.split('/').includes('..'))
        throw new ServiceError('invalid', 'The Dockerfile must lie in the folder.');
      const tags = texts(wish?.tags).filter(Boolean).map(imageReference);
      const query = {
        dockerfile,
        t: tags,
        buildargs: JSON.stringify(textRecord(wish?.args)),
        target: text(wish?.target),
        platform: text(wish?.platform),
        nocache: wish?.noCache === true,
        pull: wish?.pull === true,
        rm: true,
      };
      return tasks.run('build', tags[0] ?? folder, async (job) => {
        const signal = link.whileUp(job.signal);
        const body = await buildContext(folder, dockerfile, job.signal);
        const headers = { 'Content-Type': 'application/x-tar' };
        for await (const { stream, status } of http.lines('POST', '/build', { query, headers, body, signal })) {
          if (stream) tell(job, stream);
          else if (status) job.status(status);
        }
      });
    },
    async cacheUse(signal) {
      const records = await cache(signal);
      const sum = (some: { Size: number }[]) => some.reduce((bytes, one) => bytes + one.Size, 0);
      return {
        records: records.length,
        sizeBytes: sum(records),
        reclaimableBytes: sum(records.filter((one) => !one.InUse && !one.Shared)),
      };
    },
    async pruneCache(options) {
      const all = options?.all === true;
      return tasks.run('prune-cache', all ? 'all' : 'unused', async (job) => {
        const gone = await http.json<{ CachesDeleted: string[] | null; SpaceReclaimed: number }>(
          'POST',
          '/build/prune',
          { query: { all }, signal: link.whileUp(job.signal) },
        );
        for (const id of gone.CachesDeleted ?? []) job.log(`${id}\n`);
        job.progress(gone.SpaceReclaimed, gone.SpaceReclaimed);
      });
    },
  };
}

const STEP = /^Step (\d+)\/(\d+) : (.*)$/;

function tell(job: Job, stream: string): void {
  job.log(stream);
  const [, number, total, instruction] = STEP.exec(stream.trim()) ?? [];
  if (!instruction) return;
  job.status(instruction);
  job.progress(Number(number) - 1, Number(total));
}

/** The log as the engine streamed it → one piece per instruction. */
export function stepsOf(log: string, error: string): BuildStep[] {
  const steps: BuildStep[] = [];
  for (const line of log.split('\n')) {
    const [, number, total, instruction] = STEP.exec(line) ?? [];
    if (number)
      steps.push({ number: `${number}/${total}`, instruction: instruction ?? '', cached: false, log: '', error: '' });
    const step = steps.at(-1);
    if (!step || number) continue;
    if (line.trim() === '---> Using cache') step.cached = true;
    step.log += `${line}\n`;
  }
  const last = steps.at(-1);
  if (last) last.error = error;
  else if (error) steps.push({ number: '', instruction: '', cached: false, log, error });
  return steps;
}

function row(found: FoundBuild): BuildRow {
  const { id, dockerfile, target, platform, status, durationMs, steps, image, error } = found;
  const startedAt = Date.parse(found.startedAt);
  return {
    id,
    tags: [...found.tags],
    dockerfile,
    target,
    platform,
    status,
    startedAt,
    durationMs,
    steps,
    image,
    error,
  };
}
