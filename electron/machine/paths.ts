/** Where the machine keeps its files below the app's home folder. */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface MachinePaths {
  dir: string;
  /** holds one line: the folder that the data disk was moved to */
  diskFolder: string;
  /** follows a move of the disk */
  readonly dataDisk: string;
  lock: string;
  /** what we know of the running QEMU, for the next app when this one crashes */
  qemuState: string;
  privateKey: string;
  publicKey: string;
  /** the kernel's console; the engine's and sshd's messages; QEMU's own */
  consoleLog: string;
  engineLog: string;
  qemuLog: string;
  verified: string;
  /** accelerators that did not run the machine */
  brokenAccelerators: string;
  qmp: string;
  control: string;
  /** qmp and control are Windows pipe names as QEMU takes them; `pipeFile` makes what Node connects to */
  pipes: boolean;
}

/** Unix socket paths are limited to 104 bytes on macOS, 108 on Linux. */
const SOCKET_PATH_LIMIT = 100;

export const DISK_NAME = 'data.qcow2';

/** Makes the folder (0700) as well. */
export function machinePaths(home: string, platform: NodeJS.Platform = process.platform): MachinePaths {
  const dir = join(home, 'machine');
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const pipes = platform === 'win32';
  const id = createHash('sha256').update(dir).digest('hex').slice(0, 12);
  let socketDir = dir;
  if (!pipes && Buffer.byteLength(join(dir, 'control.sock')) > SOCKET_PATH_LIMIT) {
    socketDir = join(tmpdir(), `skiff-${id}`);
    mkdirSync(socketDir, { recursive: true, mode: 0o700 });
  }
  const socket = (name: string) => (pipes ? `skiff-${id}-${name}` : join(socketDir, `${name}.sock`));
  const diskFolder = join(dir, 'disk-folder');
  return {
    dir,
    diskFolder,
    get dataDisk() {
      return join(folderIn(diskFolder) ?? dir, DISK_NAME);
    },
    lock: join(dir, 'lock'),
    qemuState: join(dir, 'qemu.json'),
    privateKey: join(dir, 'id_ed25519'),
    publicKey: join(dir, 'id_ed25519.pub'),
    consoleLog: join(dir, 'console.log'),
    engineLog: join(dir, 'engine.log'),
    qemuLog: join(dir, 'qemu.log'),
    verified: join(dir, 'verified.json'),
    brokenAccelerators: join(dir, 'broken-accelerators.json'),
    qmp: socket('qmp'),
    control: socket('control'),
    pipes,
  };
}

function folderIn(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').trim() || undefined;
  } catch {
    return undefined;
  }
}

/** What Node connects to for a path of MachinePaths. */
export function connectPath(path: string, pipes: boolean): string {
  return pipes ? `\\\\.\\pipe\\${path}` : path;
}
