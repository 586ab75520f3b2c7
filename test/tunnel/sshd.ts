import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import ssh2 from 'ssh2';
import type { SshEndpoint } from '../../electron/machine/types.ts';

const SSHD = '/usr/sbin/sshd';

/** Why the tests with a real sshd can't run here; undefined when they can. */
export function sshdMissing(): string | undefined {
  if (!existsSync(SSHD)) return `${SSHD} is not installed (Debian: openssh-server)`;
  return undefined;
}

/** A real sshd as a process of its own, with its own configuration and keys, on a free port of 127.0.0.1. */
export class Sshd {
  #dir: string;
  #process: ChildProcess | undefined;
  #port = 0;
  #lines: readonly string[];

  /** `lines`: further ones of its configuration */
  constructor(dir: string, lines: readonly string[] = []) {
    this.#dir = dir;
    this.#lines = lines;
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    // Debian's sshd wants its privilege separation folder, which only root can make and only root needs.
    if (process.getuid?.() === 0) mkdirSync('/run/sshd', { recursive: true });
    for (const name of ['host', 'user']) {
      execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(dir, name)]);
    }
    writeFileSync(join(dir, 'authorized_keys'), readFileSync(join(dir, 'user.pub')));
    chmodSync(join(dir, 'authorized_keys'), 0o600);
  }

  async start(): Promise<void> {
    this.#port ||= await freePort();
    const config = join(this.#dir, 'sshd_config');
    writeFileSync(
      config,
      [
        `ListenAddress 127.0.0.1:${this.#port}`,
        `HostKey ${join(this.#dir, 'host')}`,
        `AuthorizedKeysFile ${join(this.#dir, 'authorized_keys')}`,
        'PidFile none',
        'StrictModes no',
        'UsePAM no',
        'PasswordAuthentication no',
        'PermitRootLogin prohibit-password',
        'AllowStreamLocalForwarding yes',
        // sshd forwards to unix sockets only when TCP forwarding is allowed too.
        'AllowTcpForwarding yes',
        // as the guest's
        'MaxSessions 1000',
        'LogLevel ERROR',
        ...this.#lines,
        '',
      ].join('\n'),
    );
    this.#process = spawn(SSHD, ['-D', '-e', '-f', config], { stdio: 'ignore' });
    while (!(await listens(this.#port))) await sleep(20);
  }

  /** Kills the daemon; with `connections` also the processes that serve the connections it has accepted. */
  async stop(connections = true): Promise<void> {
    const daemon = this.#process;
    if (!daemon?.pid || daemon.exitCode !== null || daemon.signalCode) return;
    if (connections) this.dropConnections();
    const exit = once(daemon, 'exit');
    daemon.kill('SIGKILL');
    await exit;
  }

  /** Ends every accepted connection as a lost network would: without a word of SSH. */
  dropConnections(): void {
    for (const pid of descendants(this.#process?.pid ?? 0)) signalProcess(pid, 'SIGKILL');
  }

  /** Freezes (SIGSTOP) or thaws (SIGCONT) everything: connections stay open and nobody answers. */
  signalAll(signal: 'SIGSTOP' | 'SIGCONT'): void {
    const daemon = this.#process?.pid ?? 0;
    for (const pid of [daemon, ...descendants(daemon)]) signalProcess(pid, signal);
  }

  endpoint(engineSocket: string): SshEndpoint {
    return {
      host: '127.0.0.1',
      port: this.#port,
      username: userInfo().username,
      privateKey: readFileSync(join(this.#dir, 'user')),
      hostKey: publicKey(readFileSync(join(this.#dir, 'host'))),
      engineSocket,
      hostChannelSocket: join(this.#dir, 'host.sock'),
      configCommand: 'false',
    };
  }
}

function publicKey(file: Buffer): Buffer {
  const key = ssh2.utils.parseKey(file);
  if (key instanceof Error) throw key;
  return key.getPublicSSH();
}

function descendants(pid: number): number[] {
  if (!pid) return [];
  const tasks = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  return (tasks ? tasks.split(' ').map(Number) : []).flatMap((child) => [child, ...descendants(child)]);
}

function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // it has ended meanwhile
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

function listens(port: number): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => done(true)).once('error', () => done(false));
    socket.once('connect', () => socket.destroy());
  });
}
