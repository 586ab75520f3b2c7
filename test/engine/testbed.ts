import type { ChildProcess } from 'node:child_process';
import { execFile, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

import { ensureVmImage } from '../../resources/vm/image.ts';
import { dockerCli } from '../../scripts/setup.mjs';
import { shimPid, spawnTestbed, whenReady } from '../../scripts/testbed.ts';

/** What a command printed and how it ended. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const COMMAND_LIMIT_MS = 30_000;
const ENGINE_DIR = join(import.meta.dirname, '../../dist/engine');

/** The real engine in the test bed, in a network namespace of its own, with the real docker CLI as its client. */
export class Testbed implements AsyncDisposable {
  readonly data = mkdtempSync(join(tmpdir(), 'skiff-engine-'));
  readonly socket = join(this.data, 'sock/docker.sock');
  readonly #options: readonly string[];
  /** What the engine has its data root on. */
  readonly disk = join(this.data, 'lib');
  readonly #smallDisk: boolean;
  #configured = false;
  #engine: ChildProcess | undefined;
  #log = '';

  /**
   * @param options.hosts where it listens besides its socket; its 127.0.0.1 is its own: see inNetwork
   * @param options.diskMegabytes gives it a disk of its own, of that size
   * @param options.engine more options of skiffd's
   */
  constructor(
    options: {
      readonly hosts?: readonly string[];
      readonly engine?: readonly string[];
      readonly diskMegabytes?: number;
    } = {},
  ) {
    this.#options = [...(options.hosts ?? []).flatMap((host) => ['-H', host]), ...(options.engine ?? [])];
    this.#smallDisk = options.diskMegabytes !== undefined;
    if (!this.#smallDisk) return;
    mkdirSync(this.disk);
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${options.diskMegabytes}m,mode=755`, 'skiff-test', this.disk]);
  }

  /** Folder that the engine sees as /run/host. */
  get shared(): string {
    return dirname(this.socket);
  }

  /** Writes daemon.json, for the next start or reload. */
  configure(config: object | string): void {
    this.#configured = true;
    mkdirSync(this.shared, { recursive: true });
    const text = typeof config === 'string' ? config : JSON.stringify(config);
    writeFileSync(join(this.shared, 'daemon.json'), text);
  }

  async start(): Promise<void> {
    const { rootTree } = await ensureVmImage();
    const engine = spawnTestbed({
      data: this.data,
      socket: this.socket,
      rootTree,
      engineDir: ENGINE_DIR,
      privateNet: true,
      stdio: 'pipe',
      ...(this.#configured ? { config: join(this.shared, 'daemon.json') } : {}),
      options: [...this.#options],
    });
    this.#engine = engine;
    for (const output of [engine.stdout, engine.stderr]) output?.on('data', (chunk) => (this.#log += chunk));
    await whenReady(engine, this.socket).catch((error) => {
      throw new Error(`${(error as Error).message}\n${this.#log}`);
    });
  }

  get pid(): number {
    return this.#engine?.pid ?? 0;
  }

  get log(): string {
    return this.#log;
  }

  get shimPid(): number | undefined {
    return shimPid(this.data);
  }

  /** The container's log file, as it lies on disk. */
  logFile(id: string): string {
    return readFileSync(join(this.data, 'lib/containers', id, `${id}-json.log`), 'utf8');
  }

  /** Changes a container's record behind a dead engine's back. */
  editRecord(id: string, change: (record: object) => object): void {
    using db = new DatabaseSync(join(this.data, 'lib/state.db'));
    const row = db.prepare("SELECT body FROM documents WHERE noun = 'container' AND id = ?").get(id);
    const body = JSON.stringify(change(JSON.parse(String(row?.body))));
    db.prepare("UPDATE documents SET body = ? WHERE noun = 'container' AND id = ?").run(body, id);
  }

  /** SIGKILL: containers and shim live on. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** SIGTERM: the engine ends in its own time. */
  async stop(): Promise<void> {
    await this.#end('SIGTERM');
  }

  /** `skiffd fsck` of the data, when no engine uses it. */
  async fsck(...options: string[]): Promise<{ code: number | null; output: string }> {
    const { rootTree } = await ensureVmImage();
    const child = spawnTestbed({
      data: this.data,
      socket: this.socket,
      rootTree,
      engineDir: ENGINE_DIR,
      privateNet: true,
      stdio: 'pipe',
      options: ['fsck', ...options],
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (output += chunk));
    const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
    return { code, output };
  }

  /** Runs a program of this machine's where the engine's addresses are. */
  inNetwork(program: string, args: readonly string[]): Promise<Outcome> {
    return new Promise((resolve) => {
      const command = [`--target=${this.pid}`, '--net', program, ...args];
      execFile('nsenter', command, { timeout: COMMAND_LIMIT_MS }, (error, stdout, stderr) => {
        const code = error ? (typeof error.code === 'number' ? error.code : 255) : 0;
        resolve({ code, stdout, stderr });
      });
    });
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const engine = this.#engine;
    if (!engine || engine.exitCode !== null || engine.signalCode !== null) return;
    const ended = new Promise((resolve) => engine.once('exit', resolve));
    engine.kill(signal);
    await ended;
  }

  /** Runs the docker CLI; never rejects for the command's own failure. */
  docker(args: readonly string[], input?: string): Promise<Outcome> {
    return new Promise((resolve) => {
      const child = execFile(
        dockerCli(),
        ['-H', `unix://${this.socket}`, ...args],
        { timeout: COMMAND_LIMIT_MS, maxBuffer: 64 * 1024 * 1024 },
        (error, stdout, stderr) => {
          const code = error ? (typeof error.code === 'number' ? error.code : 255) : 0;
          resolve({ code, stdout, stderr });
        },
      );
      // A command that has ended reads nothing any more.
      child.stdin?.on('error', () => {});
      child.stdin?.end(input ?? '');
    });
  }

  /** One request of the API, where the docker CLI would hide what is asked for or answered. */
  request(method: string, path: string, body?: unknown): Promise<{ status: number; body: unknown }> {
    return new Promise((resolve, reject) => {
      const headers = body === undefined ? {} : { 'Content-Type': 'application/json' };
      const call = request({ socketPath: this.socket, method, path: `/v1.51${path}`, headers }, async (response) => {
        let text = '';
        for await (const chunk of response.setEncoding('utf8')) text += chunk;
        resolve({ status: response.statusCode ?? 0, body: text ? JSON.parse(text) : undefined });
      });
      call.on('error', reject);
      call.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }

  /** As docker(), on a terminal (script(1) makes one). */
  onTerminal(args: readonly string[]): Promise<Outcome> {
    const line = [dockerCli(), '-H', `unix://${this.socket}`, ...args].map((word) => `'${word}'`).join(' ');
    return new Promise((resolve) => {
      const child = spawn('script', ['-qec', line, '/dev/null'], { timeout: COMMAND_LIMIT_MS });
      let stdout = '';
      child.stdout.on('data', (chunk) => (stdout += chunk));
      child.on('close', (code) => resolve({ code: code ?? 255, stdout, stderr: '' }));
    });
  }

  /** What must succeed: its output, trimmed. */
  async ok(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.docker(args);
    if (code !== 0) throw new Error(`docker ${args.join(' ')} exited with ${code}: ${stderr}\n${this.#log}`);
    return stdout.trim();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end('SIGTERM');
    // After a SIGTERM the engine has ended its shim; one that is still there is a leak that a test reports.
    const left = this.shimPid;
    if (this.#smallDisk) execFileSync('umount', ['--lazy', this.disk]);
    rmSync(this.data, { recursive: true, force: true, maxRetries: 5 });
    if (left) {
      process.kill(left, 'SIGKILL');
      throw new Error(`the shim outlived the engine:\n${this.#log}`);
    }
  }
}

export const canRun = process.platform === 'linux' && process.getuid?.() === 0;
