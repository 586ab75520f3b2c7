/** The data disk in another folder. At every moment the name that counts leads to a whole disk. */
import { constants } from 'node:fs';
import { access, link, mkdir, open, rename, rm, stat, statfs, writeFile } from 'node:fs/promises';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { virtualSize } from './disk.ts';
import { DISK_NAME } from './paths.ts';
import { MachineError, type MachineFiles } from './types.ts';

const CHUNK = 1 << 20;

/** Throws MachineError 'refused', 'disk-full' or 'disk-failed'; the disk is where it was then. */
export async function moveDisk(files: MachineFiles, folder: string): Promise<void> {
  if (!isAbsolute(folder)) throw new MachineError('refused', `${folder} is not an absolute path.`);
  const target = resolve(folder);
  const from = files.dataDisk;
  if (target === dirname(from)) return;
  const to = join(target, DISK_NAME);
  try {
    await mkdir(target, { recursive: true, mode: 0o700 });
    await access(target, constants.W_OK);
  } catch (cause) {
    throw new MachineError('refused', `${target} can't be written to.`, { cause });
  }
  if (await stat(to).catch(() => undefined)) {
    throw new MachineError('refused', `${to} exists already.`, {
      hint: 'Choose another folder, or move that file away.',
    });
  }
  const there = (await virtualSize(from)) !== undefined;
  if (there) await copyTo(from, to);
  await point(files, target);
  if (there) await rm(from, { force: true });
}

/** On the same file system a second name, at no cost; else a copy with its holes. */
async function copyTo(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
    return;
  } catch {
    // another file system, or one without links
  }
  const temporary = `${to}.new`;
  try {
    const host = await statfs(dirname(to));
    const { blocks } = await stat(from);
    if (blocks * 512 > host.bavail * host.bsize) {
      throw new MachineError('disk-full', `There is no room for the data disk in ${dirname(to)}.`);
    }
    await sparseCopy(from, temporary);
    await rename(temporary, to);
  } catch (cause) {
    await rm(temporary, { force: true });
    if (cause instanceof MachineError) throw cause;
    throw new MachineError('disk-failed', `The data disk could not be moved: ${(cause as Error).message}`, { cause });
  }
}

async function sparseCopy(from: string, to: string): Promise<void> {
  const source = await open(from, 'r');
  const target = await open(to, 'w', 0o600);
  try {
    const { size } = await source.stat();
    await target.truncate(size);
    const buffer = Buffer.alloc(CHUNK);
    const zeros = Buffer.alloc(CHUNK);
    for (let at = 0; at < size; ) {
      const { bytesRead } = await source.read(buffer, 0, CHUNK, at);
      if (bytesRead === 0) break;
      const part = buffer.subarray(0, bytesRead);
      if (!part.equals(zeros.subarray(0, bytesRead))) await target.write(part, 0, bytesRead, at);
      at += bytesRead;
    }
    await target.sync();
  } finally {
    await source.close();
    await target.close();
  }
}

async function point(files: MachineFiles, folder: string): Promise<void> {
  if (folder === files.dir) return rm(files.diskFolder, { force: true });
  const temporary = `${files.diskFolder}.new`;
  await writeFile(temporary, `${folder}\n`, { mode: 0o600, flush: true });
  await rename(temporary, files.diskFolder);
}
