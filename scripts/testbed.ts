import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { basename, dirname, join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/** The engine's test bed: the VM's root tree, entered by mount namespace and chroot, on this machine's kernel. Root only. */
export interface TestbedOptions {
  /** Folder for everything the engine keeps; what a killed engine left there is taken over. */
  readonly data: string;
  /** Path of the API's unix socket on this machine. */
  readonly socket: string;
  /** The VM image's root, unpacked (VmImage.rootTree). */
  readonly rootTree: string;
  /** Bundled engine (dist/engine). */
  readonly engineDir: string;
  /** A daemon.json on this machine. */
  readonly config?: string;
  /** A network namespace of its own: no bridge or rule of the machine's is touched, no port is reachable from outside. */
  readonly privateNet?: boolean;
  /** More options for skiffd. */
  readonly options?: readonly string[];
  readonly stdio?: 'inherit' | 'pipe';
}

const SCRIPT = join(import.meta.dirname, 'testbed.sh');

/** skiffd as the VM's init starts it, in paths of the root tree. */
const SKIFFD = [
  ...['/usr/bin/node', '--disable-warning=ExperimentalWarning', '/usr/lib/skiff/engine/skiffd.mjs'],
  ...['--data-root', '/var/lib/skiff', '--exec-root', '/run/skiff', '--preload', '/usr/share/skiff/images'],
];

/** The living shim of a data folder: its namespaces are where the engine must go on. */
export function shimPid(data: string): number | undefined {
  const file = join(data, 'run/shim/shim.pid');
  if (!existsSync(file)) return undefined;
  const pid = Number(readFileSync(file, 'utf8'));
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('shim.mjs') ? pid : undefined;
  } catch {
    return undefined;
  }
}

/** Starts skiffd in the test bed; the process is skiffd's own (its pid, its exit). */
export function spawnTestbed(options: TestbedOptions): ChildProcess {
  if (process.getuid?.() !== 0) throw new Error('the test bed needs root: namespaces, mounts and cgroups');
  const data = resolve(options.data);
  const socket = resolve(options.socket);
  mkdirSync(data, { recursive: true });
  const command = [
    ...SKIFFD,
    ...['-H', `unix:///run/host/${basename(socket)}`],
    ...(options.config ? ['--config-file', '/run/host/daemon.json'] : []),
    ...(options.options ?? []),
  ];
  const shim = shimPid(data);
  const fresh = ['unshare', '--mount', '--propagation=private', ...(options.privateNet ? ['--net'] : [])];
  const setUp = ['/bin/sh', SCRIPT, options.rootTree, resolve(options.engineDir), data, dirname(socket)];
  const argv = shim
    ? ['nsenter', `--target=${shim}`, '--mount', '--net', ...command]
    : [...fresh, ...setUp, ...command];
  const [program = '', ...rest] = argv;
  return spawn(program, rest, { stdio: ['ignore', options.stdio ?? 'inherit', options.stdio ?? 'inherit'] });
}

/** Resolves when the engine answers; rejects when it has ended or takes too long. */
export async function whenReady(engine: ChildProcess, socket: string, limitMs = 30_000): Promise<void> {
  const deadline = Date.now() + limitMs;
  for (;;) {
    if (engine.exitCode !== null || engine.signalCode !== null) {
      throw new Error(`skiffd ended with ${engine.signalCode ?? engine.exitCode}`);
    }
    if (await answers(socket)) return;
    if (Date.now() > deadline) throw new Error(`skiffd does not answer on ${socket}`);
    await delay(20);
  }
}

function answers(socket: string): Promise<boolean> {
  return new Promise((done) => {
    const probe = connect(socket);
    probe.once('error', () => done(false));
    probe.once('connect', () => {
      probe.destroy();
      done(true);
    });
  });
}
