/** Other processes by their number, safely: a number alone may have been given to somebody else meanwhile. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

export interface ProcessId {
  pid: number;
  /** when it started, in the kernel's own unit; undefined where the system doesn't tell cheaply */
  startTime: string | undefined;
}

export function processId(pid: number): ProcessId {
  return { pid, startTime: procStat(pid)?.startTime };
}

/** Is this very process still running? A zombie that nobody has waited for is not. */
export function isAlive(process_: ProcessId): boolean {
  if (process.platform === 'linux') {
    const now = procStat(process_.pid);
    return now !== undefined && now.state !== 'Z' && (!process_.startTime || now.startTime === process_.startTime);
  }
  return responds(process_.pid);
}

/** Resolves with whether it has ended within `limitMs`. */
export async function waitForExit(process_: ProcessId, limitMs: number, signal?: AbortSignal): Promise<boolean> {
  const end = Date.now() + limitMs;
  while (isAlive(process_)) {
    if (Date.now() > end || signal?.aborted) return false;
    await sleep(20);
  }
  return true;
}

export function killProcess(process_: ProcessId, signal: 'SIGTERM' | 'SIGKILL'): void {
  if (!isAlive(process_)) return;
  try {
    process.kill(process_.pid, signal);
  } catch {
    // it ended in between
  }
}

function responds(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** proc(5): the fields after the name, which is in parentheses and may contain anything. */
function procStat(pid: number): { state: string; startTime: string } | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return { state: fields[0] ?? '', startTime: fields[19] ?? '' };
  } catch {
    return undefined;
  }
}
