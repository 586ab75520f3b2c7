import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { canRun, Testbed } from '../engine/testbed.ts';

const IMAGE = 'skiff/welcome';

describe.skipIf(!canRun)('networks, by the docker CLI (skipped without root on Linux)', () => {
  let bed: Testbed;
  const sleeper = (...args: string[]) => bed.ok('run', '-d', '--stop-signal', 'KILL', ...args, IMAGE, 'sleep', '1000');
  const refused = async (...args: string[]) => {
    const { code, stdout, stderr } = await bed.docker(args);
    expect(code, `docker ${args.join(' ')} printed ${stdout}`).not.toBe(0);
    return stderr;
  };
  const field = (name: string, format: string) => bed.ok('inspect', '-f', format, name);

  beforeAll(async () => {
    bed = new Testbed();
    await bed.start();
  });
  afterAll(() => bed[Symbol.asyncDispose]());

  test('a network with everything: range, gateway, reserved addresses, labels, options, and a chosen address', async () => {
    await bed.ok(
      ...['network', 'create', '--subnet', '10.60.0.0/16', '--ip-range', '10.60.5.0/24', '--gateway', '10.60.5.254'],
      ...['--aux-address', 'router=10.60.5.0', '--aux-address', 'printer=10.60.5.1', '--label', 'a=b', '--attachable'],
      ...['-o', 'com.docker.network.bridge.name=skiffbr0', '-o', 'com.docker.network.driver.mtu=1400', 'full'],
    );
    await sleeper('--name', 'first', '--network', 'full');
    await sleeper('--name', 'second', '--network', 'full', '--ip', '10.60.9.9', '--mac-address', '02:00:00:00:00:99');
    expect(await field('first', '{{.NetworkSettings.Networks.full.IPAddress}}')).toBe('10.60.5.2');
    expect(await bed.ok('exec', 'first', 'ip', 'route')).toContain('default via 10.60.5.254');
    const link = await bed.ok('exec', 'second', 'ip', 'addr', 'show', 'eth0');
    expect(link).toContain('mtu 1400');
    expect(link).toContain('10.60.9.9/16');
    expect(link).toContain('02:00:00:00:00:99');
    const shown = JSON.parse(await bed.ok('network', 'inspect', 'full'))[0];
    expect(shown).toMatchObject({
      Driver: 'bridge',
      Attachable: true,
      Labels: { a: 'b' },
      IPAM: { Config: [{ Subnet: '10.60.0.0/16', IPRange: '10.60.5.0/24', Gateway: '10.60.5.254' }] },
    });
    expect(
      Object.values(shown.Containers as Record<string, { IPv4Address: string }>).map((c) => c.IPv4Address),
    ).toContain('10.60.9.9/16');
    expect(await refused('run', '--rm', '--network', 'full', '--ip', '10.60.9.9', IMAGE, 'true')).toContain(
      'Address already in use',
    );
    expect(await refused('run', '--rm', '--network', 'full', '--ip', '10.61.0.1', IMAGE, 'true')).toContain(
      'no configured subnet or ip-range contain the IP address 10.61.0.1',
    );
    expect(await refused('network', 'rm', 'full')).toContain('has active endpoints (name:"first" id:"');
    await bed.ok('rm', '-f', 'first', 'second');
    await bed.ok('network', 'rm', 'full');
  });

  test("what can't be is refused in Docker's words", async () => {
    await bed.ok('network', 'create', '--subnet', '10.61.0.0/16', 'taken');
    const create = (...args: string[]) => refused('network', 'create', ...args);
    expect(await create('taken')).toContain('network with name taken already exists');
    expect(await create('--subnet', '10.61.5.0/24', 'over')).toContain(
      'Pool overlaps with other one on this address space',
    );
    expect(await create('--subnet', '10.62.0.1/16', 'bits')).toContain(
      'invalid subnet 10.62.0.1/16: it should be 10.62.0.0/16',
    );
    expect(await create('--subnet', '10.62.0.0/16', '--gateway', '10.63.0.1', 'gate')).toMatch(
      /10\.63\.0\.1|no matching subnet for gateway/,
    );
    expect(await create('-d', 'weave', 'plugged')).toContain('could not find plugin weave');
    expect(await create('-o', 'com.docker.network.bridge.enable_icc=maybe', 'odd')).toContain(
      'strconv.ParseBool: parsing "maybe": invalid syntax',
    );
    expect(await create('bridge')).toContain('operation is not permitted on predefined bridge network');
    expect(await create('-d', 'host', 'second-host')).toContain('only one instance of "host" network is allowed');
    expect(await refused('network', 'rm', 'bridge')).toContain('bridge is a pre-defined network and cannot be removed');
    expect(await refused('network', 'inspect', 'nowhere')).toContain('network nowhere not found');
    expect(await refused('run', '--rm', '--ip', '172.17.0.9', IMAGE, 'true')).toContain(
      'user specified IP address is supported on user defined networks only',
    );
    expect(await refused('network', 'connect', 'host', await bed.ok('create', '--name', 'idle', IMAGE))).toContain(
      'container cannot be disconnected from host network or connected to host network',
    );
    await bed.ok('rm', 'idle');
    await bed.ok('network', 'rm', 'taken');
    expect(await bed.ok('network', 'ls', '-q', '--filter', 'type=custom')).toBe('');
  });

  test('one container is on several networks at once, and the priority chooses its way out', async () => {
    for (const [name, net] of [
      ['left', '10.70'],
      ['right', '10.71'],
    ]) {
      await bed.ok('network', 'create', '--subnet', `${net}.0.0/24`, name!);
    }
    await sleeper('--name', 'both', '--network', 'left', '--network', 'right');
    expect(await bed.ok('exec', 'both', 'ip', 'route')).toContain('default via 10.70.0.1');
    await bed.ok('network', 'disconnect', 'left', 'both');
    expect(await bed.ok('exec', 'both', 'ip', 'route')).toContain('default via 10.71.0.1');
    await bed.ok('network', 'connect', '--ip', '10.70.0.77', 'left', 'both');
    expect(await bed.ok('exec', 'both', 'ip', '-o', 'addr')).toContain('10.70.0.77/24');
    await bed.ok('restart', '-t', '0', 'both');
    expect(await bed.ok('exec', 'both', 'ip', '-o', 'addr')).toContain('10.70.0.77/24');
    await bed.ok('rm', '-f', 'both');
    await bed.ok('network', 'rm', 'left', 'right');
  });

  test('bridges are apart from each other, an internal one from everything, and icc=false parts neighbours', async () => {
    await bed.ok('network', 'create', 'one');
    await bed.ok('network', 'create', 'two');
    await bed.ok('network', 'create', '--internal', 'inside');
    await bed.ok('network', 'create', '-o', 'com.docker.network.bridge.enable_icc=false', 'hush');
    for (const [name, network] of [
      ['n1', 'one'],
      ['n2', 'two'],
      ['n3', 'inside'],
      ['n4', 'inside'],
      ['n5', 'hush'],
      ['n6', 'hush'],
    ]) {
      await bed.ok('run', '-d', '--stop-signal', 'KILL', '--name', name!, '--network', network!, IMAGE);
    }
    const ip = (name: string) => field(name, '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}');
    const reaches = async (from: string, to: string) =>
      (
        await bed.docker([
          'exec',
          from,
          'sh',
          '-c',
          `wget -T 3 -qO- http://${await ip(to)}/ >/dev/null 2>&1 && echo yes || echo no`,
        ])
      ).stdout.trim();
    expect(await reaches('n1', 'n1')).toBe('yes');
    expect(await reaches('n1', 'n2')).toBe('no');
    expect(await reaches('n3', 'n4')).toBe('yes');
    expect(await reaches('n3', 'n1')).toBe('no');
    expect(await reaches('n1', 'n3')).toBe('no');
    expect(await reaches('n5', 'n6')).toBe('no');
    expect(await bed.ok('exec', 'n3', 'ip', 'route')).not.toContain('default');
    await bed.ok('rm', '-f', 'n1', 'n2', 'n3', 'n4', 'n5', 'n6');
    expect((await bed.ok('network', 'prune', '-f')).split('\n').slice(1).sort()).toEqual([
      'hush',
      'inside',
      'one',
      'two',
    ]);
  });

  test('IPv6: a subnet given or made, addresses, names, routes, and both of them after a restart', async () => {
    await bed.ok('network', 'create', '--ipv6', '--subnet', 'fd00:77::/64', 'six');
    await bed.ok('network', 'create', '--ipv6', 'made');
    expect(await bed.ok('network', 'inspect', '-f', '{{range .IPAM.Config}}{{.Subnet}} {{end}}', 'made')).toMatch(
      /^[\d.]+\/\d+ fd[0-9a-f:]+\/64$/,
    );
    await bed.ok('run', '-d', '--stop-signal', 'KILL', '--name', 's1', '--network', 'six', IMAGE);
    await sleeper('--name', 's2', '--network', 'six', '--ip6', 'fd00:77::99');
    expect(await bed.ok('exec', 's2', 'ip', '-6', 'addr', 'show', 'eth0')).toContain('fd00:77::99/64');
    expect(await bed.ok('exec', 's2', 'ip', '-6', 'route')).toContain('default via fd00:77::1');
    expect(await bed.ok('exec', 's2', 'nslookup', '-type=aaaa', 's1')).toContain('fd00:77::2');
    const page = () => bed.ok('exec', 's2', 'wget', '-T', '5', '-qO-', 'http://[fd00:77::2]/');
    expect(await page()).toContain('<html');
    await bed.kill();
    await bed.start();
    expect(await page()).toContain('<html');
    expect(await refused('run', '--rm', '--network', 'six', '--ip6', 'fd00:77::99', IMAGE, 'true')).toContain(
      'Address already in use',
    );
    await bed.ok('rm', '-f', 's1', 's2');
    await bed.ok('network', 'rm', 'six', 'made');
  });

  test('host, none and another container’s network', async () => {
    expect(await bed.ok('run', '--rm', '--network', 'none', IMAGE, 'ip', '-o', 'link')).not.toContain('eth0');
    expect(await bed.ok('run', '--rm', '--network', 'host', IMAGE, 'ip', '-o', 'link')).toContain('docker0');
    await bed.ok('run', '-d', '--stop-signal', 'KILL', '--name', 'owner', IMAGE);
    expect(
      await bed.ok('run', '--rm', '--network', 'container:owner', IMAGE, 'wget', '-qO-', 'http://127.0.0.1/'),
    ).toContain('<html');
    await bed.ok('rm', '-f', 'owner');
  });

  test('macvlan and ipvlan connect containers to each other over a link of the machine', async () => {
    // A bridge has a carrier only while something is plugged in.
    await sleeper('--name', 'carrier');
    for (const driver of ['macvlan', 'ipvlan']) {
      const net = `${driver}net`;
      await bed.ok('network', 'create', '-d', driver, '-o', 'parent=docker0', '--subnet', '10.80.0.0/24', net);
      const run = await bed.docker(['run', '-d', '--stop-signal', 'KILL', '--name', 'm1', '--network', net, IMAGE]);
      if (/not supported/i.test(run.stderr)) console.log(`this kernel has no ${driver}: not tested`);
      else {
        expect(run.code, run.stderr).toBe(0);
        const get = ['wget', '-T', '5', '-qO-', 'http://m1/'];
        expect(await bed.ok('run', '--rm', '--network', net, IMAGE, ...get)).toContain('<html');
      }
      await bed.ok('rm', '-f', 'm1');
      await bed.ok('network', 'rm', net);
    }
    await bed.ok('rm', '-f', 'carrier');
    expect(await refused('network', 'create', '-d', 'macvlan', '-o', 'macvlan_mode=odd', 'x')).toContain(
      "requested macvlan mode 'odd' is not valid",
    );
  });

  test('lists are filtered, by dangling and driver and label', async () => {
    await bed.ok('network', 'create', '--label', 'x=1', 'used');
    await bed.ok('network', 'create', '--label', 'x=2', 'free');
    await sleeper('--name', 'user', '--network', 'used');
    const list = (...filters: string[]) =>
      bed.ok('network', 'ls', '--format', '{{.Name}}', ...filters.flatMap((filter) => ['--filter', filter]));
    expect(await list('dangling=true')).toBe('free');
    expect(await list('label=x=1')).toBe('used');
    expect((await list('driver=bridge', 'dangling=false')).split('\n').sort()).toEqual(['bridge', 'used']);
    expect(await refused('network', 'ls', '--filter', 'colour=red')).toContain("invalid filter 'colour'");
    await bed.ok('rm', '-f', 'user');
    await bed.ok('network', 'rm', 'used', 'free');
  });
});
