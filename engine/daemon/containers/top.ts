import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import { conflict, invalidParameter, systemError } from '../../errors.ts';
import type { Container } from './container.ts';
import { type ContainerParts, publish } from './parts.ts';

const run = promisify(execFile);

/** swagger: ContainerTopResponse */
export interface ProcessTable {
  readonly Titles: readonly string[];
  readonly Processes: readonly (readonly string[])[];
}

/**
 * GET /containers/{id}/top: the machine's `ps`, and of its lines those of the container, as dockerd does.
 * @param psArguments as for ps(1); by default -ef
 */
export async function containerTop(
  parts: ContainerParts,
  container: Container,
  psArguments: string,
): Promise<ProcessTable> {
  const text = psArguments || '-ef';
  refuseRenamedPid(text);
  const { state, hostConfig } = container.record;
  if (state.status === 'restarting') {
    throw conflict(`Container ${container.id} is restarting, wait until the container is running`);
  }
  if (state.status !== 'running') throw conflict(`container ${container.id} is not running`);
  const pids = parts.runtime.pids(container.id, hostConfig.CgroupParent);
  const table = parseTable(await ps(text.split(' '), pids), new Set(pids.map(String)));
  publish(parts, container, 'top');
  return table;
}

/** Another column that calls itself PID would be taken for it: `ps -o uid=PID`. */
function refuseRenamedPid(text: string): void {
  for (const [, name, title] of text.matchAll(/\s+([^\s]*)=\s*(PID[^\s]*)/g)) {
    if (name !== 'pid') throw invalidParameter(`specifying "${name}=${title}" is not allowed`);
  }
}

async function ps(options: readonly string[], pids: readonly number[]): Promise<string> {
  const limits = { maxBuffer: 64 * 1024 * 1024 };
  try {
    return (await run('ps', [...options, `-q${pids.join(',')}`], limits)).stdout;
  } catch {
    // Some options can't be used together with -q: then every process is listed and picked from.
  }
  try {
    return (await run('ps', [...options], limits)).stdout;
  } catch (error) {
    const [reason] = String((error as { stderr?: string }).stderr ?? '').split('\n');
    throw systemError(reason || `ps: ${(error as Error).message}`, error);
  }
}

const fields = (line: string): string[] => line.split(/[\t\n\v\f\r ]+/).filter(Boolean);

function parseTable(output: string, pids: ReadonlySet<string>): ProcessTable {
  const [head = '', ...lines] = output.split('\n');
  const Titles = fields(head);
  const pidColumn = Titles.indexOf('PID');
  if (pidColumn < 0) throw systemError("Couldn't find PID field in ps output");
  const Processes: string[][] = [];
  // A thread's line has - for its process: it belongs to the one above.
  let belongs = false;
  for (const line of lines) {
    const words = fields(line);
    if (words.length === 0) continue;
    const pid = words[pidColumn];
    if (pid === undefined) continue;
    if (pid !== '-') belongs = pids.has(pid);
    if (!belongs) continue;
    Processes.push([...words.slice(0, Titles.length - 1), words.slice(Titles.length - 1).join(' ')]);
  }
  return { Titles, Processes };
}
