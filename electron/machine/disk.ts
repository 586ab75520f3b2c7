/** The data disk: a sparse qcow2 file. The guest formats it, checks it and grows its file system. */
import { execFile } from 'node:child_process';
import { open, rename, rm, stat, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { MachineError } from './types.ts';

const run = promisify(execFile);
export const GIB = 1024 ** 3;
/** With less than this on the host, a start would only run into the wall a little later. */
const NEEDED_BYTES = 256 * 1024 ** 2;

/**
 * Makes the disk when there is none, enlarges one that is smaller than wished (never shrinks).
 * Throws MachineError 'disk-full' or 'disk-failed'.
 */
export async function ensureDisk(
  path: string,
  sizeGb: number,
  qemuImg: string,
  neededBytes: number = NEEDED_BYTES,
): Promise<void> {
  const host = await statfs(dirname(path));
  const free = host.bavail * host.bsize;
  if (free < neededBytes) throw diskFull(path, free);
  try {
    const size = await virtualSize(path);
    if (size === undefined) {
      await rm(`${path}.new`, { force: true });
      await run(qemuImg, ['create', '-q', '-f', 'qcow2', `${path}.new`, `${sizeGb}G`]);
      await rename(`${path}.new`, path);
    } else if (size < sizeGb * GIB) {
      await run(qemuImg, ['resize', '-q', '-f', 'qcow2', path, `${sizeGb}G`]);
    }
  } catch (error) {
    if (/No space left/i.test(String((error as { stderr?: string }).stderr ?? error))) throw diskFull(path, 0, error);
    const detail = String((error as { stderr?: string }).stderr || (error as Error).message).trim();
    throw new MachineError('disk-failed', `The data disk cannot be made ready: ${detail}`, {
      step: 'disk',
      hint: `Look at ${path}: it must be a readable and writable qcow2 file, or not there at all.`,
      cause: error,
    });
  }
}

/** Size as the guest sees it, from the header (docs/interop/qcow2 in QEMU's sources); undefined when there is no file. */
export async function virtualSize(path: string): Promise<number | undefined> {
  const file = await open(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (!file) return undefined;
  try {
    const header = Buffer.alloc(32);
    const { bytesRead } = await file.read(header, 0, 32, 0);
    if (bytesRead < 32 || header.readUInt32BE(0) !== 0x514649fb) throw new Error(`${path} is not a qcow2 file`);
    return Number(header.readBigUInt64BE(24));
  } finally {
    await file.close();
  }
}

/** What the file takes on the host. */
export async function realSize(path: string): Promise<number> {
  const found = await stat(path);
  return Math.min(found.size, found.blocks * 512) || found.size;
}

function diskFull(path: string, free: number, cause?: unknown): MachineError {
  return new MachineError(
    'disk-full',
    `There is no room on the disk that holds ${dirname(path)} (${Math.floor(free / 1e6)} MB are free).`,
    { step: 'disk', hint: 'Free some space there and start again. Nothing in the machine was lost.', cause },
  );
}
