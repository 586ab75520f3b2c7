/** Host ports that lead into the guest, opened and closed while it runs through QEMU's user network. */
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import type { QmpClient } from './qmp.ts';
import { type ExposedPort, MachineError } from './types.ts';

/** One key per host side: two guest ports can't share it. */
export const portKey = (port: ExposedPort): string => `${port.proto}:${hostIp(port)}:${port.hostPort}`;

const hostIp = (port: ExposedPort) => port.hostIp || '0.0.0.0';

/** Throws MachineError 'port-taken' or 'port-refused'. */
export async function openPort(qmp: QmpClient, port: ExposedPort): Promise<void> {
  const ip = hostIp(port);
  if (ip.includes(':')) {
    throw new MachineError('port-refused', `${ip} is an IPv6 address, on which ports cannot be opened yet.`, {
      hint: 'Publish the port on an IPv4 address.',
    });
  }
  // A refusal comes as text in a successful answer, and it doesn't say why: the system is asked for that.
  const refusal = await qmp.human(`hostfwd_add net ${port.proto}:${ip}:${port.hostPort}-:${port.guestPort}`);
  if (refusal === '') return;
  const code = await bindError(port.proto, ip, port.hostPort);
  const where = `${ip}:${port.hostPort}/${port.proto}`;
  if (code === 'EACCES') {
    throw new MachineError('port-refused', `The system does not let this user open ${where}.`, {
      hint: 'Ports below 1024 need special rights; publish a higher one.',
    });
  }
  if (code === 'EADDRNOTAVAIL') {
    throw new MachineError('port-refused', `${ip} is not an address of this computer.`);
  }
  throw new MachineError('port-taken', `Port ${where} on this computer is already in use.`, {
    hint: 'Stop the program that uses it, or publish another port.',
    cause: refusal,
  });
}

export async function closePort(qmp: QmpClient, port: ExposedPort): Promise<void> {
  await qmp.human(`hostfwd_remove net ${port.proto}:${hostIp(port)}:${port.hostPort}`);
}

/**
 * The forwarded ports, as QEMU's `info usernet` prints them:
 *   Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ
 *   TCP[HOST_FORWARD]  15       127.0.0.1 36229       10.0.2.15    22     0     0
 */
export function parseUserNet(text: string): ExposedPort[] {
  const lines = text.matchAll(/^\s*(TCP|UDP)\[HOST_FORWARD\]\s+\d+\s+(\S+)\s+(\d+)\s+\S+\s+(\d+)/gm);
  return [...lines].map(([, proto, address, source, destination]) => ({
    proto: proto === 'UDP' ? 'udp' : 'tcp',
    hostIp: address === '*' ? '0.0.0.0' : address!,
    hostPort: Number(source),
    guestPort: Number(destination),
  }));
}

/** The code with which the system refuses to bind the address now; undefined when it does not. */
async function bindError(proto: 'tcp' | 'udp', ip: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const failed = (error: NodeJS.ErrnoException) => resolve(error.code);
    if (proto === 'tcp') {
      const server = createServer();
      server.once('error', failed);
      server.listen({ host: ip, port, exclusive: true }, () => server.close(() => resolve(undefined)));
    } else {
      const socket = createSocket('udp4');
      socket.once('error', failed);
      socket.bind({ address: ip, port, exclusive: true }, () => socket.close(() => resolve(undefined)));
    }
  });
}
