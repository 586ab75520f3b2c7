import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { dockerCli } from '../../scripts/setup.mjs';
import { configureTls } from '../engine/certificates.ts';
import { canRun, Testbed } from '../engine/testbed.ts';

const docker = dockerCli() ?? 'docker';

describe.skipIf(!canRun)('skiffd and its daemon.json (skipped without root on Linux: needs namespaces)', () => {
  let bed: Testbed;

  beforeEach(() => {
    bed = new Testbed();
  });
  afterEach(() => bed[Symbol.asyncDispose]());

  it.each([
    ['{"registry-mirrors": "https://x"}', /registry-mirrors: expected a list of strings, not \\"https/],
    ['{"no-such-key": 1}', /no-such-key: the engine has no such key/],
    ['{"storage-driver": "btrfs"}', /storage-driver: can only be \\"overlay2/],
    ['{"exec-opts": ["native.cgroupdriver=systemd"]}', /exec-opts: can only be \[\\"native.cgroupdriver=cgroupfs/],
    ['{"default-runtime": "kata"}', /unknown or invalid runtime name: kata/],
    ['{"hosts": ["http://x"]}', /invalid host http:\/\/x/],
    ['{"hosts": ["tcp://0.0.0.0:2375"]}', /refusing to listen on tcp:\/\/0\.0\.0\.0:2375 without TLS/],
    ['{"debug": tr', /unable to configure the engine with file \/run\/host\/daemon\.json/],
    ['[]', /expected a JSON object/],
  ])('refuses to start with %s, and says what is wrong', async (text, words) => {
    bed.configure(text);
    await expect(bed.start()).rejects.toThrow(words);
  });

  it('reloads what it can on SIGHUP, tells so in an event, and says what needs a restart', async () => {
    bed.configure({ labels: ['a=1'], mtu: 1400 });
    await bed.start();
    expect(JSON.parse(await bed.ok('info', '--format', '{{json .}}'))).toMatchObject({ Labels: ['a=1'], Debug: false });

    bed.configure({
      labels: ['a=2'],
      debug: true,
      mtu: 1300,
      'insecure-registries': ['10.0.0.0/8'],
      runtimes: { other: { path: '/usr/bin/runc' } },
      'default-runtime': 'other',
    });
    const since = String(Date.now() / 1000 - 1);
    process.kill(bed.pid, 'SIGHUP');
    const info = async () => JSON.parse(await bed.ok('info', '--format', '{{json .}}'));
    await expect.poll(info, { timeout: 20_000 }).toMatchObject({ Labels: ['a=2'], Debug: true });
    expect((await info()).RegistryConfig.InsecureRegistryCIDRs).toContain('10.0.0.0/8');
    expect(await info()).toMatchObject({ DefaultRuntime: 'other' });
    await bed.ok('run', '--name', 'by-other', 'skiff/welcome', 'true');
    expect(await bed.ok('inspect', '-f', '{{.HostConfig.Runtime}}', 'by-other')).toBe('other');
    expect(bed.log).toMatch(/need a restart.*mtu/);
    const events = await bed.ok(
      'events',
      '--since',
      since,
      '--until',
      String(Date.now() / 1000 + 1),
      '--filter',
      'type=daemon',
      '--format',
      '{{json .}}',
    );
    expect(JSON.parse(events)).toMatchObject({ Action: 'reload', Actor: { Attributes: { debug: 'true' } } });

    bed.configure({ labels: ['a=3'], 'default-runtime': 'none-such' });
    process.kill(bed.pid, 'SIGHUP');
    await expect.poll(() => bed.log, { timeout: 20_000 }).toMatch(/invalid runtime name: none-such/);
    bed.configure('{"labels": 3}');
    process.kill(bed.pid, 'SIGHUP');
    await expect
      .poll(() => bed.log, { timeout: 20_000 })
      .toMatch(/labels.*expected|configuration not reloaded.*labels/);
    expect(await info()).toMatchObject({ Labels: ['a=2'] });
  });

  it('gives containers its defaults, which they may overrule', async () => {
    bed.configure({
      'log-driver': 'local',
      'log-opts': { 'max-size': '5m' },
      'default-shm-size': '16M',
      'default-ulimits': { nofile: { Name: 'nofile', Soft: 200, Hard: 300 } },
      init: true,
      'no-new-privileges': true,
      'cgroup-parent': '/skiff-test-parent',
      'default-runtime': 'runc',
      runtimes: { other: { path: '/usr/bin/crun' } },
    });
    await bed.start();
    const script =
      'ulimit -n; df -k /dev/shm | tail -1; cat /proc/1/comm; grep NoNewPrivs /proc/self/status; cat /proc/self/cgroup';
    const text = await bed.ok(
      'run',
      '--runtime',
      'other',
      '--name',
      'given',
      '--entrypoint',
      'sh',
      'skiff/welcome',
      '-c',
      script,
    );
    expect(text).toMatch(/^200$/m);
    expect(text).toMatch(/\b16384\b/);
    expect(text).toMatch(/^(docker-init|tini|catatonit)/m);
    expect(text).toMatch(/NoNewPrivs:\s*1/);
    expect(text).toMatch(/\/skiff-test-parent\//);
    const log = await bed.ok('inspect', '--format', '{{json .HostConfig.LogConfig}}', 'given');
    expect(JSON.parse(log)).toEqual({ Type: 'local', Config: { 'max-size': '5m' } });
    const own = [
      '--log-driver',
      'json-file',
      '--ulimit',
      'nofile=100:100',
      '--security-opt',
      'no-new-privileges=false',
    ];
    const mine = await bed.ok(
      'run',
      '--name',
      'own',
      ...own,
      '--runtime',
      'other',
      '--entrypoint',
      'sh',
      'skiff/welcome',
      '-c',
      script,
    );
    expect(mine).toMatch(/^100$/m);
    expect(mine).toMatch(/NoNewPrivs:\s*0/);
    expect(await bed.ok('inspect', '--format', '{{.HostConfig.LogConfig.Type}}', 'own')).toBe('json-file');
    expect(await bed.ok('info', '--format', '{{.LoggingDriver}} {{.DefaultRuntime}}')).toBe('local runc');
    await bed.ok('rm', 'given', 'own');
  });

  it('with live-restore leaves containers running when it ends, and finds them again', async () => {
    bed.configure({ 'live-restore': true });
    await bed.start();
    const image = 'skiff/welcome';
    const id = await bed.ok('run', '-d', '--entrypoint', 'sleep', image, '1000');
    const pid = await bed.ok('inspect', '--format', '{{.State.Pid}}', id);
    await bed.stop();
    expect(readFileSync(`/proc/${pid}/comm`, 'utf8').trim()).toBe('sleep');
    await bed.start();
    expect(await bed.ok('inspect', '--format', '{{.State.Running}} {{.State.Pid}} {{.RestartCount}}', id)).toBe(
      `true ${pid} 0`,
    );
    await bed.ok('rm', '-f', id);
    bed.configure({});
    process.kill(bed.pid, 'SIGHUP');
    await expect.poll(() => bed.ok('info', '--format', '{{.LiveRestoreEnabled}}'), { timeout: 20_000 }).toBe('false');
  });
});

describe.skipIf(!canRun)('remote access (skipped without root on Linux: needs namespaces)', () => {
  it('listens on several addresses, and shows its metrics where it is told to', async () => {
    await using bed = new Testbed({ hosts: ['tcp://127.0.0.1:2375', 'tcp://[::1]:2375'] });
    bed.configure({ 'metrics-addr': '127.0.0.1:9323' });
    await bed.start();
    for (const host of ['tcp://127.0.0.1:2375', 'tcp://[::1]:2375']) {
      expect(await bed.inNetwork(docker, ['-H', host, 'version', '--format', '{{.Server.Os}}'])).toMatchObject({
        code: 0,
        stdout: 'linux\n',
      });
    }
    const program = "fetch('http://127.0.0.1:9323/metrics').then((r) => r.text()).then(console.log)";
    const { stdout } = await bed.inNetwork(process.execPath, ['-e', program]);
    expect(stdout).toMatch(/^engine_daemon_container_states_containers\{state="running"\} 0$/m);
  });

  it('with tlsverify lets in whoever the authority knows, and nobody else', async () => {
    await using bed = new Testbed({ hosts: ['tcp://127.0.0.1:2376'] });
    const folder = configureTls(bed);
    await bed.start();
    const ask = (client: string) =>
      bed.inNetwork(docker, [
        ...['-H', 'tcp://127.0.0.1:2376', '--tlsverify', '--tlscacert', join(folder, 'ca.pem')],
        ...['--tlscert', join(folder, `${client}.pem`), '--tlskey', join(folder, `${client}-key.pem`)],
        ...['version', '--format', '{{.Server.Os}}'],
      ]);
    expect(await ask('client')).toMatchObject({ code: 0, stdout: 'linux\n' });
    expect((await ask('stranger')).stderr).toMatch(/certificate|tls/i);
    const without = await bed.inNetwork(docker, [
      ...['-H', 'tcp://127.0.0.1:2376', '--tls', '--tlscacert', join(folder, 'ca.pem'), 'version'],
    ]);
    expect(without.code).not.toBe(0);
  });
});
