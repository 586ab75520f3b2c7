import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { canRun, Testbed } from '../engine/testbed.ts';

const IMAGE = 'skiff/welcome';

describe.skipIf(!canRun)('networks as daemon.json has them (skipped without root on Linux)', () => {
  let bed: Testbed;
  const subnets = async (name: string) =>
    (await bed.ok('network', 'inspect', '-f', '{{range .IPAM.Config}}{{.Subnet}} {{.Gateway}} {{end}}', name)).split(
      ' ',
    );

  beforeAll(async () => {
    bed = new Testbed();
    bed.configure({
      bip: '10.200.0.5/24',
      'fixed-cidr': '10.200.0.128/25',
      ipv6: true,
      'fixed-cidr-v6': 'fd00:200::/64',
      'default-address-pools': [{ base: '10.201.0.0/16', size: 24 }],
      'default-network-opts': { bridge: { 'com.docker.network.driver.mtu': '1300' } },
      mtu: 1400,
      ip: '127.0.0.1',
      dns: ['10.0.0.53'],
      'dns-search': ['corp.example'],
      'dns-opts': ['timeout:1'],
    });
    await bed.start();
  });
  afterAll(() => bed[Symbol.asyncDispose]());

  test('the default bridge follows it', async () => {
    expect(await subnets('bridge')).toEqual(['10.200.0.0/24', '10.200.0.5', 'fd00:200::/64', 'fd00:200::1']);
    const out = await bed.ok('run', '--rm', IMAGE, 'sh', '-c', 'ip addr show eth0; ip route; cat /etc/resolv.conf');
    expect(out).toContain('mtu 1400');
    expect(out).toContain('inet 10.200.0.128/24');
    expect(out).toContain('inet6 fd00:200::2/64');
    expect(out).toContain('default via 10.200.0.5');
    expect(out).toContain('nameserver 10.0.0.53\nsearch corp.example\noptions timeout:1');
  });

  test('ports are published where it says, networks are cut from its pools and have its options', async () => {
    await bed.ok('run', '-d', '--stop-signal', 'KILL', '--name', 'web', '-p', '8150:80', IMAGE);
    expect(await bed.ok('port', 'web', '80')).toBe('127.0.0.1:8150');
    await bed.ok('network', 'create', 'first');
    await bed.ok('network', 'create', 'second');
    expect((await subnets('first'))[0]).toBe('10.201.0.0/24');
    expect((await subnets('second'))[0]).toBe('10.201.1.0/24');
    expect(await bed.ok('run', '--rm', '--network', 'first', IMAGE, 'ip', 'addr', 'show', 'eth0')).toContain(
      'mtu 1300',
    );
    await bed.ok('rm', '-f', 'web');
    await bed.ok('network', 'rm', 'first', 'second');
  });

  test('another address of the bridge takes effect at the next start', async () => {
    await bed.stop();
    bed.configure({ bip: '10.210.0.1/24' });
    await bed.start();
    expect(await subnets('bridge')).toEqual(['10.210.0.0/24', '10.210.0.1']);
    expect(await bed.ok('run', '--rm', IMAGE, 'ip', '-o', '-4', 'addr', 'show', 'eth0')).toContain('10.210.0.2/24');
  });
});
