import type { Socket } from 'node:net';

import { conflict, invalidParameter, notFound } from '../../errors.ts';
import type { ProcessExit } from '../../runtime/runtime.ts';
import { resolveUser } from '../../runtime/user.ts';
import { newId } from '../ids.ts';
import type { Container } from './container.ts';
import { processSpec } from './container-spec.ts';
import { type ContainerParts, publish } from './parts.ts';
import { execFailure } from './start-errors.ts';

/** POST /containers/{id}/exec (swagger: ExecConfig). */
export interface ExecRequest {
  readonly AttachStdin?: boolean;
  readonly AttachStdout?: boolean;
  readonly AttachStderr?: boolean;
  readonly ConsoleSize?: readonly [number, number] | null;
  readonly DetachKeys?: string;
  readonly Tty?: boolean;
  readonly Env?: readonly string[] | null;
  readonly Cmd?: readonly string[] | null;
  readonly Privileged?: boolean;
  readonly User?: string;
  readonly WorkingDir?: string;
}

/** created → running → exited; a failed start is exited with 126 or 127. */
export type ExecState =
  | { readonly status: 'created' }
  | { readonly status: 'running'; readonly pid: number }
  | { readonly status: 'exited'; readonly exitCode: number; readonly pid: number };

export interface Exec {
  readonly id: string;
  readonly container: Container;
  readonly request: ExecRequest;
  state: ExecState;
  /** Resolves with the exit code. */
  readonly exited: Promise<number>;
  readonly settle: (code: number) => void;
}

/** Ended execs kept for `inspect`, of all containers together. */
const KEPT_EXECS = 1000;

/** Further processes in running containers. Kept in memory: they end with the container or are found in the shim. */
export class Execs {
  readonly #parts: ContainerParts;
  readonly #byId = new Map<string, Exec>();
  /** Oldest first. */
  readonly #ended: string[] = [];
  /** Starts under way: an exit may be heard of before the answer that says the process began. */
  readonly #starting = new Map<string, Promise<unknown>>();

  constructor(parts: ContainerParts) {
    this.#parts = parts;
  }

  create(container: Container, request: ExecRequest): Exec {
    checkRunning(container);
    if (!request.Cmd?.length) throw invalidParameter('No exec command specified');
    const { promise, resolve } = Promise.withResolvers<number>();
    const exec: Exec = {
      id: newId(),
      container,
      request,
      state: { status: 'created' },
      exited: promise,
      settle: resolve,
    };
    this.#byId.set(exec.id, exec);
    container.execs.add(exec.id);
    publish(this.#parts, container, `exec_create: ${request.Cmd.join(' ')}`, { execID: exec.id });
    return exec;
  }

  get(id: string): Exec {
    const exec = this.#byId.get(id);
    if (!exec) throw notFound(`No such exec instance: ${id}`);
    return exec;
  }

  /** An ended exec is no longer the container's, but can be inspected for a while. */
  #settle(exec: Exec, exitCode: number, pid: number): void {
    exec.state = { status: 'exited', exitCode, pid };
    exec.container.execs.delete(exec.id);
    this.#ended.push(exec.id);
    if (this.#ended.length > KEPT_EXECS) this.#byId.delete(this.#ended.shift()!);
    exec.settle(exitCode);
  }

  /** Opens the stream to an exec before it starts, so that no output is missed. */
  attach(exec: Exec): Promise<Socket> {
    const { AttachStdin, AttachStdout, AttachStderr } = exec.request;
    return this.#parts.runtime.attach({
      key: exec.id,
      stdin: AttachStdin ?? false,
      stdout: AttachStdout ?? false,
      stderr: AttachStderr ?? false,
      closeStdin: true,
    });
  }

  /** Throws unless it can be started now. */
  checkStart(exec: Exec): void {
    if (exec.state.status === 'running') throw conflict(`exec command ${exec.id} is already running`);
    if (exec.state.status === 'exited') throw conflict(`exec command ${exec.id} has already run`);
    checkRunning(exec.container);
  }

  async start(exec: Exec, size?: readonly [number, number]): Promise<void> {
    this.checkStart(exec);
    const { request, container } = exec;
    const { record } = container;
    const { runtime, settings } = this.#parts;
    const command = [...(request.Cmd ?? [])];
    try {
      const rootfs = runtime.rootfsOf(container.id);
      const user = resolveUser(rootfs, request.User || record.config.User || '', record.hostConfig.GroupAdd ?? []);
      const process = processSpec(record, settings.bounding, rootfs, {
        args: command,
        user,
        env: request.Env ?? [],
        cwd: request.WorkingDir,
        tty: request.Tty ?? false,
        privileged: request.Privileged ?? record.hostConfig.Privileged,
      });
      const wanted = size ?? request.ConsoleSize ?? undefined;
      const stdio = { tty: request.Tty ?? false, stdin: request.AttachStdin ?? false, size: wanted };
      const started = runtime.exec(container.id, exec.id, record.hostConfig.Runtime ?? '', process, stdio);
      const noted = started.then(({ pid }) => this.#noteStart(exec, pid));
      this.#starting.set(
        exec.id,
        noted.catch(() => {}),
      );
      await noted;
    } catch (error) {
      if (exec.state.status !== 'created') throw error;
      const failure = execFailure(error, command[0] ?? '');
      this.#settle(exec, failure.exitCode === 128 ? 126 : failure.exitCode, 0);
      await runtime.forget(exec.id).catch(() => {});
      throw failure.error;
    } finally {
      this.#starting.delete(exec.id);
    }
  }

  #noteStart(exec: Exec, pid: number): void {
    exec.state = { status: 'running', pid };
    const command = (exec.request.Cmd ?? []).join(' ');
    publish(this.#parts, exec.container, `exec_start: ${command}`, { execID: exec.id });
  }

  /** The shim says that an exec's process has ended. */
  async onExit(id: string, exit: ProcessExit): Promise<void> {
    const exec = this.#byId.get(id);
    await this.#starting.get(id);
    if (exec && exec.state.status !== 'exited') {
      const pid = exec.state.status === 'running' ? exec.state.pid : 0;
      this.#settle(exec, exit.code, pid);
      publish(this.#parts, exec.container, 'exec_die', { execID: id, exitCode: String(exit.code) });
    }
    await this.#parts.runtime.forget(id).catch(() => {});
  }

  /** Runs a command to its end and gathers what it prints, for health checks. */
  async probe(
    container: Container,
    command: readonly string[],
    timeoutMs: number,
  ): Promise<{ exitCode: number; output: string }> {
    const exec = this.create(container, { Cmd: command, AttachStdout: true, AttachStderr: true });
    const stream = await this.attach(exec);
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    await this.start(exec);
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      void this.#parts.runtime.signal(exec.id, 9);
    }, timeoutMs);
    const exitCode = await exec.exited;
    clearTimeout(timer);
    stream.destroy();
    this.#byId.delete(exec.id);
    container.execs.delete(exec.id);
    if (timedOut) return { exitCode: -1, output: `Health check exceeded timeout (${timeoutMs / 1000}s)` };
    return { exitCode, output: unframe(Buffer.concat(chunks)) };
  }
}

/** Docker's stdcopy frames → the text of both streams. */
function unframe(data: Buffer): string {
  const parts: Buffer[] = [];
  for (let at = 0; at + 8 <= data.length; ) {
    const length = data.readUInt32BE(at + 4);
    parts.push(data.subarray(at + 8, at + 8 + length));
    at += 8 + length;
  }
  return Buffer.concat(parts).toString('utf8');
}

function checkRunning(container: Container): void {
  const { state } = container.record;
  if (state.status === 'running' && !state.paused) return;
  if (state.status === 'running') {
    throw conflict(`container ${container.id} is paused, unpause the container before exec`);
  }
  throw conflict(`container ${container.id} is not running`);
}
