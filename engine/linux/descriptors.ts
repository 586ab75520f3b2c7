import koffi from 'koffi';

import { check, libc, SyscallError } from './libc.ts';

/** Pipes, terminals and descriptor passing. Every descriptor made here is close-on-exec. */
const pipe2 = libc('int pipe2(_Out_ int *fds, int flags)');
const ioctl = libc('int ioctl(int fd, ulong request, const void *argument)');
const socket = libc('int socket(int domain, int type, int protocol)');
const bind = libc('int bind(int fd, const void *address, uint length)');
const listen = libc('int listen(int fd, int backlog)');
const accept4 = libc('int accept4(int fd, void *address, void *length, int flags)');
const fcntl = libc('int fcntl(int fd, int command, int argument)');

const iovec = koffi.struct('skiff_iovec', { base: 'void *', length: 'size_t' });
koffi.struct('skiff_msghdr', {
  name: 'void *',
  namelen: 'uint32_t',
  iov: koffi.pointer(iovec),
  iovlen: 'size_t',
  control: 'void *',
  controllen: 'size_t',
  flags: 'int',
});
const recvmsg = libc('long recvmsg(int fd, _Inout_ skiff_msghdr *message, int flags)');

const O_CLOEXEC = 0o2000000;
const O_NONBLOCK = 0o4000;
const AF_UNIX = 1;
const SOCK_STREAM = 1;
const TIOCSWINSZ = 0x5414;
const F_SETPIPE_SZ = 1031;
const MSG_CMSG_CLOEXEC = 0x40000000;

export interface Pipe {
  readonly read: number;
  readonly write: number;
}

/** A pipe(7); containers get real pipes, never socketpairs, because /dev/stdout can't be opened on a socket. */
export function makePipe(capacity?: number): Pipe {
  const fds: [number, number] = [0, 0];
  check(pipe2(fds, O_CLOEXEC), 'pipe2');
  if (capacity) fcntl(fds[1], F_SETPIPE_SZ, capacity);
  return { read: fds[0], write: fds[1] };
}

/** Sets a terminal's window size (in characters); the kernel sends SIGWINCH to its foreground group. */
export function setWindowSize(fd: number, rows: number, columns: number): void {
  const size = Buffer.alloc(8);
  size.writeUInt16LE(rows & 0xffff, 0);
  size.writeUInt16LE(columns & 0xffff, 2);
  check(ioctl(fd, TIOCSWINSZ, size), 'ioctl', 'TIOCSWINSZ');
}

/** Listens on a unix socket for one descriptor, as an OCI runtime's --console-socket wants. Path ≤ 107 bytes. */
export function listenForDescriptor(path: string): number {
  const fd = check(socket(AF_UNIX, SOCK_STREAM | O_CLOEXEC | O_NONBLOCK, 0), 'socket');
  const address = Buffer.alloc(110);
  address.writeUInt16LE(AF_UNIX, 0);
  address.write(path, 2, 107, 'utf8');
  check(bind(fd, address, address.length), 'bind', path);
  check(listen(fd, 1), 'listen', path);
  return fd;
}

/** Takes the descriptor (SCM_RIGHTS) that a peer has already sent; never blocks. */
export function takeDescriptor(listener: number): number {
  const connection = check(accept4(listener, null, null, O_CLOEXEC | O_NONBLOCK), 'accept');
  try {
    const control = Buffer.alloc(64);
    const message = {
      name: null,
      namelen: 0,
      iov: [{ base: Buffer.alloc(4096), length: 4096 }],
      iovlen: 1,
      control,
      controllen: control.length,
      flags: 0,
    };
    check(Number(recvmsg(connection, message, MSG_CMSG_CLOEXEC)), 'recvmsg');
    if (Number(control.readBigUInt64LE(0)) < 20) throw new SyscallError('recvmsg', koffi.os.errno.EPROTO ?? 71);
    return control.readInt32LE(16);
  } finally {
    closeFd(connection);
  }
}

const close = libc('int close(int fd)');

/** close(2) that never throws: a descriptor that is gone is closed. */
export function closeFd(fd: number): void {
  close(fd);
}
