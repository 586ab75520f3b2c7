/** The log files of a machine: the kernel's console, the guest's services, QEMU itself. */
import { closeSync, copyFileSync, fstatSync, openSync, readSync, renameSync, statSync, truncateSync } from 'node:fs';
import type { MachinePaths } from './paths.ts';

const READ_BYTES = 128 * 1024;
/** One older generation is kept beside the log. */
const LIMIT_BYTES = 8 * 1024 * 1024;

/** The last lines of each log: QEMU's few words last; short logs leave their share to the long ones. */
export function tailLogs(paths: MachinePaths, lines: number): string[] {
  const qemu = tailFile(paths.qemuLog, lines).slice(-Math.max(1, Math.floor(lines / 3)));
  const engineAll = tailFile(paths.engineLog, lines);
  const consoleAll = tailFile(paths.consoleLog, lines);
  const room = lines - qemu.length;
  const engine = engineAll.slice(-Math.max(Math.ceil(room / 2), room - consoleAll.length));
  const kernel = lines > qemu.length + engine.length ? consoleAll.slice(-(room - engine.length)) : [];
  return [...kernel, ...engine, ...qemu];
}

export function tailFile(path: string, lines: number): string[] {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch {
    return [];
  }
  try {
    const size = fstatSync(file).size;
    const buffer = Buffer.alloc(Math.min(size, READ_BYTES));
    const read = readSync(file, buffer, 0, buffer.length, size - buffer.length);
    const all = buffer
      .toString('utf8', 0, read)
      .split(/\r*\n/)
      .filter((line) => line.trim() !== '');
    return lines > 0 ? all.slice(-lines) : [];
  } finally {
    closeSync(file);
  }
}

/** Before a start: the last boot's logs become the older generation. */
export function rotateLogs(paths: MachinePaths): void {
  for (const path of [paths.consoleLog, paths.engineLog, paths.qemuLog]) {
    try {
      renameSync(path, `${path}.1`);
    } catch {
      // there was none
    }
  }
}

/** While QEMU writes (it appends): a log that has grown large starts anew. */
export function limitLogs(paths: MachinePaths): void {
  try {
    if (statSync(paths.engineLog).size < LIMIT_BYTES) return;
    copyFileSync(paths.engineLog, `${paths.engineLog}.1`);
    truncateSync(paths.engineLog);
  } catch {
    // no log yet, or no room for a copy of it: next time
  }
}
