import { execFileSync } from 'node:child_process';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { canRun, Testbed } from '../engine/testbed.ts';

const IMAGE = 'skiff/welcome';

/** By the API where older docker CLIs have no flag for it. */
describe.skipIf(!canRun)('options of networks and endpoints (skipped without root on Linux)', () => {
  let bed: Testbed;
  const field = (name: string, format: string) => bed.ok('inspect', '-f', format, name);
  const inside = (name: string, ...command: string[]) => bed.ok('exec', name, ...command);
  /** Creates and starts a container with these endpoints. */
  const run = async (name: string, endpoints: Record<string, object>, host: object = {}) => {
    const [NetworkMode] = Object.keys(endpoints);
    const made = await bed.request('POST', `/containers/create?name=${name}`, {
      Image: IMAGE,
      StopSignal: 'KILL',
      HostConfig: { NetworkMode, ...host },
      NetworkingConfig: { EndpointsConfig: endpoints },
    });
    if (made.status !== 201) return made;
    return await bed.request('POST', `/containers/${name}/start`);
  };
  const create = (body: object) => bed.request('POST', '/networks/create', body);
  const network = async (Name: string, Subnet: string, rest: object = {}) => {
    const made = await create({ Name, IPAM: { Config: [{ Subnet }] }, ...rest });
    expect(made, Name).toMatchObject({ status: 201 });
  };
  const firewall = () =>
    execFileSync('nsenter', ['-t', String(bed.pid), '-n', '-m', 'nft', 'list', 'ruleset'], { encoding: 'utf8' });
  const page = (from: string, address: string) =>
    inside(from, 'sh', '-c', `wget -T 4 -qO- http://${address}/ >/dev/null 2>&1 && echo yes || echo no`);

  beforeAll(async () => {
    bed = new Testbed();
    await bed.start();
  });
  afterAll(() => bed[Symbol.asyncDispose]());

  test('the highest gateway priority is the way out, also when it comes and goes while the container runs', async () => {
    await network('alpha', '10.40.0.0/24');
    await network('beta', '10.41.0.0/24');
    await network('gamma', '10.42.0.0/24');
    expect(await run('prior', { alpha: {}, beta: { GwPriority: 5 } })).toMatchObject({ status: 204 });
    const route = () => inside('prior', 'ip', 'route');
    expect(await route()).toContain('default via 10.41.0.1');
    expect(await field('prior', '{{.NetworkSettings.Networks.beta.GwPriority}}')).toBe('5');
    const connect = { Container: 'prior', EndpointConfig: { GwPriority: 10 } };
    expect(await bed.request('POST', '/networks/gamma/connect', connect)).toMatchObject({ status: 200 });
    expect(await route()).toContain('default via 10.42.0.1');
    await bed.ok('network', 'disconnect', 'gamma', 'prior');
    expect(await route()).toContain('default via 10.41.0.1');
    await bed.ok('rm', '-f', 'prior');
    await bed.ok('network', 'rm', 'alpha', 'beta', 'gamma');
  });

  test("an interface's name, its sysctls and link-local addresses are chosen for one endpoint", async () => {
    await network('names', '10.43.0.0/24', { Options: { 'com.docker.network.container_iface_prefix': 'net' } });
    await network('plain', '10.44.0.0/24');
    const started = await run('chosen', {
      names: {},
      plain: {
        IPAMConfig: { LinkLocalIPs: ['169.254.34.68', 'fe80::77'] },
        DriverOpts: {
          'com.docker.network.endpoint.ifname': 'uplink0',
          'com.docker.network.endpoint.sysctls':
            'net.ipv4.conf.IFNAME.log_martians=1,net.ipv4.neigh.IFNAME.mcast_solicit=7',
        },
      },
    });
    expect(started, JSON.stringify(started.body)).toMatchObject({ status: 204 });
    const addresses = await inside('chosen', 'ip', '-o', 'addr');
    expect(addresses).toMatch(/: net0 +inet 10\.43\.0\.2\/24/);
    expect(addresses).toMatch(/: uplink0 +inet 10\.44\.0\.2\/24/);
    expect(addresses).toMatch(/: uplink0 +inet 169\.254\.34\.68\/16/);
    expect(addresses).toMatch(/: uplink0 +inet6 fe80::77\/64/);
    expect(await inside('chosen', 'cat', '/proc/sys/net/ipv4/conf/uplink0/log_martians')).toBe('1');
    expect(await inside('chosen', 'cat', '/proc/sys/net/ipv4/neigh/uplink0/mcast_solicit')).toBe('7');
    expect(await inside('chosen', 'cat', '/proc/sys/net/ipv4/conf/net0/log_martians')).toBe('0');
    await bed.ok('network', 'disconnect', 'plain', 'chosen');
    expect(await inside('chosen', 'ip', '-o', 'addr')).not.toContain('uplink0');
    await bed.ok('network', 'connect', 'plain', 'chosen');
    expect(await inside('chosen', 'ip', '-o', 'addr')).toMatch(/: eth1 +inet 10\.44\.0\.2\/24/);
    await bed.ok('rm', '-f', 'chosen');
    await bed.ok('network', 'rm', 'names', 'plain');
  });

  test("endpoint options that can't be are refused in Docker's words", async () => {
    await network('strict', '10.45.0.0/24');
    const option = (name: string, value: string) => ({
      strict: { DriverOpts: { [`com.docker.network.endpoint.${name}`]: value } },
    });
    expect(await run('bad', option('sysctls', 'net.ipv4.conf.eth0.log_martians=1'))).toMatchObject({
      status: 400,
      body: {
        message: expect.stringContaining("unrecognised network interface sysctl 'net.ipv4.conf.eth0.log_martians=1'"),
      },
    });
    for (const sysctl of ['net.ipv4.conf.IFNAME.nonsense=1', 'net.ipv4...IFNAME.x=1', 'net.ipv4.conf.IFNAME./../x=1']) {
      expect(await run('bad', option('sysctls', sysctl)), sysctl).not.toMatchObject({ status: 204 });
      await bed.docker(['rm', '-f', 'bad']);
    }
    for (const name of ['lo', 'much-too-long-for-a-name']) {
      expect(await run('bad', option('ifname', name))).toMatchObject({
        status: 500,
        body: { message: expect.stringMatching(new RegExp(`error renaming interface ".*" to "${name}"`)) },
      });
      await bed.ok('rm', '-f', 'bad');
    }
    expect(await run('bad', { strict: { IPAMConfig: { LinkLocalIPs: ['300.1.1.1'] } } })).toMatchObject({
      status: 400,
      body: { message: expect.stringContaining('invalid link-local IP address: 300.1.1.1') },
    });
    await bed.ok('network', 'rm', 'strict');
  });

  test('a configuration-only network holds what others are made from, and stays while they are', async () => {
    const options = { 'com.docker.network.driver.mtu': '1300' };
    await network('plan', '10.46.0.0/24', { ConfigOnly: true, Options: options, Labels: { from: 'plan' } });
    expect(await bed.ok('network', 'inspect', '-f', '{{.ConfigOnly}} {{.Driver}}', 'plan')).toBe('true null');
    await bed.ok('network', 'create', '--config-from', 'plan', 'built');
    const built = JSON.parse(await bed.ok('network', 'inspect', 'built'))[0];
    expect(built).toMatchObject({
      Driver: 'bridge',
      ConfigFrom: { Network: 'plan' },
      ConfigOnly: false,
      Labels: { from: 'plan' },
      Options: options,
      IPAM: { Config: [{ Subnet: '10.46.0.0/24', Gateway: '10.46.0.1' }] },
    });
    await bed.kill();
    await bed.start();
    expect(await bed.ok('run', '--rm', '--network', 'built', IMAGE, 'ip', 'addr', 'show', 'eth0')).toMatch(
      /mtu 1300[\s\S]*10\.46\.0\.2\/24/,
    );
    const refused = async (words: string, ...args: string[]) => {
      const { code, stderr } = await bed.docker(args);
      expect(code, args.join(' ')).not.toBe(0);
      expect(stderr).toContain(words);
    };
    await refused('configuration network "plan" is in use', 'network', 'rm', 'plan');
    await refused('cannot create endpoint on configuration-only network', 'run', '--network', 'plan', IMAGE);
    const from = ['network', 'create', '--config-from'];
    await refused('configuration network "built" does not exist', ...from, 'built', 'x');
    await refused('user specified configurations are not supported', ...from, 'plan', '--label', 'a=b', 'x');
    await refused('network driver options are not supported', ...from, 'plan', '-o', 'a=b', 'x');
    await refused('configuration network can only contain', 'network', 'create', '--config-only', '--internal', 'x');
    await refused('cannot depend on another configuration network', ...from, 'plan', '--config-only', 'x');
    expect(await bed.ok('network', 'prune', '-f')).toContain('built');
    expect(await bed.ok('network', 'ls', '-q', '--filter', 'type=custom')).not.toBe('');
    await bed.ok('network', 'rm', 'plan');
  });

  test('gateway modes: unprotected, routed, isolated', async () => {
    const mode = (value: string) => ({ 'com.docker.network.bridge.gateway_mode_ipv4': value });
    await network('outside', '10.47.0.0/24');
    await network('bare', '10.48.0.0/24', { Options: mode('nat-unprotected') });
    await network('routed', '10.49.0.0/24', { Options: mode('routed') });
    await network('alone', '10.50.0.0/24', { Options: mode('isolated'), Internal: true });
    await run('from', { outside: {} });
    await run('c1', { bare: {} });
    await run('c2', { routed: {} });
    expect(await page('from', '10.48.0.2')).toBe('yes');
    expect(await page('from', '10.49.0.2')).toBe('no');
    await bed.ok('rm', '-f', 'c2');
    await run('c2', { routed: {} }, { PortBindings: { '80/tcp': [{ HostPort: '8170' }] } });
    expect(await page('from', '10.49.0.2')).toBe('yes');
    expect(await field('c2', '{{json (index .NetworkSettings.Ports "80/tcp")}}')).toBe(
      '[{"HostIp":"0.0.0.0","HostPort":""}]',
    );
    await bed.kill();
    await bed.start();
    expect(await page('from', '10.49.0.2')).toBe('yes');
    await run('c3', { alone: {} });
    await run('c4', { alone: {} });
    expect(await page('c3', '10.50.0.3')).toBe('yes');
    const machine = await bed.inNetwork('ip', ['-o', '-4', 'addr']);
    expect(machine.stdout).toContain('10.48.0.1/24');
    expect(machine.stdout).not.toContain('10.50.0.');
    expect(await create({ Name: 'x', Options: mode('isolated') })).toMatchObject({
      status: 400,
      body: { message: "gateway mode 'isolated' can only be used for an internal network" },
    });
    expect(await create({ Name: 'x', Options: mode('odd') })).toMatchObject({
      status: 400,
      body: { message: expect.stringContaining('unknown gateway mode odd') },
    });
    await bed.ok('rm', '-f', 'from', 'c1', 'c2', 'c3', 'c4');
    await bed.ok('network', 'rm', 'outside', 'bare', 'routed', 'alone');
  });

  test('trusted interfaces reach published ports at the containers’ own addresses', async () => {
    await network('friend', '10.51.0.0/24', { Options: { 'com.docker.network.bridge.name': 'friendbr' } });
    await network('stranger', '10.52.0.0/24');
    await network('shop', '10.53.0.0/24', {
      Options: { 'com.docker.network.bridge.trusted_host_interfaces': 'friendbr:other0' },
    });
    await run('fr', { friend: {} });
    await run('st', { stranger: {} });
    await run('till', { shop: {} }, { PortBindings: { '80/tcp': [{ HostPort: '8171' }] } });
    expect(await page('fr', '10.53.0.2')).toBe('yes');
    expect(await page('st', '10.53.0.2')).toBe('no');
    expect(await page('st', '10.53.0.1:8171')).toBe('yes');
    await bed.ok('rm', '-f', 'fr', 'st', 'till');
    expect(firewall()).not.toContain('10.53.0.2 . 80');
    await bed.ok('network', 'rm', 'friend', 'stranger', 'shop');
  });

  test('the address that connections come from, and a bridge without an address of its own', async () => {
    await network('source', '10.54.0.0/24', { Options: { 'com.docker.network.host_ipv4': '10.99.0.1' } });
    expect(firewall()).toMatch(/ip saddr 10\.54\.0\.0\/24 oifname != "br-[0-9a-f]+" snat to 10\.99\.0\.1/);
    await network('bald', '10.55.0.0/24', { Options: { 'com.docker.network.bridge.inhibit_ipv4': 'true' } });
    await run('b1', { bald: {} });
    await run('b2', { bald: {} });
    expect(await page('b1', '10.55.0.3')).toBe('yes');
    expect((await bed.inNetwork('ip', ['-o', '-4', 'addr'])).stdout).not.toContain('10.55.0.');
    expect(await create({ Name: 'x', Options: { 'com.docker.network.host_ipv4': 'fe80::1' } })).toMatchObject({
      status: 400,
      body: { message: expect.stringContaining('failed to parse com.docker.network.host_ipv4 value: fe80::1') },
    });
    await bed.ok('rm', '-f', 'b1', 'b2');
    await bed.ok('network', 'rm', 'source', 'bald');
  });

  test('an SCTP port is translated by the kernel as the others are', async () => {
    await bed.ok('run', '-d', '--stop-signal', 'KILL', '--name', 'sctp', '-p', '127.0.0.1:8172:36412/sctp', IMAGE);
    expect(await bed.ok('port', 'sctp', '36412/sctp')).toBe('127.0.0.1:8172');
    expect(firewall()).toMatch(/map sctp_one \{[^}]*elements = \{ 127\.0\.0\.1 \. 8172 : 172\.17\.0\.\d+ \. 36412 \}/);
    const taken = await bed.docker(['run', '--rm', '-p', '8172:1/sctp', IMAGE, 'true']);
    expect(taken.stderr).toContain('Bind for 0.0.0.0:8172 failed: port is already allocated');
    await bed.ok('rm', '-f', 'sctp');
    expect(firewall()).not.toContain('36412');
  });
});
