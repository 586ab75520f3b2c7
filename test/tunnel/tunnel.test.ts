import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { openTunnel } from '../../electron/tunnel/tunnel.ts';
import { get, getText, text } from './client.ts';
import { type LocalTunnel, openLocalTunnel } from './local.ts';
import { Sshd, sshdMissing } from './sshd.ts';

const skip = sshdMissing();
const title = skip ? `the tunnel, skipped: ${skip}` : 'the tunnel';

/** Generous: a busy machine is no failure. */
const SOON = { timeout: 20_000, interval: 20 };

describe.skipIf(skip)(title, { timeout: 30_000 }, () => {
  let local: LocalTunnel;
  const socket = () => local.tunnel.socketPath;
  const state = () => local.tunnel.state.kind;

  describe('over a machine that comes and goes', () => {
    beforeEach(async () => {
      local = await openLocalTunnel();
    });
    afterEach(() => local.close());

    test('has a socket that only its owner can open', () => {
      expect(statSync(socket()).mode & 0o777).toBe(0o600);
    });

    test('starts a stopped machine for a client and lets it wait', async () => {
      local.machine.set({ kind: 'stopped' });
      expect(state()).toBe('idle');
      const answers = await Promise.all(Array.from({ length: 5 }, () => getText(socket(), '/_ping')));
      expect(answers).toEqual(['OK', 'OK', 'OK', 'OK', 'OK']);
      expect(local.machine.starts).toBe(1);
    });

    test('waits for a machine that is stopping, then starts it again', async () => {
      local.machine.set({ kind: 'stopping' });
      const answer = getText(socket(), '/_ping');
      await sleep(50);
      expect(local.machine.starts).toBe(0);
      local.machine.set({ kind: 'stopped' });
      expect(await answer).toBe('OK');
    });

    test('tells a client in words of Docker that the machine did not start', async () => {
      local.machine.set({ kind: 'stopped' });
      local.machine.onStart = async () => {
        local.machine.set({ kind: 'failed', step: 'qemu', reason: 'no QEMU', hint: 'install it', log: [] });
        throw new Error('QEMU is not installed');
      };
      const response = await get(socket(), '/_ping');
      expect(response.statusCode).toBe(503);
      expect(JSON.parse(await text(response)).message).toBe('skiff: the machine did not start: QEMU is not installed');
    });

    test('does not repeat a start that has just failed for every connection of one command', async () => {
      local.machine.set({ kind: 'stopped' });
      local.machine.onStart = async () => {
        local.machine.set({ kind: 'failed', step: 'qemu', reason: 'no QEMU', hint: '', log: [] });
        throw new Error('no QEMU');
      };
      await getText(socket(), '/_ping');
      await getText(socket(), '/version');
      expect(local.machine.starts).toBe(1);
    });

    test('is there again by itself when the connection was lost', async () => {
      expect(await getText(socket(), '/_ping')).toBe('OK');
      // It may be back before anybody looks: what counts is that it was gone.
      const seen: string[] = [];
      const stop = local.tunnel.onState(({ kind }) => seen.push(kind));
      local.sshd.dropConnections();
      await vi.waitFor(() => expect(seen).toContain('dialling'), SOON);
      stop();
      expect(await getText(socket(), '/_ping')).toBe('OK');
      expect(state()).toBe('connected');
    });

    test('refuses nobody while the connection is rebuilt', async () => {
      await getText(socket(), '/_ping');
      await local.sshd.stop();
      const waiting = Promise.all(Array.from({ length: 30 }, () => getText(socket(), '/_ping')));
      await vi.waitFor(() => expect(local.tunnel.clients.waiting).toBe(30), SOON);
      await local.sshd.start();
      expect(new Set(await waiting)).toEqual(new Set(['OK']));
    });

    test('ends the streams of a lost connection instead of leaving them hanging', async () => {
      const response = await get(socket(), '/drip?name=x&ms=20');
      const ended = new Promise((done) => response.on('error', () => {}).once('close', done));
      response.resume();
      local.sshd.dropConnections();
      await ended;
    });

    test('lets clients wait while the engine restarts in the machine', async () => {
      await getText(socket(), '/_ping');
      await local.stopServer();
      const answer = getText(socket(), '/_ping');
      await sleep(200);
      await local.startServer();
      expect(await answer).toBe('OK');
    });

    test('a check after sleep replaces a connection that does not answer', async () => {
      await getText(socket(), '/_ping');
      local.sshd.signalAll('SIGSTOP');
      const lost = vi.waitFor(() => expect(state()).toBe('dialling'), { timeout: 2_000 });
      await local.tunnel.check(200);
      await lost;
      local.sshd.signalAll('SIGCONT');
      expect(await getText(socket(), '/_ping')).toBe('OK');
    });

    test('a check leaves a connection alone that answers', async () => {
      const response = await get(socket(), '/drip?name=x&ms=20');
      await local.tunnel.check(2_000);
      const [data] = await once(response, 'data');
      expect(String(data)).toContain('x');
      response.destroy();
    });

    test('does not talk to a machine with another host key', async () => {
      const other = new Sshd(join(local.dir, 'other'));
      local.machine.set({ kind: 'stopped' });
      const real = local.machine.endpoint.bind(local.machine);
      local.machine.endpoint = () => ({ ...real(), hostKey: other.endpoint('').hostKey });
      const response = await get(socket(), '/_ping');
      expect(response.statusCode).toBe(503);
      expect(await text(response)).toContain('host key');
      expect(state()).toBe('blocked');
    });

    test('frees its socket when it is closed', async () => {
      await local.tunnel.close();
      expect(() => statSync(socket())).toThrow('ENOENT');
    });

    test('does not take the socket from one that is alive', async () => {
      await expect(openTunnel({ machine: local.machine, socketPath: socket() })).rejects.toMatchObject({
        kind: 'socket-in-use',
      });
      expect(await getText(socket(), '/_ping')).toBe('OK');
    });

    test('replaces the socket file that a crash left', async () => {
      const path = join(local.dir, 'stale.sock');
      const crash = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
      expect(() => execFileSync(process.execPath, ['-e', crash])).toThrow();
      expect(statSync(path).isSocket()).toBe(true);
      const tunnel = await openTunnel({ machine: local.machine, socketPath: path });
      expect(await getText(path, '/_ping')).toBe('OK');
      await tunnel.close();
    });

    test('does not remove a file that is not a socket', async () => {
      const path = join(local.dir, 'notes.txt');
      writeFileSync(path, 'mine');
      await expect(openTunnel({ machine: local.machine, socketPath: path })).rejects.toMatchObject({
        kind: 'socket-failed',
      });
    });
  });

  test('leaves a stopped machine alone when waking is switched off', async () => {
    local = await openLocalTunnel({ wakes: () => false });
    local.machine.set({ kind: 'stopped' });
    const response = await get(socket(), '/_ping');
    expect(response.statusCode).toBe(503);
    expect(local.machine.starts).toBe(0);
    await local.close();
  });

  test('gives a client up after its patience when no engine listens', async () => {
    local = await openLocalTunnel({ patienceMs: 200 });
    await local.stopServer();
    const response = await get(socket(), '/_ping');
    expect(response.statusCode).toBe(503);
    expect(await text(response)).toContain('nobody listens');
    await local.close();
  });

  test('a client that goes away while it waits leaves nothing behind', async () => {
    local = await openLocalTunnel();
    local.machine.set({ kind: 'stopped' });
    local.machine.onStart = () => new Promise(() => {});
    const client = connect(socket());
    await vi.waitFor(() => expect(local.tunnel.clients.waiting).toBe(1), SOON);
    client.destroy();
    await vi.waitFor(() => expect(local.tunnel.clients.joined).toBe(0), SOON);
    await local.close();
  });
});
