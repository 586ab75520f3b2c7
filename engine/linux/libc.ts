import koffi from 'koffi';

/**
 * The C library through FFI. engine/linux is the only folder with syscalls; everything here is synchronous and runs on
 * the calling thread, which is what makes namespace switching safe (see namespaces.ts).
 */
const library = koffi.load('libc.so.6');

/** Declares a libc function from its C prototype. Every function used here returns a C integer unless `Result` says so. */
export const libc = <Result = number>(prototype: string) =>
  library.func(prototype) as ((...args: unknown[]) => Result) & {
    /** Runs on a pool thread; the last argument is `(error, result) => void`. */
    async: (...args: unknown[]) => void;
  };

/** Second names of numbers; the first ones are those that errors carry. */
const ALIASES = ['EWOULDBLOCK', 'EDEADLOCK', 'ENOTSUP'];

const names = new Map<number, string>(
  Object.entries(koffi.os.errno).flatMap(([name, value]) => (ALIASES.includes(name) ? [] : [[value as number, name]])),
);
const strerror = libc<string>('const char *strerror(int errnum)');

/** A failed system call, shaped as Node's own: `code` is the errno name ('ENOENT'). */
export class SyscallError extends Error {
  readonly code: string;
  readonly syscall: string;

  constructor(syscall: string, errno: number, subject = '') {
    super(`${syscall}${subject ? ` ${subject}` : ''}: ${strerror(errno)}`);
    this.code = names.get(errno) ?? `E${errno}`;
    this.syscall = syscall;
  }
}

/** Throws when a libc call reported failure by -1 and errno; otherwise hands the result on. */
export function check(result: number, syscall: string, subject?: string): number {
  if (result === -1) throw new SyscallError(syscall, koffi.errno(), subject);
  return result;
}

export { hasCode } from '../errors.ts';
