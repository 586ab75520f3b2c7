import { constants } from 'node:os';

import koffi from 'koffi';

import { check, libc, SyscallError } from './libc.ts';

/**
 * Processes the way a shim needs them: started with exactly the file descriptors given and default signal handling, and
 * waited for by this code, not by Node's child_process (which costs 7 ms a spawn here, this ~1 ms).
 */
const posixSpawn = libc(
  'int posix_spawn(_Out_ int *pid, const char *path, void *actions, void *attr, const char **argv, const char **envp)',
);
const actionsInit = libc('int posix_spawn_file_actions_init(void *actions)');
const actionsDup = libc('int posix_spawn_file_actions_adddup2(void *actions, int fd, int target)');
const actionsDestroy = libc('int posix_spawn_file_actions_destroy(void *actions)');
const attrInit = libc('int posix_spawnattr_init(void *attr)');
const attrFlags = libc('int posix_spawnattr_setflags(void *attr, short flags)');
const attrDefault = libc('int posix_spawnattr_setsigdefault(void *attr, const void *set)');
const attrMask = libc('int posix_spawnattr_setsigmask(void *attr, const void *set)');
const attrDestroy = libc('int posix_spawnattr_destroy(void *attr)');
const waitpidC = libc('int waitpid(int pid, _Out_ int *status, int options)');
const prctl = libc('int prctl(int option, ulong a, ulong b, ulong c, ulong d)');
const killC = libc('int kill(int pid, int signal)');

const SETSIGDEF_SETSIGMASK_SETSID = 0x04 | 0x08 | 0x80;
const WNOHANG = 1;
const PR_SET_CHILD_SUBREAPER = 36;

// glibc's sigset_t is 128 bytes; posix_spawnattr_t 336 and posix_spawn_file_actions_t 80 on 64-bit systems.
const EVERY_SIGNAL = Buffer.alloc(128, 0xff);
const NO_SIGNAL = Buffer.alloc(128);

/**
 * Starts `argv` (an absolute path first) in a new session with the three descriptors as its stdio and no others.
 * @returns its pid; the caller must wait for it
 */
export function spawnProcess(
  argv: readonly string[],
  stdio: readonly [number, number, number],
  env: readonly string[],
): number {
  const actions = Buffer.alloc(256);
  const attr = Buffer.alloc(512);
  actionsInit(actions);
  attrInit(attr);
  try {
    for (const [target, fd] of stdio.entries()) actionsDup(actions, fd, target);
    attrFlags(attr, SETSIGDEF_SETSIGMASK_SETSID);
    attrDefault(attr, EVERY_SIGNAL);
    attrMask(attr, NO_SIGNAL);
    const pid: [number] = [0];
    const errno = posixSpawn(pid, argv[0], actions, attr, [...argv, null], [...env, null]);
    if (errno !== 0) throw new SyscallError('posix_spawn', errno, argv[0]);
    return pid[0];
  } finally {
    actionsDestroy(actions);
    attrDestroy(attr);
  }
}

/** Orphans of this process's descendants become its children from now on (prctl(2)). */
export function becomeSubreaper(): void {
  check(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 'prctl');
}

/** How a process ended: its exit code, and the signal when one killed it (code is then 128 + signal, as shells say). */
export interface ExitStatus {
  readonly pid: number;
  readonly code: number;
  readonly signal: number | undefined;
}

/** Reaps one dead child, any; undefined when none is waiting. */
export function reapAny(): ExitStatus | undefined {
  const status: [number] = [0];
  const pid = Number(waitpidC(-1, status, WNOHANG));
  if (pid <= 0) return undefined;
  const signal = status[0] & 0x7f;
  return { pid, code: signal ? 128 + signal : (status[0] >> 8) & 0xff, signal: signal || undefined };
}

/** kill(2) by number. False when there is no such process. */
export function killProcess(pid: number, signal: number): boolean {
  if (Number(killC(pid, signal)) === 0) return true;
  if (koffi.errno() === koffi.os.errno.ESRCH) return false;
  throw new SyscallError('kill', koffi.errno(), String(pid));
}

const RTMIN = 34;
const RTMAX = 64;

/**
 * A signal by number or name, with or without SIG, including real-time ones (RTMIN+3), as `docker kill -s` takes it.
 * @returns undefined when there is no such signal
 */
export function parseSignal(text: string): number | undefined {
  const name = text.trim().toUpperCase().replace(/^SIG/, '');
  if (/^\d+$/.test(name)) {
    const number = Number(name);
    return number >= 1 && number <= RTMAX ? number : undefined;
  }
  const realtime = /^RT(MIN|MAX)(?:([+-])(\d+))?$/.exec(name);
  if (realtime) {
    const base = realtime[1] === 'MIN' ? RTMIN : RTMAX;
    const number = base + Number(`${realtime[2] ?? '+'}${realtime[3] ?? '0'}`);
    return number >= RTMIN && number <= RTMAX ? number : undefined;
  }
  if (name === 'CLD') return constants.signals.SIGCHLD;
  return (constants.signals as Record<string, number>)[`SIG${name}`];
}
