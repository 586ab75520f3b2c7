import { randomUUID } from 'node:crypto';
import type { Duplex } from 'node:stream';
import type Dockerode from 'dockerode';
import type { TerminalNews, TerminalRequest, TerminalSize } from '../../contract/containers.ts';
import { ServiceError } from '../errors.ts';

const LONGEST_INPUT = 1024 * 1024;
const ANY_SHELL = ['/bin/sh', '-c', 'if command -v bash >/dev/null 2>&1; then exec bash; else exec sh; fi'];

interface Session {
  exec: Dockerode.Exec;
  stream: Duplex;
}

/** Programs on terminals in containers. A session's name is a secret of the window that opened it. */
export class Terminals {
  #docker: Dockerode;
  #sessions = new Map<string, Session>();

  constructor(docker: Dockerode) {
    this.#docker = docker;
  }

  /** Ends with the program; when the signal fires its terminal is hung up, which ends a shell. */
  async *open(id: string, request: TerminalRequest, signal: AbortSignal): AsyncGenerator<TerminalNews> {
    const { columns, rows } = terminalSize(request?.size);
    const exec = await this.#docker.getContainer(id).exec({
      Cmd: commandOf(request?.command),
      Tty: true,
      AttachStdin: true,
      AttachStdout: true,
      AttachStderr: true,
      Env: ['TERM=xterm-256color'],
      ConsoleSize: [rows, columns],
      abortSignal: signal,
    });
    const stream = await exec.start({ hijack: true, stdin: true, Tty: true, ConsoleSize: [rows, columns] } as object);
    const session = randomUUID();
    this.#sessions.set(session, { exec, stream });
    const leave = () => {
      // ^C, ^D: a shell that waits at its prompt ends by that even if it would not notice the lost terminal.
      if (stream.writable) stream.end('\x03\x04');
      stream.destroy();
    };
    signal.addEventListener('abort', leave, { once: true });
    try {
      yield { kind: 'opened', session };
      for await (const data of stream as AsyncIterable<Buffer>) yield { kind: 'output', data: new Uint8Array(data) };
      yield { kind: 'ended', exitCode: await exitCode(exec, signal) };
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      signal.removeEventListener('abort', leave);
      this.#sessions.delete(session);
      stream.destroy();
    }
  }

  async input(session: unknown, text: unknown): Promise<void> {
    if (typeof text !== 'string' || text.length > LONGEST_INPUT) throw new ServiceError('invalid', 'That is no input.');
    const { stream } = this.#get(session);
    await new Promise<void>((done) => stream.write(text, () => done()));
  }

  async resize(session: unknown, size: TerminalSize): Promise<void> {
    const { columns, rows } = terminalSize(size);
    await this.#get(session).exec.resize({ w: columns, h: rows });
  }

  #get(session: unknown): Session {
    const found = typeof session === 'string' ? this.#sessions.get(session) : undefined;
    if (!found) throw new ServiceError('not-found', 'This terminal has ended.');
    return found;
  }
}

/** The connection can close a moment before the engine knows how the program ended. */
async function exitCode(exec: Dockerode.Exec, signal: AbortSignal): Promise<number | undefined> {
  for (let tries = 0; tries < 20 && !signal.aborted; tries++) {
    const { Running, ExitCode } = await exec.inspect();
    if (!Running) return ExitCode ?? undefined;
    await new Promise((done) => setTimeout(done, 50));
  }
  return undefined;
}

function commandOf(command: unknown): string[] {
  if (!Array.isArray(command) || !command.every((word) => typeof word === 'string')) {
    throw new ServiceError('invalid', 'That is not a command.');
  }
  return command.length > 0 ? command : ANY_SHELL;
}

function terminalSize(size: TerminalSize | undefined): TerminalSize {
  const within = (value: unknown) => Number.isInteger(value) && (value as number) >= 1 && (value as number) <= 1_000;
  if (within(size?.columns) && within(size?.rows)) return size as TerminalSize;
  throw new ServiceError('invalid', 'That is not the size of a terminal.');
}
