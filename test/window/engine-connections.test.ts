import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Client } from '../../electron/contract/contract.ts';
import type { EngineAddress, EngineProblem, EngineTest } from '../../electron/contract/engines.ts';
import type { EngineState } from '../../electron/contract/state.ts';
import { createClients } from '../../electron/rpc/client.ts';
import { createPipe } from '../../electron/rpc/pipe.ts';
import { dockerCli } from '../../scripts/setup.mjs';
import { configureTls } from '../engine/certificates.ts';
import { canRun, Testbed } from '../engine/testbed.ts';
import { Sshd, sshdMissing } from '../tunnel/sshd.ts';
import { openTestApp, type TestApp } from './app.ts';
import { WayIn } from './way-in.ts';

const skip = sshdMissing() ?? (canRun ? undefined : 'the test bed needs root on Linux');
const soon = { timeout: 30_000, interval: 100 };

describe.skipIf(skip)(`connections to other engines${skip ? `, skipped: ${skip}` : ''}`, { timeout: 90_000 }, () => {
  let bed: Testbed;
  let app: TestApp;
  let way: WayIn;
  let sshd: Sshd;
  /** an sshd whose users have no docker command */
  let bare: Sshd;
  let home: string;
  let clients: ReturnType<typeof createClients>;
  let own: Client;
  const forever = new AbortController();

  beforeAll(async () => {
    home = mkdtempSync(join(tmpdir(), 'skiff-connections-'));
    bed = new Testbed({ hosts: ['tcp://127.0.0.1:2376'] });
    configureTls(bed);
    await bed.start();
    await bed.ok('volume', 'create', 'far-away');
    way = await WayIn.to(bed, 2376);
    // Only now: the test bed's files are the real user's.
    vi.stubEnv('HOME', home);
    vi.stubEnv('SSH_AUTH_SOCK', '');
    const docker = dockerCli() ?? 'docker';
    const path = isAbsolute(docker) ? `${dirname(docker)}:${process.env.PATH}` : process.env.PATH;
    // A home of their own: what this machine's user does at each login is not the test's.
    const empty = join(home, 'empty');
    mkdirSync(empty);
    sshd = new Sshd(join(home, 'sshd'), [`SetEnv HOME=${empty} DOCKER_HOST=unix://${bed.socket} PATH=${path}`]);
    bare = new Sshd(join(home, 'bare'), [`SetEnv HOME=${empty} PATH=${empty}`]);
    await Promise.all([sshd.start(), bare.start()]);
    app = await openTestApp();
    const { shell, app: end } = createPipe();
    app.app.serve(end);
    clients = createClients(shell);
    own = clients(undefined, forever.signal);
  }, 120_000);
  afterAll(async () => {
    forever.abort();
    await app?.close();
    await Promise.all([sshd?.stop(), bare?.stop()]);
    await way?.close();
    await bed?.[Symbol.asyncDispose]();
    rmSync(home, { recursive: true, force: true });
    vi.unstubAllEnvs();
  });
  beforeEach(() => knownHosts(''));

  const file = (name: string) => join(bed.shared, 'tls', name);
  const tls = (changes: Partial<Extract<EngineAddress, { kind: 'tls' }>> = {}): EngineAddress => ({
    kind: 'tls',
    host: '127.0.0.1',
    port: way.port,
    ca: file('ca.pem'),
    cert: file('client.pem'),
    key: file('client-key.pem'),
    ...changes,
  });
  const ssh = (to: Sshd, changes: Partial<Extract<EngineAddress, { kind: 'ssh' }>> = {}): EngineAddress => ({
    kind: 'ssh',
    host: '127.0.0.1',
    port: to.endpoint('').port,
    user: userInfo().username,
    key: join(home, to === sshd ? 'sshd' : 'bare', 'user'),
    hostKey: hostKey(to),
    ...changes,
  });
  const hostKey = (of: Sshd) => `ssh-ed25519 ${of.endpoint('').hostKey.toString('base64')}`;
  function knownHosts(text: string): void {
    mkdirSync(join(home, '.ssh'), { recursive: true });
    writeFileSync(join(home, '.ssh', 'known_hosts'), text);
  }
  const problem = (found: EngineTest): EngineProblem | undefined => (found.ok ? undefined : found.problem);
  const code = async (address: EngineAddress) => problem(await own.engines.test(address))?.code ?? 'works';

  /** Adds the engine, and hears its state for as long as the test lasts. */
  async function looked(name: string, address: EngineAddress) {
    const id = await own.engines.add({ name, address });
    const end = new AbortController();
    const client = clients(id, end.signal);
    let state: EngineState | undefined;
    const states = (async () => {
      for await (const next of client.engine.state()) state = next;
    })();
    return {
      id,
      client,
      state: () => state,
      ready: () => vi.waitFor(() => expect(state).toMatchObject({ kind: 'ready' }), soon),
      async [Symbol.asyncDispose]() {
        end.abort();
        await states;
        await own.engines.remove(id);
      },
    };
  }

  describe('through a unix socket', () => {
    test('works, and says what it found', async () => {
      const found = await own.engines.test({ kind: 'unix', path: bed.socket });
      expect(found).toMatchObject({ ok: true, apiVersion: expect.stringMatching(/^1\.\d+$/) });
    });

    test('says that there is none, or that nobody listens', async () => {
      expect(await code({ kind: 'unix', path: join(home, 'none.sock') })).toBe('no-socket');
      expect(await code({ kind: 'unix', path: join(home, '.ssh') })).toMatch(/refused|no-socket|denied/);
    });
  });

  describe('through TCP', () => {
    test('says that nobody listens, that the name is unknown, and that it wants TLS', async () => {
      const back = await way.drop();
      expect(await code({ kind: 'tcp', host: '127.0.0.1', port: way.port })).toBe('refused');
      await back();
      expect(await code({ kind: 'tcp', host: 'no-such-host.invalid', port: 2375 })).toBe('no-host');
      expect(await code({ kind: 'tcp', host: '127.0.0.1', port: way.port })).toBe('needs-tls');
    });

    test('says that what answers is not an engine', async () => {
      const { port } = new URL(await app.link());
      expect(await code({ kind: 'tcp', host: '127.0.0.1', port: Number(port) })).toBe('not-docker');
      expect(await code(tls({ port: Number(port) }))).toBe('not-tls');
      expect(await code({ kind: 'tcp', host: '127.0.0.1', port: sshd.endpoint('').port })).toBe('not-docker');
    });
  });

  describe('through TLS', () => {
    test('works with the certificate that the engine’s authority has signed', async () => {
      await using engine = await looked('by tls', tls());
      await engine.ready();
      expect((await engine.client.volumes.list()).map(({ name }) => name)).toEqual(['far-away']);
    });

    test('says whose certificate is refused, ours or the engine’s', async () => {
      expect(await code(tls({ cert: '', key: '' }))).toBe('client-certificate');
      expect(await code(tls({ cert: file('stranger.pem'), key: file('stranger-key.pem') }))).toBe('client-certificate');
      expect(await code(tls({ ca: file('other-ca.pem') }))).toBe('server-certificate');
      expect(await code(tls({ ca: '' }))).toBe('server-certificate');
      expect(await code(tls({ host: 'localhost' }))).toBe('server-certificate');
    });

    test('names the file that can’t be used', async () => {
      const missing = problem(await own.engines.test(tls({ key: file('none.pem') })));
      expect(missing).toMatchObject({ code: 'file', values: { file: file('none.pem') } });
      writeFileSync(file('nonsense.pem'), 'nonsense');
      expect(await code(tls({ cert: file('nonsense.pem') }))).toBe('file');
    });

    test('an engine that goes away is lost with a reason, and is there again when it is back', async () => {
      await using engine = await looked('to and fro', tls());
      await engine.ready();
      const back = await way.drop();
      const lost = {
        kind: 'lost',
        problem: { code: 'refused', values: { host: expect.stringContaining('127.0.0.1:') } },
      };
      await vi.waitFor(() => expect(engine.state()).toMatchObject(lost), soon);
      await expect(engine.client.containers.list()).rejects.toMatchObject({ kind: 'unavailable' });
      await back();
      await engine.client.engine.retry();
      await engine.ready();
      await expect(engine.client.containers.list()).resolves.toEqual([]);
    });
  });

  describe('through SSH', () => {
    test('runs the docker command of that host, for more connections than one login carries', async () => {
      await using engine = await looked('by ssh', ssh(sshd));
      await engine.ready();
      const answers = await Promise.all(Array.from({ length: 25 }, () => engine.client.volumes.list()));
      expect(answers.flat().filter(({ name }) => name === 'far-away')).toHaveLength(25);
      // Streams that stay open take a connection each.
      const end = new AbortController();
      const ids = await Promise.all(
        Array.from({ length: 12 }, () => bed.ok('run', '-d', 'skiff/welcome', 'sh', '-c', 'echo here; sleep 600')),
      );
      const said = ids.map(async (id) => {
        const request = { tail: 'all' as const, follow: true, timestamps: false };
        for await (const { text } of engine.client.containers.logs(id, request, end.signal)) return text;
        return '';
      });
      expect(await Promise.all(said)).toEqual(ids.map(() => 'here\n'));
      end.abort();
      await bed.ok('rm', '-f', ...ids);
    });

    test('a terminal, a file and an image go through it', async () => {
      await using engine = await looked('by ssh', ssh(sshd));
      await engine.ready();
      const id = await bed.ok('run', '-d', '--name', 'shell', 'skiff/welcome', 'sleep', '600');
      const { containers, images } = engine.client;
      let screen = '';
      let session = '';
      const request = { command: ['sh'], size: { columns: 80, rows: 24 } };
      for await (const news of containers.terminal(id, request)) {
        if (news.kind === 'opened') {
          session = news.session;
          await containers.terminalInput(session, 'echo $((6 * 7)); exit 3\n');
        } else if (news.kind === 'output') screen += Buffer.from(news.data).toString();
        else expect(news.exitCode).toBe(3);
      }
      expect(screen).toMatch(/^42\r?$/m);
      const content = new Uint8Array(300_000).fill(7);
      const upload = await containers.uploadBegin(id, '/tmp', { name: 'sevens', size: content.length });
      for (let at = 0; at < content.length; at += 100_000) {
        await containers.uploadPart(upload, content.subarray(at, at + 100_000));
      }
      await containers.uploadEnd(upload);
      const parts: Uint8Array[] = [];
      for await (const part of containers.readFile(id, '/tmp/sevens')) parts.push(part);
      expect(Buffer.concat(parts).equals(content)).toBe(true);
      const tar = join(home, 'welcome.tar');
      const task = await images.save(['skiff/welcome:latest'], tar);
      await ended(task);
      expect(readFileSync(tar).length).toBeGreaterThan(1_000_000);
      await bed.ok('rm', '-f', id);
    });

    test('shows the fingerprint of a host that it does not know, and takes it when it was accepted', async () => {
      const found = problem(await own.engines.test(ssh(sshd, { hostKey: '' })));
      expect(found).toMatchObject({
        code: 'ssh-unknown-host',
        hostKey: hostKey(sshd),
        values: { type: 'ssh-ed25519', fingerprint: expect.stringMatching(/^SHA256:[\w+/]{43}$/) },
      });
      expect(await code(ssh(sshd, { hostKey: found?.hostKey ?? '' }))).toBe('works');
    });

    test('knows the hosts of known_hosts, and refuses one whose key has changed', async () => {
      const { port } = sshd.endpoint('');
      knownHosts(`[127.0.0.1]:${port} ${hostKey(sshd)}\n`);
      expect(await code(ssh(sshd, { hostKey: '' }))).toBe('works');
      knownHosts(`[127.0.0.1]:${port} ${hostKey(bare)}\n`);
      expect(await code(ssh(sshd, { hostKey: '' }))).toBe('ssh-changed-host');
      // What the user's own file says comes before what was accepted once.
      expect(await code(ssh(sshd))).toBe('ssh-changed-host');
      knownHosts('');
      expect(await code(ssh(sshd, { hostKey: hostKey(bare) }))).toBe('ssh-changed-host');
    });

    test('says that the login is refused, or that the key can’t be used', async () => {
      const refused = problem(await own.engines.test(ssh(sshd, { key: join(home, 'bare', 'user') })));
      expect(refused).toMatchObject({ code: 'ssh-login', values: { user: userInfo().username } });
      expect(await code(ssh(sshd, { key: '' }))).toBe('ssh-login');
      expect(await code(ssh(sshd, { key: join(home, 'none') }))).toBe('file');
      expect(await code(ssh(sshd, { port: 1 }))).toBe('refused');
    });

    test('takes the user’s usual key when none is named', async () => {
      const usual = join(home, '.ssh', 'id_ed25519');
      writeFileSync(usual, readFileSync(join(home, 'sshd', 'user')));
      chmodSync(usual, 0o600);
      expect(await code(ssh(sshd, { key: '' }))).toBe('works');
      rmSync(usual);
    });

    test('says that the host has no engine to reach', async () => {
      expect(await code(ssh(bare))).toBe('ssh-docker');
    });

    test('is made anew when the login was lost', async () => {
      await using engine = await looked('by ssh', ssh(sshd));
      await engine.ready();
      await sshd.stop();
      await vi.waitFor(
        () => expect(engine.state()).toMatchObject({ kind: 'lost', problem: { code: 'refused' } }),
        soon,
      );
      await sshd.start();
      await engine.ready();
      expect((await engine.client.volumes.list()).map(({ name }) => name)).toEqual(['far-away']);
    });
  });

  test('files of a volume are seen also where Skiff’s helper image is not', async () => {
    await bed.ok('run', '--rm', '-v', 'far-away:/v', 'skiff/welcome', 'sh', '-c', 'echo far >/v/note');
    await bed.ok('tag', 'skiff/welcome', 'kept:1');
    await bed.ok('rmi', 'skiff/welcome:latest');
    await using engine = await looked('volumes', { kind: 'unix', path: bed.socket });
    await engine.ready();
    expect((await engine.client.volumes.folder('far-away', '')).entries.map(({ name }) => name)).toEqual(['note']);
    expect(await bed.ok('images', '-q', 'skiff/volume-helper')).toBe('');
    expect(await bed.ok('ps', '-aq')).toBe('');
    await bed.ok('tag', 'kept:1', 'skiff/welcome');
    await bed.ok('rmi', 'kept:1');
  });

  test('a task says on which engine it works, and goes on when nobody looks at that', async () => {
    const id = await own.engines.add({ name: 'slow', address: { kind: 'unix', path: bed.socket } });
    const end = new AbortController();
    const client = clients(id, end.signal);
    for await (const state of client.engine.state()) if (state.kind === 'ready') break;
    const task = await client.images.save(['skiff/welcome:latest'], join(home, 'slow.tar'));
    end.abort();
    expect(await ended(task)).toMatchObject({ state: 'done', engine: { id, name: 'slow' } });
    await own.engines.remove(id);
    await expect(clients(id, forever.signal).containers.list()).rejects.toMatchObject({ kind: 'not-found' });
  });

  async function ended(id: string) {
    for await (const tasks of own.tasks.watch()) {
      const task = tasks.find((one) => one.id === id);
      if (task?.state === 'failed') throw new Error(task.error?.message);
      if (task && task.state !== 'running') return task;
    }
    return undefined;
  }
});
