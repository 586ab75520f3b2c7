import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { REGISTRY, REGISTRY_PORT, Web } from '../build/web.ts';
import { makePlugin, SAMPLE_CONFIG } from './sample-plugin.ts';
import { canRun, Testbed } from './testbed.ts';

const IMAGE = 'skiff/welcome';
const NAME = `${REGISTRY}/me/toy:1`;

interface Inspected {
  readonly Id: string;
  readonly Enabled: boolean;
  readonly PluginReference: string;
  readonly Settings: { readonly Env: string[]; readonly Args: string[] };
}

/** A plugin's processes on this machine, by its cgroup. */
function processesOf(id: string): string[] {
  const line = `grep -l ${id} /proc/[0-9]*/cgroup 2>/dev/null || true`;
  return execFileSync('sh', ['-c', line], { encoding: 'utf8' }).split('\n').filter(Boolean);
}

describe.skipIf(!canRun)('managed plugins, by the docker CLI (skipped without root on Linux)', () => {
  const folder = mkdtempSync(join(tmpdir(), 'skiff-plugin-'));
  let bed: Testbed;
  const web = new Web();
  const onMachine = (line: string) =>
    execFileSync('nsenter', ['-t', String(bed.pid), '-m', 'sh', '-c', line], { encoding: 'utf8' });
  const refused = async (...args: string[]) => {
    const { code, stderr } = await bed.docker(args);
    expect(code).not.toBe(0);
    return stderr.trim();
  };
  const inspect = async (name = NAME) => JSON.parse(await bed.ok('plugin', 'inspect', name))[0] as Inspected;
  const processes = async () => processesOf((await inspect()).Id);

  beforeAll(async () => {
    makePlugin(join(folder, 'toy'));
    bed = new Testbed();
    await bed.start();
    await web.startRegistry(bed, REGISTRY_PORT);
  });
  afterAll(async () => {
    await web[Symbol.asyncDispose]();
    await bed?.[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  test('one is made of a folder, pushed, removed and installed again with a setting', async () => {
    await bed.ok('plugin', 'create', NAME, join(folder, 'toy'));
    expect(await bed.ok('plugin', 'ls', '--format', '{{.Name}} {{.Enabled}}')).toBe(`${NAME} false`);
    expect(await bed.ok('plugin', 'push', NAME)).toMatch(/digest: sha256:[0-9a-f]{64}/);
    await bed.ok('plugin', 'rm', NAME);
    expect(await bed.ok('plugin', 'ls', '-q')).toBe('');

    const asked = await bed.docker(['plugin', 'install', NAME], 'n\n');
    expect(asked.stdout).toContain('capabilities: [CAP_SYS_ADMIN]');
    expect(await bed.ok('plugin', 'ls', '-q')).toBe('');

    await bed.ok('plugin', 'install', '--grant-all-permissions', NAME, 'PREFIX=set:');
    const { Enabled, PluginReference, Settings } = await inspect();
    expect({ Enabled, PluginReference }).toEqual({ Enabled: true, PluginReference: NAME });
    expect(Settings).toMatchObject({ Env: ['PREFIX=set:', 'FIXED=1'], Args: ['hello'] });
    expect(bed.log).toContain('the plugin listens with hello');
  });

  test('containers use its volumes, folders as well as what it mounts itself', async () => {
    expect(await bed.ok('volume', 'create', '-d', NAME, 'things')).toBe('things');
    await bed.ok('volume', 'create', '-d', NAME, '-o', 'tmpfs=1', 'mounted');
    expect(await bed.ok('volume', 'ls', '--format', '{{.Driver}} {{.Name}}')).toBe(`${NAME} mounted\n${NAME} things`);
    const volumes = ['-v', 'things:/t', '-v', 'mounted:/m'];
    await bed.ok('run', '--rm', ...volumes, IMAGE, 'sh', '-c', 'echo here > /t/file; echo there > /m/file');
    expect(await bed.ok('run', '--rm', ...volumes, IMAGE, 'sh', '-c', 'cat /t/file /m/file; mount')).toMatch(
      /^here\nthere\n[\s\S]*tmpfs on \/m type tmpfs/,
    );
    const calls = onMachine('cat /var/lib/skiff/plugins/*/rootfs/data/log/calls').split('\n');
    expect(calls).toContain('set:VolumeDriver.Create');
    expect(calls.filter((call) => call === 'set:VolumeDriver.Mount')).toHaveLength(4);
    expect(calls.filter((call) => call === 'set:VolumeDriver.Unmount')).toHaveLength(4);
  });

  test('it and its volumes live on when the engine is killed, and it comes back when it is killed itself', async () => {
    await bed.ok('run', '-d', '--name', 'user', '--stop-signal', 'KILL', '-v', 'things:/t', IMAGE, 'sleep', '1000');
    const before = await processes();
    expect(before).toHaveLength(1);
    await bed.kill();
    await bed.start();
    expect(await processes()).toEqual(before);
    expect((await inspect()).Enabled).toBe(true);
    expect(await bed.ok('exec', 'user', 'cat', '/t/file')).toBe('here');
    await bed.ok('volume', 'create', '-d', NAME, 'after');
    await bed.ok('volume', 'rm', 'after');

    execFileSync('kill', ['-9', /\d+/.exec(before[0]!)![0]]);
    await expect.poll(processes, { timeout: 20_000 }).not.toEqual(before);
    await expect.poll(async () => (await bed.docker(['volume', 'create', '-d', NAME, 'again'])).code).toBe(0);
    expect(await bed.ok('exec', 'user', 'cat', '/t/file')).toBe('here');
    expect(await bed.ok('run', '--rm', '-v', 'things:/t', IMAGE, 'cat', '/t/file')).toBe('here');
    await bed.ok('volume', 'rm', 'again');
  });

  test('what is in use, enabled, or not to be set is refused in words of dockerd', async () => {
    const says = 'Error response from daemon: ';
    expect(await refused('plugin', 'disable', NAME)).toBe(`${says}plugin ${NAME} is in use`);
    expect(await refused('plugin', 'rm', NAME)).toBe(`${says}plugin ${NAME} is in use`);
    await bed.ok('rm', '-f', 'user');
    await bed.ok('volume', 'rm', 'things', 'mounted');
    expect(await refused('plugin', 'rm', NAME)).toBe(`${says}plugin ${NAME} is enabled`);
    expect(await refused('plugin', 'set', NAME, 'PREFIX=x')).toBe(
      `${says}cannot set on an active plugin, disable plugin before setting`,
    );
    expect(await refused('plugin', 'enable', NAME)).toBe(`${says}plugin already enabled: plugin ${NAME} is enabled`);
    await bed.ok('plugin', 'disable', NAME);
    expect(await processes()).toEqual([]);
    expect(await refused('plugin', 'disable', NAME)).toBe(
      `${says}plugin is already disabled: plugin ${NAME} found but disabled`,
    );
    expect(await refused('volume', 'create', '-d', NAME, 'x')).toBe(
      `${says}create x: error looking up volume plugin ${NAME}: plugin ${NAME} found but disabled`,
    );
    expect(await refused('plugin', 'set', NAME, 'FIXED=2')).toBe(`${says}"FIXED" is not settable`);
    expect(await refused('plugin', 'set', NAME, 'NOPE=2')).toBe(
      `${says}setting "NOPE" not found in the plugin configuration`,
    );
    expect(await refused('plugin', 'set', NAME, '=2')).toBe(
      `${says}invalid format, must be <name>[.<field>][=<value>]`,
    );
    await bed.ok('plugin', 'set', NAME, 'words=a b', 'PREFIX.value=y');
    expect((await inspect()).Settings).toMatchObject({ Env: ['PREFIX=y', 'FIXED=1'], Args: ['a', 'b'] });
    for (const verb of ['enable', 'disable', 'rm']) {
      expect(await refused('plugin', verb, 'nope')).toBe(`${says}plugin "nope" not found`);
    }
  });

  test('an upgrade brings another image and keeps the settings', async () => {
    await bed.ok('plugin', 'install', '--disable', '--grant-all-permissions', '--alias', 'mine', NAME, 'PREFIX=kept');
    const newer = { ...SAMPLE_CONFIG, description: 'A newer toy' };
    writeFileSync(join(folder, 'toy/config.json'), JSON.stringify(newer));
    await bed.ok('plugin', 'create', `${REGISTRY}/me/toy:2`, join(folder, 'toy'));
    await bed.ok('plugin', 'push', `${REGISTRY}/me/toy:2`);
    await bed.ok('plugin', 'upgrade', '--grant-all-permissions', '--skip-remote-check', 'mine', `${REGISTRY}/me/toy:2`);
    expect(await bed.ok('plugin', 'inspect', '-f', '{{.Config.Description}} {{.Settings.Env}}', 'mine')).toBe(
      'A newer toy [PREFIX=kept FIXED=1]',
    );
    await bed.ok('plugin', 'enable', 'mine');
    expect(await refused('plugin', 'upgrade', 'mine', `${REGISTRY}/me/toy:1`)).toContain('must be disabled');
    await bed.ok('plugin', 'rm', '-f', 'mine', `${REGISTRY}/me/toy:2`);
  });

  test('what is no plugin is told from what is not there', async () => {
    await bed.ok('tag', IMAGE, `${REGISTRY}/me/image:1`);
    await bed.ok('push', '-q', `${REGISTRY}/me/image:1`);
    expect(await refused('plugin', 'install', '--grant-all-permissions', `${REGISTRY}/me/image:1`)).toBe(
      `Error response from daemon: did not find plugin config for specified reference ${REGISTRY}/me/image:1`,
    );
    expect(await refused('plugin', 'install', '--grant-all-permissions', `${REGISTRY}/me/none:1`)).toContain(
      `error resolving plugin reference: ${REGISTRY}/me/none:1: not found`,
    );
    expect(await refused('pull', NAME)).toContain(
      'Encountered remote "application/vnd.docker.plugin.v1+json"(plugin) when fetching',
    );
    expect(await bed.ok('plugin', 'ls', '--format', '{{.Name}}')).toBe(NAME);
  });

  test('an enabled one ends and starts with the engine, before containers that need it', async () => {
    const { Id } = await inspect();
    await bed.ok('plugin', 'enable', NAME);
    await bed.ok(
      'run',
      '-d',
      '--name',
      'always',
      '--restart=always',
      '--stop-signal',
      'KILL',
      '-v',
      'kept:/k',
      '--volume-driver',
      NAME,
      IMAGE,
      'sleep',
      '1000',
    );
    await bed.stop();
    expect(processesOf(Id)).toEqual([]);
    await bed.start();
    expect(await processes()).toHaveLength(1);
    await expect.poll(() => bed.ok('ps', '-q', '--filter', 'name=always')).not.toBe('');
    await bed.ok('rm', '-f', 'always');
    await bed.ok('volume', 'rm', 'kept');
  });

  test('lists are filtered; forced, it goes although it is enabled and in use', async () => {
    const list = (...filters: string[]) =>
      bed.ok('plugin', 'ls', '--format', '{{.Name}}', ...filters.flatMap((filter) => ['--filter', filter]));
    expect(await list('enabled=true', 'capability=volumedriver')).toBe(NAME);
    expect(await list('enabled=false')).toBe('');
    expect(await list('capability=authz')).toBe('');
    expect(await refused('plugin', 'ls', '--filter', 'nope=1')).toContain("invalid filter 'nope'");
    await bed.ok('volume', 'create', '-d', NAME, 'lost');
    await bed.ok('plugin', 'disable', '-f', NAME);
    expect(await refused('run', '--rm', '-v', 'lost:/l', IMAGE, 'true')).toContain('found but disabled');
    await bed.ok('plugin', 'enable', NAME);
    await bed.ok('plugin', 'rm', '-f', NAME);
    expect(await list()).toBe('');
    await bed.ok('volume', 'rm', '-f', 'lost');
    expect(onMachine('ls /var/lib/skiff/plugins /run/docker/plugins; mount | grep plugins || true').trim()).not.toMatch(
      /[0-9a-f]{64}/,
    );
  });

  test('an authorization plugin is asked until it is disabled, which can always be done', async () => {
    const guard = { ...SAMPLE_CONFIG, interface: { types: ['docker.authz/1.0'], socket: 'toy.sock' } };
    writeFileSync(join(folder, 'toy/config.json'), JSON.stringify(guard));
    await bed.ok('plugin', 'create', 'guard', join(folder, 'toy'));
    await bed.ok('plugin', 'enable', 'guard');
    bed.configure({ 'authorization-plugins': ['guard'] });
    await bed.stop();
    await bed.start();
    expect(await refused('volume', 'inspect', 'forbidden')).toContain(
      'authorization denied by plugin guard: the toy says no',
    );
    await bed.ok('plugin', 'disable', 'guard');
    expect(await refused('volume', 'inspect', 'forbidden')).toContain('no such volume');
    await bed.ok('plugin', 'rm', 'guard');
  });

  test('what this engine asks no plugin for is refused when it is enabled, and one that does not come up is disabled', async () => {
    const broken = join(folder, 'broken');
    mkdirSync(join(broken, 'rootfs'), { recursive: true });
    const write = (config: object) => writeFileSync(join(broken, 'config.json'), JSON.stringify(config));
    write({ interface: { types: ['docker.networkdriver/1.0'], socket: 'x.sock' }, entrypoint: ['/x'] });
    await bed.ok('plugin', 'create', 'net', broken);
    expect(await refused('plugin', 'enable', 'net')).toContain('plugin net:latest implements networkdriver');
    write({ interface: { types: ['docker.volumedriver/1.0'], socket: 'x.sock' }, entrypoint: ['/missing'] });
    await bed.ok('plugin', 'create', 'dead', broken);
    expect(await refused('plugin', 'enable', 'dead')).toContain('/missing');
    expect(await bed.ok('plugin', 'ls', '--format', '{{.Name}} {{.Enabled}}')).toBe(
      'dead:latest false\nnet:latest false',
    );
    await bed.ok('plugin', 'rm', 'net', 'dead');
    // Nothing of any of them is left.
    await bed.stop();
    expect(await bed.fsck()).toMatchObject({ code: 0 });
    await bed.start();
  });
});
