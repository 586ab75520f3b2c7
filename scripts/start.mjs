/**
 * `npm start [-- --headless]`: from a fresh clone to a running Skiff. Plain JavaScript for Node 20.19 and later, without
 * dependencies: it installs them. Everything after that runs on the Node that the project pins.
 *
 *   --headless   machine and socket only, no window
 *   --browser    the window in a browser even when Electron is there
 *   --prepare    stop before anything is started
 */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const script = fileURLToPath(import.meta.url);
const root = join(dirname(script), '..');
const KNOWN = ['--headless', '--browser', '--prepare', '--prepared'];
const args = process.argv.slice(2);

const unknown = args.find((arg) => !KNOWN.includes(arg));
if (unknown) {
  console.error(`npm start does not know ${unknown}; it knows ${KNOWN.slice(0, 3).join(', ')}.`);
  process.exit(2);
}

try {
  if (args.includes('--prepared')) await run();
  else await prepare();
} catch (error) {
  // A set-up that can't go on says what to do; anything else is our mistake and shows where.
  console.error(error.name === 'SetupError' ? error.message : error);
  process.exit(1);
}

/** On whatever Node there is: installs what is missing, then goes on with the pinned one. */
async function prepare() {
  const { setup } = await import('./setup.mjs');
  await setup({ nodeModules: true, qemu: true, imageTools: true });
  const pinned = join(root, 'node_modules', '.bin', 'node');
  await handOver(existsSync(pinned) ? pinned : process.execPath, [script, '--prepared', ...args]);
}

/** On the pinned Node: builds, then becomes the app. */
async function run() {
  const say = (line) => console.log(line);
  const { buildIfChanged } = await import('./build.ts');
  await buildIfChanged(say);
  const { ensureVmImage } = await import('../resources/vm/image.ts');
  const image = await ensureVmImage({ log: say });
  process.env.SKIFF_VM_IMAGE = image.dir;
  if (args.includes('--prepare')) return;

  const electron = args.includes('--headless') || args.includes('--browser') ? undefined : electronBinary();
  if (electron) {
    await handOver(electron, [root]);
    return;
  }
  process.argv = [process.argv[0], script, ...(args.includes('--headless') ? [] : ['--web'])];
  await import(pathToFileURL(join(root, 'dist', 'electron', 'host.js')).href);
}

/** Electron's program, when it was downloaded and there is a display for its window. */
function electronBinary() {
  if (process.platform === 'linux' && !process.env.DISPLAY && !process.env.WAYLAND_DISPLAY) return undefined;
  try {
    const dir = join(root, 'node_modules', 'electron');
    const binary = join(dir, 'dist', readFileSync(join(dir, 'path.txt'), 'utf8').trim());
    return existsSync(binary) ? binary : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Runs the rest as a child and ends as it ends. Ctrl-C reaches the child by itself; we only must not leave before it. A signal
 * sent to us alone is passed on.
 */
function handOver(command, commandArgs) {
  const child = spawn(command, commandArgs, { stdio: 'inherit', cwd: process.cwd(), env: process.env });
  process.on('SIGINT', () => {});
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  return new Promise((done, fail) => {
    child.once('error', fail);
    child.once('exit', (code, signal) => {
      process.exitCode = code ?? (signal === 'SIGINT' ? 130 : 1);
      done();
    });
  });
}
