import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';

import type { Testbed } from '../engine/testbed.ts';

/** Where the tests that need but one registry have it; in the engine's network nobody else has that port. */
export const REGISTRY_PORT = 5000;
export const REGISTRY = `127.0.0.1:${REGISTRY_PORT}`;

/** A web server and git repositories where the engine's addresses are: see web-server.ts for what it answers. */
export class Web implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'skiff-web-'));
  readonly #children: ChildProcess[] = [];
  url = '';

  async start(bed: Testbed): Promise<void> {
    const program = join(import.meta.dirname, 'web-server.ts');
    const line = await this.run(bed, [process.execPath, program, this.folder]);
    this.url = `http://127.0.0.1:${line}`;
  }

  /** Starts a program in the engine's network. @returns the line that says it is ready */
  run(bed: Testbed, command: readonly string[], ready = /^/): Promise<string> {
    const child = spawn('nsenter', [`--target=${bed.pid}`, '--net', ...command], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#children.push(child);
    return new Promise((resolve, reject) => {
      const said: string[] = [];
      for (const output of [child.stdout, child.stderr]) {
        createInterface(output).on('line', (line) => {
          said.push(line);
          if (ready.test(line)) resolve(line);
        });
      }
      child.once('error', reject);
      child.once('exit', (code) => reject(new Error(`${command.join(' ')} ended with ${code}: ${said.join('\n')}`)));
    });
  }

  /** `git daemon` on 127.0.0.1, the way git:// works. */
  async startGitDaemon(bed: Testbed, port: number): Promise<void> {
    const options = ['--verbose', '--export-all', `--base-path=${this.folder}`, '--listen=127.0.0.1', `--port=${port}`];
    // Its own program, not `git daemon`: what is ended is what serves.
    await this.run(bed, ['/usr/lib/git-core/git-daemon', ...options, this.folder], /Ready to rumble/);
  }

  /** A registry on 127.0.0.1. @param htpasswd who may use it; none: everybody */
  async startRegistry(bed: Testbed, port: number, htpasswd?: string): Promise<string> {
    const folder = join(this.folder, `registry-${port}`);
    mkdirSync(folder);
    const lines = [
      'version: 0.1',
      'log: {level: info}',
      `storage: {filesystem: {rootdirectory: ${folder}/data}}`,
      `http: {addr: "127.0.0.1:${port}", secret: test}`,
    ];
    if (htpasswd !== undefined) {
      writeFileSync(join(folder, 'htpasswd'), htpasswd);
      lines.push(`auth: {htpasswd: {realm: test, path: ${folder}/htpasswd}}`);
    }
    writeFileSync(join(folder, 'config.yml'), `${lines.join('\n')}\n`);
    await this.run(bed, ['docker-registry', 'serve', join(folder, 'config.yml')], /listening on/);
    return `127.0.0.1:${port}`;
  }

  write(name: string, content: string | Buffer): void {
    writeFileSync(join(this.folder, name), content);
  }

  /** A repository to push commits into. */
  repository(name: string): Repository {
    return new Repository(join(this.folder, name));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) child.kill('SIGKILL');
    rmSync(this.folder, { recursive: true, force: true });
  }
}

const IDENTITY = { NAME: 'tester', EMAIL: 'tester@example.test', DATE: '2005-04-07T22:13:13Z' };

export class Repository {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
    this.git('init', '--quiet', '--initial-branch=main', path);
  }

  git(...args: string[]): string {
    const who = Object.entries(IDENTITY).flatMap(([name, value]) => [
      [`GIT_AUTHOR_${name}`, value],
      [`GIT_COMMITTER_${name}`, value],
    ]);
    const env = { PATH: process.env.PATH, HOME: '/nonexistent', GIT_CONFIG_NOSYSTEM: '1', ...Object.fromEntries(who) };
    const at = args[0] === 'init' ? [] : ['-C', this.path, '-c', 'protocol.file.allow=always'];
    return execFileSync('git', [...at, ...args], { env, stdio: 'pipe' })
      .toString()
      .trim();
  }

  /** Adds files. @returns the commit */
  commit(files: Readonly<Record<string, string>>, message = 'change'): string {
    for (const [name, content] of Object.entries(files)) {
      mkdirSync(dirname(join(this.path, name)), { recursive: true });
      writeFileSync(join(this.path, name), content);
    }
    this.git('add', '--all');
    this.git('commit', '--quiet', '--allow-empty', '--message', message);
    return this.git('rev-parse', 'HEAD');
  }
}
