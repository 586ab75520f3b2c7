import { PassThrough } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';

import Docker from 'dockerode';
import { extract, pack } from 'tar-stream';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';

import { canRun, Testbed } from './testbed.ts';

const IMAGE = 'skiff/welcome';
let bed: Testbed;

describe.skipIf(!canRun)('other clients than the docker CLI (skipped without root on Linux)', () => {
  beforeAll(async () => {
    bed = new Testbed();
    await bed.start();
  });
  afterAll(async () => {
    const left = (await bed.ok('ps', '-aq')).split('\n').filter(Boolean);
    if (left.length > 0) await bed.ok('rm', '-f', ...left);
    await bed[Symbol.asyncDispose]();
  });

  describe('dockerode', () => {
    const docker = (): Docker => new Docker({ socketPath: bed.socket });

    test('runs a container and streams its output', async () => {
      const out = new PassThrough();
      const output = text(out);
      const [result, container] = await docker().run(IMAGE, ['sh', '-c', 'echo out; exit 3'], out, { Tty: true });
      out.end();
      expect(result.StatusCode).toBe(3);
      expect(await output).toBe('out\r\n');
      await container.remove();
    });

    test('attaches with its input by a hijacked connection, both streams apart', async () => {
      const container = await docker().createContainer({
        Image: IMAGE,
        Cmd: ['sh', '-c', 'read word; echo got $word; echo err >&2'],
        OpenStdin: true,
        StdinOnce: true,
      });
      const stream = await container.attach({ stream: true, hijack: true, stdin: true, stdout: true, stderr: true });
      const [out, err] = [new PassThrough(), new PassThrough()];
      container.modem.demuxStream(stream, out, err);
      const both = Promise.all([text(out), text(err)]);
      await container.start();
      stream.write('word\n');
      stream.on('end', () => {
        out.end();
        err.end();
      });
      expect(await both).toEqual(['got word\n', 'err\n']);
      await container.wait();
      await container.remove();
    });

    test('execs, inspects, tops, counts and copies', async () => {
      const container = await docker().createContainer({
        Image: IMAGE,
        Cmd: ['sleep', '1000'],
        HostConfig: { Init: true },
      });
      await container.start();
      const exec = await container.exec({ Cmd: ['sh', '-c', 'echo inner; exit 5'], AttachStdout: true });
      const stream = await exec.start({});
      expect((await buffer(stream)).toString('latin1')).toContain('inner\n');
      await vi.waitFor(async () => expect((await exec.inspect()).ExitCode).toBe(5), 10_000);
      expect((await container.top()).Processes.length).toBeGreaterThan(0);
      expect((await container.stats({ stream: false })).memory_stats.usage).toBeGreaterThan(0);
      const archive = pack();
      archive.entry({ name: 'file' }, 'copied in');
      archive.finalize();
      await container.putArchive(await buffer(archive), { path: '/tmp' });
      const reader = extract();
      const found: string[] = [];
      reader.on('entry', (header, body, next) => {
        found.push(header.name);
        void text(body).then((content) => {
          found.push(content);
          next();
        });
      });
      const back = await container.getArchive({ path: '/tmp/file' });
      await new Promise<void>((resolve) => back.pipe(reader).on('finish', () => resolve()));
      expect(found).toEqual(['file', 'copied in']);
      await container.stop({ t: 5 });
      expect((await container.inspect()).State).toMatchObject({ Status: 'exited', Running: false });
      await container.remove();
    });

    test('follows logs and events', async () => {
      const events = await docker().getEvents({ filters: { type: ['container'], event: ['die'] } });
      const died = new Promise<string>((resolve) => events.once('data', (line: Buffer) => resolve(line.toString())));
      const container = await docker().createContainer({
        Image: IMAGE,
        Cmd: ['sh', '-c', 'echo one; sleep 0.3; echo two'],
        Tty: true,
      });
      await container.start();
      const logs = await container.logs({ follow: true, stdout: true, stderr: true });
      expect(await text(logs)).toBe('one\r\ntwo\r\n');
      expect(JSON.parse(await died)).toMatchObject({ Action: 'die', Actor: { ID: container.id } });
      (events as unknown as PassThrough).destroy();
      await container.remove();
    });

    test('is told of its faults by status', async () => {
      await expect(docker().getContainer('nosuch').inspect()).rejects.toMatchObject({ statusCode: 404 });
      await expect(docker().createContainer({ Image: 'nosuch/image' })).rejects.toMatchObject({ statusCode: 404 });
      await expect(docker().createContainer({ Image: IMAGE, HostConfig: { Memory: 1 } })).rejects.toMatchObject({
        statusCode: 400,
      });
    });
  });

  test('testcontainers-node starts, waits, execs, copies and stops', async () => {
    vi.stubEnv('DOCKER_HOST', `unix://${bed.socket}`);
    vi.stubEnv('TESTCONTAINERS_RYUK_DISABLED', 'true');
    // Its pull policy asks for nothing that is there.
    const { GenericContainer, Network, Wait } = await import('testcontainers');
    const network = await new Network().start();
    const container = await new GenericContainer(IMAGE)
      .withCommand(['sh', '-c', 'echo it is ready; exec sleep 1000'])
      .withEnvironment({ STAGE: 'test' })
      .withLabels({ team: 'red' })
      .withNetwork(network)
      .withNetworkAliases('service')
      .withTmpFs({ '/scratch': 'rw' })
      .withCopyContentToContainer([{ content: 'given', target: '/etc/given' }])
      .withWaitStrategy(Wait.forLogMessage('it is ready'))
      .start();
    expect((await container.exec(['cat', '/etc/given'])).output).toBe('given');
    expect(await container.exec(['sh', '-c', 'echo $STAGE; exit 4'])).toMatchObject({ exitCode: 4, output: 'test\n' });
    await container.copyContentToContainer([{ content: 'later', target: '/tmp/later' }]);
    expect((await container.exec('cat /tmp/later')).output).toBe('later');
    expect(container.getLabels()).toMatchObject({ team: 'red' });
    await container.restart({ timeout: 1 });
    expect((await container.exec('echo again')).output).toBe('again\n');
    await container.stop({ timeout: 1 });
    await network.stop();
    expect(await bed.ok('ps', '-aq', '--filter', 'label=team=red')).toBe('');
    vi.unstubAllEnvs();
  });
});
