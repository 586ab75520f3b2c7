import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { dockerCli } from '../scripts/setup.mjs';

/**
 * `node bench/folders.ts`: a bind mount of a shared folder in a container of the real VM, beside the same folder in the VM itself (raw
 * 9p, or sshfs with SKIFF_FOLDERS=sftp) and on this computer. BENCH_MEGABYTES, BENCH_FILES and BENCH_ROUNDS set the size.
 */
const MEGABYTES = Number(process.env.BENCH_MEGABYTES ?? 200);
const FILES = Number(process.env.BENCH_FILES ?? 3_000);
const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 3);
const root = join(import.meta.dirname, '..');
const scratch = mkdtempSync(join(tmpdir(), 'skiff-bench-folders-'));
const [home, shared] = [join(scratch, 'home'), join(scratch, 'shared')];

const docker = (...args: string[]) =>
  execFileSync(dockerCli(), ['-H', `unix://${join(home, 'docker.sock')}`, ...args], { encoding: 'utf8' }).trim();

/** Each is a shell line that works in its folder. */
const CASES: readonly (readonly [name: string, line: string])[] = [
  [`write ${MEGABYTES} MB`, `dd if=/dev/zero of=big bs=1M count=${MEGABYTES} conv=fsync 2>/dev/null`],
  [`read ${MEGABYTES} MB`, 'dd if=big of=/dev/null bs=1M 2>/dev/null'],
  [`make ${FILES} files`, `mkdir many; i=0; while [ $i -lt ${FILES} ]; do : >many/$i; i=$((i + 1)); done`],
  [`stat ${FILES} files`, 'ls -l many >/dev/null'],
  [`remove ${FILES} files`, 'rm -r many'],
];

/** Prints the seconds that each line took, by /proc/uptime: there are no nanoseconds in busybox's date. */
const script = (folder: string): string => {
  const now = 'read -r a _ </proc/uptime';
  const lines = CASES.map(([, line]) => `${now}; ${line}; b=$a; ${now}; echo "$a $b"`);
  return [`mkdir -p ${folder}`, `cd ${folder}`, ...lines, 'rm big'].join('\n');
};

const secondsOf = (printed: string): number[] =>
  printed.split('\n').map((line) => {
    const [end = 0, start = 0] = line.split(' ').map(Number);
    return end - start;
  });
const median = (values: number[]): number => values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

async function startApp(): Promise<ChildProcess> {
  mkdirSync(home);
  mkdirSync(shared);
  writeFileSync(join(home, 'settings.json'), JSON.stringify({ sharedFolders: [shared] }));
  const app = spawn(process.execPath, ['scripts/start.mjs', '--headless'], {
    cwd: root,
    env: { ...process.env, SKIFF_HOME: home },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await new Promise<void>((resolve, reject) => {
    let printed = '';
    app.stdout?.on('data', (chunk) => {
      printed += chunk;
      if (printed.includes('Ready.')) resolve();
    });
    app.once('exit', (code) => reject(new Error(`the app ended with ${code}:\n${printed}`)));
  });
  return app;
}

const app = await startApp();
try {
  docker(
    'run',
    '-d',
    '--stop-signal',
    'KILL',
    '--name',
    'in',
    '-v',
    `${shared}:/app`,
    'skiff/welcome',
    'sleep',
    '100000',
  );
  docker(
    ...['run', '-d', '--stop-signal', 'KILL', '--name', 'vm', '--privileged', '-v', '/run/skiff/folders/0:/raw'],
    'skiff/welcome',
    'sleep',
    '100000',
  );
  const places: readonly (readonly [string, () => string])[] = [
    ['container', () => docker('exec', 'in', 'sh', '-c', script('/app/in'))],
    ['VM', () => docker('exec', 'vm', 'sh', '-c', script('/raw/vm'))],
    ['computer', () => execFileSync('sh', ['-c', script(join(shared, 'here'))], { encoding: 'utf8' }).trim()],
  ];
  const times = places.map(() => CASES.map((): number[] => []));
  for (let round = 0; round < ROUNDS; round++) {
    for (const [place, [, measure]] of places.entries()) {
      for (const [index, seconds] of secondsOf(measure()).entries()) times[place]![index]!.push(seconds);
    }
  }
  console.log(`medians of ${ROUNDS}, seconds`);
  for (const [index, [name]] of CASES.entries()) {
    const row = places.map(([place], at) => `${place} ${median(times[at]![index]!).toFixed(2).padStart(6)}`);
    const ratio = median(times[0]![index]!) / median(times[1]![index]!);
    console.log(`${name.padEnd(20)} ${row.join('   ')}   container to VM ${ratio.toFixed(2)}`);
  }
} finally {
  const ended = new Promise((resolve) => app.once('exit', resolve));
  app.kill('SIGTERM');
  await ended;
  rmSync(scratch, { recursive: true, force: true });
}
