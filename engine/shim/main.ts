import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';

import { PROTOCOL_VERSION, type ShimEvent, type ShimReply, type ShimRequest } from './protocol.ts';
import { Supervisor } from './supervisor.ts';

/**
 * The shim: parent of every container process, one for the machine. It does as little as can be done — hold stdio, write
 * logs, record exits — because it must go on when skiffd dies or is replaced.
 *
 * usage: shim.mjs <directory>   (the socket is <directory>/shim.sock)
 */
const directory = process.argv[2];
if (!directory) throw new Error('usage: shim <directory>');

const scratch = join(directory, 'tmp');
const exits = join(directory, 'exits');
for (const path of [directory, scratch, exits]) mkdirSync(path, { recursive: true, mode: 0o700 });

const controls = new Set<Socket>();
const emit = (event: ShimEvent): void => {
  const line = `${JSON.stringify(event)}\n`;
  for (const control of controls) control.write(line);
};

const supervisor = new Supervisor({ scratch, exits }, emit);

async function answer(request: ShimRequest): Promise<unknown> {
  switch (request.op) {
    case 'hello':
      return { version: PROTOCOL_VERSION, pid: process.pid };
    case 'run': {
      const { pid, startedAt } = await supervisor.run(request);
      return { pid, startedAt };
    }
    case 'exec': {
      const { pid, startedAt } = await supervisor.exec(request);
      return { pid, startedAt };
    }
    case 'signal':
      return { delivered: supervisor.signal(request.key, request.signal) };
    case 'resize':
      supervisor.resize(request.key, request.rows, request.columns);
      return {};
    case 'invoke':
      return supervisor.invoke(request.argv);
    case 'processes':
      return { processes: await supervisor.processes() };
    case 'forget':
      supervisor.forget(request.key);
      return {};
    case 'shutdown':
      if (supervisor.alive > 0) throw new Error(`${supervisor.alive} processes are alive`);
      setImmediate(() => process.exit(0));
      return {};
  }
}

async function serve(socket: Socket, line: string): Promise<void> {
  const { id, ...request } = JSON.parse(line) as ShimRequest & { id: number };
  let reply: ShimReply;
  try {
    reply = { id, ok: await answer(request as ShimRequest) };
  } catch (error) {
    reply = { id, failed: error instanceof Error ? error.message : String(error) };
  }
  if (!socket.destroyed) socket.write(`${JSON.stringify(reply)}\n`);
}

function accept(socket: Socket): void {
  let pending: Buffer = Buffer.alloc(0);
  socket.on('error', () => socket.destroy());
  const onData = (chunk: Buffer): void => {
    pending = pending.length > 0 ? Buffer.concat([pending, chunk]) : chunk;
    for (;;) {
      const newline = pending.indexOf(10);
      if (newline < 0) return;
      const line = pending.toString('utf8', 0, newline);
      pending = pending.subarray(newline + 1);
      if (!controls.has(socket)) {
        const first = JSON.parse(line) as { op: string };
        if (first.op === 'attach') {
          socket.off('data', onData);
          socket.pause();
          if (pending.length > 0) socket.unshift(pending);
          supervisor.attach(socket, JSON.parse(line));
          return;
        }
        controls.add(socket);
        socket.on('close', () => controls.delete(socket));
      }
      void serve(socket, line);
    }
  };
  socket.on('data', onData);
  socket.on('end', () => {
    if (controls.has(socket)) socket.end();
  });
}

const socketPath = join(directory, 'shim.sock');
rmSync(socketPath, { force: true });
// Half-open: a client that has ended its input still gets the output.
createServer({ allowHalfOpen: true, noDelay: true }, accept).listen(socketPath, () => {
  writeFileSync(join(directory, 'shim.pid'), `${process.pid}\n`);
});

// The shim outlives terminals and skiffd; it ends by `shutdown` or SIGKILL only.
for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM'] as const) process.on(signal, () => {});
process.on('uncaughtException', (error) => {
  process.stderr.write(`shim: ${error.stack ?? error}\n`);
});
