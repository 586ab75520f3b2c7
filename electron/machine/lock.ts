/** One instance per data disk. QEMU locks the file too, but only on some systems, and without saying who has it. */
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { isAlive, type ProcessId, processId } from './process.ts';
import { MachineError } from './types.ts';

export interface Lock {
  release(): void;
}

/**
 * Takes the lock file, which names this process. One whose process is gone is taken over.
 * Throws MachineError 'in-use' when a living one has it.
 */
export function acquireLock(path: string): Lock {
  const mine = JSON.stringify(processId(process.pid));
  const candidate = `${path}.${process.pid}`;
  writeFileSync(candidate, mine, { mode: 0o600 });
  try {
    for (let attempt = 0; attempt < 10; attempt++) {
      try {
        linkSync(candidate, path); // the one step that only a single process can win
        return { release: () => release(path, mine) };
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
      removeIfStale(path);
    }
    throw new MachineError('in-use', 'The data disk of the machine is in use.', { step: 'disk' });
  } finally {
    rmSync(candidate, { force: true });
  }
}

function removeIfStale(path: string): void {
  const content = read(path);
  if (content === undefined) return;
  const holder = parse(content);
  if (holder && isAlive(holder)) {
    throw new MachineError('in-use', `The machine is in use by another Skiff (process ${holder.pid}).`, {
      step: 'disk',
      hint: 'Use the one that is running, or quit it first.',
    });
  }
  // Moved aside before it is removed: if somebody else took it over meanwhile, we notice and give it back.
  const aside = `${path}.stale-${process.pid}`;
  try {
    renameSync(path, aside);
  } catch {
    return;
  }
  if (read(aside) !== content) {
    try {
      linkSync(aside, path);
    } catch {
      // a third one was faster
    }
  }
  rmSync(aside, { force: true });
}

function release(path: string, mine: string): void {
  if (read(path) === mine) rmSync(path, { force: true });
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

function parse(content: string): ProcessId | undefined {
  try {
    const value = JSON.parse(content) as ProcessId;
    return Number.isInteger(value.pid) ? value : undefined;
  } catch {
    return undefined;
  }
}
