/** Snapshots of the whole data disk, inside the qcow2 file: made and restored in a moment, whatever its size. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { virtualSize } from './disk.ts';
import { type DiskSnapshot, MachineError, type MachineFiles } from './types.ts';

const run = promisify(execFile);
/** qcow2 keeps them in one table that is written whole. */
const MOST = 100;

/** Newest first. */
export async function listSnapshots(files: Pick<MachineFiles, 'dataDisk' | 'qemuImg'>): Promise<DiskSnapshot[]> {
  if ((await virtualSize(files.dataDisk)) === undefined) return [];
  // -U: the list may be asked for while QEMU has the disk.
  const { stdout } = await run(files.qemuImg, ['info', '-U', '--output=json', '-f', 'qcow2', files.dataDisk]);
  const { snapshots = [] } = JSON.parse(stdout) as {
    snapshots?: { name: string; 'date-sec': number; 'date-nsec': number }[];
  };
  return snapshots
    .map((one) => ({ name: one.name, created: one['date-sec'] * 1000 + Math.round(one['date-nsec'] / 1e6) }))
    .sort((a, b) => b.created - a.created);
}

/** Throws MachineError 'refused' for a name that is taken or not allowed. */
export async function createSnapshot(files: MachineFiles, name: string): Promise<void> {
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}$/.test(name)) {
    throw new MachineError('refused', `“${name}” can't be the name of a snapshot.`, {
      hint: 'Letters, digits, dots, dashes and underscores, at most 63, beginning with a letter or a digit.',
    });
  }
  if ((await virtualSize(files.dataDisk)) === undefined) {
    throw new MachineError('refused', 'There is no data disk yet.', { hint: 'Start the machine once.' });
  }
  const present = await listSnapshots(files);
  if (present.some((one) => one.name === name)) {
    throw new MachineError('refused', `There is a snapshot “${name}” already.`);
  }
  if (present.length >= MOST)
    throw new MachineError('refused', `There are ${MOST} snapshots already; remove some first.`);
  await change(files, '-c', name);
}

/** The disk becomes what it was, with its size of then; the snapshot stays. */
export async function restoreSnapshot(files: MachineFiles, name: string): Promise<void> {
  await required(files, name);
  await change(files, '-a', name);
}

export async function removeSnapshot(files: MachineFiles, name: string): Promise<void> {
  await required(files, name);
  await change(files, '-d', name);
}

async function required(files: MachineFiles, name: string): Promise<void> {
  if ((await listSnapshots(files)).some((one) => one.name === name)) return;
  throw new MachineError('refused', `There is no snapshot “${name}”.`);
}

async function change(files: MachineFiles, option: string, name: string): Promise<void> {
  try {
    await run(files.qemuImg, ['snapshot', '-q', option, name, files.dataDisk]);
  } catch (error) {
    const said = String((error as { stderr?: string }).stderr ?? error).trim();
    const full = /No space left/i.test(said);
    throw new MachineError(full ? 'disk-full' : 'disk-failed', `The snapshot could not be changed: ${said}`, {
      cause: error,
    });
  }
}
