import { closeSync, openSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { closeFd, listenForDescriptor, makePipe, takeDescriptor } from '../linux/descriptors.ts';
import { spawnProcess } from '../linux/processes.ts';
import type { RuntimeCommand, StdioOptions } from './protocol.ts';
import type { Reaper } from './reaper.ts';
import { closeEnds, type StdioEnds } from './stdio-hub.ts';

const ENVIRONMENT = ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'];

/** A runtime command that failed; the message is the runtime's own. */
export class RuntimeFailure extends Error {}

export interface Started {
  readonly pid: number;
  readonly ends: StdioEnds;
}

/**
 * Drives the OCI runtime's command line (crun, runc): starts processes detached with their stdio in our hands.
 * The runtime exits at once and its child, the container's process, becomes the shim's (subreaper).
 */
export class OciRuntime {
  readonly #reaper: Reaper;
  readonly #scratch: string;

  /** @param scratch directory for sockets, pid and log files that live for one call */
  constructor(reaper: Reaper, scratch: string) {
    this.#reaper = reaper;
    this.#scratch = scratch;
  }

  /**
   * `run --detach` or `exec --detach`: whatever `args` say, with pid file, console socket and log put in.
   * @param name unique, short: names the scratch files
   */
  async start(
    command: RuntimeCommand,
    name: string,
    args: (options: readonly string[]) => readonly string[],
    stdio: StdioOptions,
  ): Promise<Started> {
    const files = {
      pid: join(this.#scratch, `${name}.pid`),
      log: join(this.#scratch, `${name}.log`),
      console: join(this.#scratch, `${name}.sock`),
    };
    const wiring = stdio.tty ? wireTerminal(files.console) : wirePipes(stdio.stdin);
    let finished = false;
    try {
      const options = ['--detach', '--pid-file', files.pid, ...wiring.options];
      const argv = [...command, '--log', files.log, '--log-format', 'json', ...args(options)];
      const exit = await this.#run(argv, wiring.child);
      if (exit.code !== 0) throw new RuntimeFailure(readFailure(files.log) ?? `${command[0]} exited with ${exit.code}`);
      const ends = wiring.take();
      finished = true;
      return { pid: Number(readFileSync(files.pid, 'utf8')), ends };
    } finally {
      wiring.closeChild();
      if (!finished) wiring.abandon();
      for (const file of Object.values(files)) rmSync(file, { force: true });
    }
  }

  /** Any other command (update, ps, delete …): its exit code and what it printed. */
  async invoke(argv: readonly string[]): Promise<{ code: number; output: string }> {
    const path = join(this.#scratch, `invoke-${process.hrtime.bigint()}.out`);
    const out = openSync(path, 'w', 0o600);
    const nothing = openSync('/dev/null', 'r');
    try {
      const exit = await this.#run(argv, [nothing, out, out]);
      return { code: exit.code, output: readFileSync(path, 'utf8') };
    } finally {
      closeSync(out);
      closeSync(nothing);
      rmSync(path, { force: true });
    }
  }

  #run(argv: readonly string[], stdio: readonly [number, number, number]) {
    return this.#reaper.exitOf(spawnProcess(argv, stdio, ENVIRONMENT));
  }
}

/** Both sides of a process's stdio while the runtime is being called. */
interface Wiring {
  readonly child: [number, number, number];
  readonly options: readonly string[];
  /** Our ends, once the runtime has succeeded. */
  take(): StdioEnds;
  closeChild(): void;
  abandon(): void;
}

function wirePipes(keepStdin: boolean): Wiring {
  const stdin = keepStdin ? makePipe() : undefined;
  const input = stdin ? stdin.read : openSync('/dev/null', 'r');
  const stdout = makePipe();
  const stderr = makePipe();
  const ends: StdioEnds = { tty: false, stdin: stdin?.write, stdout: stdout.read, stderr: stderr.read };
  return {
    child: [input, stdout.write, stderr.write],
    options: [],
    take: () => ends,
    closeChild: () => {
      for (const fd of [input, stdout.write, stderr.write]) closeFd(fd);
    },
    abandon: () => closeEnds(ends),
  };
}

function wireTerminal(socketPath: string): Wiring {
  const listener = listenForDescriptor(socketPath);
  const nothing = openSync('/dev/null', 'r+');
  return {
    child: [nothing, nothing, nothing],
    options: ['--console-socket', socketPath],
    // The runtime has exited, so the descriptor is already waiting in the socket: this doesn't block.
    take: () => ({ tty: true, master: takeDescriptor(listener) }),
    closeChild: () => {
      closeFd(nothing);
      closeFd(listener);
    },
    abandon: () => {},
  };
}

/** The runtime's last error from its JSON log. */
function readFailure(path: string): string | undefined {
  let last: string | undefined;
  try {
    for (const line of readFileSync(path, 'utf8').split('\n')) {
      if (!line) continue;
      const record = JSON.parse(line) as { level?: string; msg?: string };
      if (record.level === 'error' && record.msg) last = record.msg;
    }
  } catch {
    return last;
  }
  return last;
}
