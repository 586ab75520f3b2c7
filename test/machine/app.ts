/** The product as a user has it, for tests: the `skiff` command, the app in the background, docker on its socket. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '../../electron/contract/contract.ts';
import type { Settings } from '../../electron/contract/settings.ts';
import { createClient } from '../../electron/rpc/client.ts';
import { joinHost } from '../../electron/services/join-host.ts';
import { dockerCli } from '../../scripts/setup.mjs';

export interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
}

/** Half an hour off the hours, so that no other can be taken for it. */
const TIME_ZONE = 'Asia/Kolkata';

const main = join(import.meta.dirname, '../../electron/cli/main.ts');

export class RealApp {
  readonly home = mkdtempSync(join(tmpdir(), 'skiff-app-'));

  constructor(settings: Partial<Settings> = {}) {
    const small = { cpus: 2, memoryMb: 1280, diskGb: 6, sharedFolders: [] };
    writeFileSync(join(this.home, 'settings.json'), JSON.stringify({ ...small, ...settings }));
  }

  docker(...args: string[]): Promise<Outcome> {
    return run(dockerCli(), ['-H', `unix://${join(this.home, 'docker.sock')}`, ...args], {}, 180_000);
  }

  skiff(...args: string[]): Promise<Outcome> {
    return run(process.execPath, [main, ...args], { SKIFF_HOME: this.home, TZ: TIME_ZONE }, 300_000);
  }

  /** A command in the guest; its output without the last newline. */
  async guest(command: string): Promise<string> {
    const { stdout, stderr } = await this.skiff('ssh', command);
    return (stdout + stderr).trimEnd();
  }

  async client(): Promise<Client> {
    const host = await joinHost(this.home);
    if (!host) throw new Error('the app does not run');
    return createClient(await host.connect());
  }

  async machineState(): Promise<string> {
    for await (const { machine } of (await this.client()).app.state()) return machine.kind;
    return 'unknown';
  }

  get qemuPid(): number {
    return JSON.parse(readFileSync(join(this.home, 'machine', 'qemu.json'), 'utf8')).pid;
  }

  /** What the app and QEMU wrote, for the report of a failure. */
  logs(): string {
    const read = (name: string) => {
      try {
        return readFileSync(join(this.home, name), 'utf8').slice(-4_000);
      } catch {
        return '';
      }
    };
    return ['app.log', 'machine/qemu.log', 'machine/engine.log', 'machine/console.log'].map(read).join('\n---\n');
  }

  async close(): Promise<void> {
    await this.skiff('stop');
    rmSync(this.home, { recursive: true, force: true });
  }
}

function run(program: string, args: string[], env: NodeJS.ProcessEnv, timeout: number): Promise<Outcome> {
  return new Promise((done) => {
    const options = { timeout, env: { ...process.env, ...env }, maxBuffer: 1 << 26 };
    const child = execFile(program, args, options, (error, stdout, stderr) => {
      done({ code: error ? (typeof error.code === 'number' ? error.code : 255) : 0, stdout, stderr });
    });
    child.stdin?.end();
  });
}

/** Asks until the answer is right; the last one is in the error. */
export async function eventually<T>(ask: () => Promise<T> | T, right: (value: T) => boolean, limitMs = 120_000) {
  const end = Date.now() + limitMs;
  for (;;) {
    const value = await Promise.resolve()
      .then(ask)
      .catch((error: Error) => error);
    if (!(value instanceof Error) && right(value)) return value;
    if (Date.now() > end) throw new Error(`not within ${limitMs / 1000} s; at last: ${String(value)}`);
    await sleep(250);
  }
}
