import { isIPv6 } from 'node:net';

import { closeFd } from './descriptors.ts';
import { check, hasCode, libc } from './libc.ts';

/**
 * Internet sockets made in whatever network namespace the thread is in at that moment; they stay in it, whoever uses them
 * later. Node makes its own only when its event loop comes round, which is too late.
 */
const socket = libc('int socket(int domain, int type, int protocol)');
const bind = libc('int bind(int fd, const void *address, uint length)');
const connect = libc('int connect(int fd, const void *address, uint length)');
const listen = libc('int listen(int fd, int backlog)');
const setsockopt = libc('int setsockopt(int fd, int level, int option, const int *value, uint length)');

const AF = { inet: 2, inet6: 10 } as const;
const SOCK = { tcp: 1, udp: 2 } as const;
const CLOEXEC_NONBLOCK = 0o2000000 | 0o4000;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const BACKLOG = 128;

/** An address as the kernel's bytes: 4 or 16. */
export function addressBytes(ip: string): Buffer {
  if (!isIPv6(ip)) return Buffer.from(ip.split('.').map(Number));
  const bytes = Buffer.alloc(16);
  let text = ip.split('%')[0]!;
  const dotted = /(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text);
  if (dotted) {
    const [, head, a, b, c, d] = dotted;
    text = `${head}${(Number(a) * 256 + Number(b)).toString(16)}:${(Number(c) * 256 + Number(d)).toString(16)}`;
  }
  const [head = '', tail] = text.split('::');
  const groups = (part: string): number[] => (part ? part.split(':').map((group) => Number.parseInt(group, 16)) : []);
  const front = groups(head);
  const back = tail === undefined ? [] : groups(tail);
  for (const [i, group] of front.entries()) bytes.writeUInt16BE(group, i * 2);
  for (const [i, group] of back.entries()) bytes.writeUInt16BE(group, 16 - (back.length - i) * 2);
  return bytes;
}

/** struct sockaddr_in or sockaddr_in6 */
function socketAddress(ip: string, port: number): Buffer {
  const six = isIPv6(ip);
  const out = Buffer.alloc(six ? 28 : 16);
  out.writeUInt16LE(six ? AF.inet6 : AF.inet, 0);
  out.writeUInt16BE(port, 2);
  addressBytes(ip).copy(out, six ? 8 : 4);
  return out;
}

function open(kind: keyof typeof SOCK, ip: string, prepare: (fd: number, address: Buffer) => void, port: number) {
  const family = isIPv6(ip) ? AF.inet6 : AF.inet;
  const fd = check(socket(family, SOCK[kind] | CLOEXEC_NONBLOCK, 0), 'socket', kind);
  try {
    prepare(fd, socketAddress(ip, port));
    return fd;
  } catch (error) {
    closeFd(fd);
    throw error;
  }
}

/** A descriptor bound to the address (and listening, when it is TCP). Throws EADDRINUSE when the port is taken. */
export function listenOn(kind: 'tcp' | 'udp', ip: string, port: number): number {
  return open(
    kind,
    ip,
    (fd, address) => {
      if (kind === 'tcp') check(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, [1], 4), 'setsockopt');
      check(bind(fd, address, address.length), 'bind', `${ip}:${port}`);
      if (kind === 'tcp') check(listen(fd, BACKLOG), 'listen', `${ip}:${port}`);
    },
    port,
  );
}

/** A TCP descriptor on its way to be connected to the address. */
export function connectTo(ip: string, port: number): number {
  return open(
    'tcp',
    ip,
    (fd, address) => {
      try {
        check(connect(fd, address, address.length), 'connect', `${ip}:${port}`);
      } catch (error) {
        if (!hasCode(error, 'EINPROGRESS')) throw error;
      }
    },
    port,
  );
}
