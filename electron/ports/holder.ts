import { execFile } from 'node:child_process';
import { readdir, readFile, readlink } from 'node:fs/promises';
import { promisify } from 'node:util';

/** Which program listens on a TCP port of this computer, e.g. `nginx (pid 123)`; undefined when that can't be told. */
export async function portHolder(
  port: number,
  platform: NodeJS.Platform = process.platform,
): Promise<string | undefined> {
  try {
    if (platform === 'linux') return await holderFromProc(port);
    if (platform === 'darwin') return parseLsof(await outputOf(...lsofCommand(port)));
    if (platform === 'win32') return parseWindows(await outputOf(...windowsCommand(port)));
    return undefined;
  } catch {
    return undefined;
  }
}

/** Own processes only, unless we are root: others' descriptors can't be read. */
async function holderFromProc(port: number): Promise<string | undefined> {
  const inodes = new Set<string>();
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    for (const line of (await readFile(table, 'utf8').catch(() => '')).split('\n').slice(1)) {
      const field = line.trim().split(/\s+/);
      const listening = field[3] === '0A';
      if (listening && field[1]?.endsWith(suffix) && field[9]) inodes.add(`socket:[${field[9]}]`);
    }
  }
  if (inodes.size === 0) return undefined;
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    for (const fd of await readdir(`/proc/${pid}/fd`).catch(() => [])) {
      if (!inodes.has(await readlink(`/proc/${pid}/fd/${fd}`).catch(() => ''))) continue;
      return `${(await readFile(`/proc/${pid}/comm`, 'utf8')).trim()} (pid ${pid})`;
    }
  }
  return undefined;
}

type Command = readonly [program: string, args: readonly string[]];

async function outputOf(program: string, args: readonly string[]): Promise<string> {
  return (await promisify(execFile)(program, args, { windowsHide: true, timeout: 5_000 })).stdout;
}

export const lsofCommand = (port: number): Command => ['lsof', ['-nP', `-iTCP:${port}`, '-sTCP:LISTEN', '-Fpc']];

/** lsof's fields: `p123`, `cnginx`. */
export function parseLsof(text: string): string | undefined {
  const pid = /^p(\d+)/m.exec(text)?.[1];
  const command = /^c(.+)/m.exec(text)?.[1];
  return pid && command ? `${command} (pid ${pid})` : undefined;
}

/** Prints `nginx 123`. */
export const windowsCommand = (port: number): Command => [
  'powershell.exe',
  [
    '-NoProfile',
    '-Command',
    `Get-NetTCPConnection -State Listen -LocalPort ${port} | Select-Object -First 1 | ForEach-Object { "$((Get-Process -Id $_.OwningProcess).ProcessName) $($_.OwningProcess)" }`,
  ],
];

export function parseWindows(text: string): string | undefined {
  const [, name, pid] = /^(\S.*) (\d+)\s*$/m.exec(text) ?? [];
  return name && pid ? `${name} (pid ${pid})` : undefined;
}
