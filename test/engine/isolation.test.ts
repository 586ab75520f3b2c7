import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { canRun, Testbed } from './testbed.ts';

const IMAGE = 'skiff/welcome';

describe.skipIf(!canRun)('what a container can see and do, from inside (skipped without root on Linux)', () => {
  let bed: Testbed;

  beforeAll(async () => {
    bed = new Testbed();
    await bed.start();
  });
  afterAll(() => bed[Symbol.asyncDispose]());

  const inside = async (command: string, ...flags: string[]): Promise<string> =>
    (await bed.docker(['run', '--rm', ...flags, IMAGE, 'sh', '-c', command])).stdout.trim();

  test('its namespaces are its own', async () => {
    const kinds = ['mnt', 'pid', 'net', 'ipc', 'uts'];
    const links = `for n in ${kinds.join(' ')}; do readlink /proc/self/ns/$n; done`;
    const own = (await inside(links)).split('\n');
    const machine = (await inside(links, '--pid', 'host', '--network', 'host', '--ipc', 'host', '--uts', 'host')).split(
      '\n',
    );
    expect(own).toHaveLength(kinds.length);
    for (const [index, kind] of kinds.entries()) if (kind !== 'mnt') expect(own[index]).not.toBe(machine[index]);
  });

  test('no descriptor of the engine or the shim leaks in, with and without a terminal, for run and for exec', async () => {
    // The fourth is the directory that ls reads.
    const list = 'exec ls -C /proc/self/fd';
    expect(await inside(list)).toMatch(/^0 +1 +2 +3$/);
    const terminal = (await bed.onTerminal(['run', '--rm', '-it', IMAGE, 'sh', '-c', list])).stdout.trim();
    expect(terminal).toMatch(/^0 +1 +2 +3$/);
    await bed.ok('run', '-d', '--init', '--name', 'host', IMAGE, 'sleep', '1000');
    expect(await bed.ok('exec', 'host', 'sh', '-c', list)).toMatch(/^0 +1 +2 +3$/);
    await bed.ok('rm', '-f', 'host');
  });

  test('it has fourteen capabilities as root, none as a user, and no more in a setuid program than the bound', async () => {
    expect(await inside('grep CapEff /proc/self/status')).toContain('00000000a80425fb');
    const user = await inside('grep -E "CapEff|CapPrm|CapAmb|CapBnd" /proc/self/status', '-u', '1000');
    expect(user).toMatch(/CapPrm:\s+0000000000000000/);
    expect(user).toMatch(/CapEff:\s+0000000000000000/);
    expect(user).toMatch(/CapBnd:\s+00000000a80425fb/);
    expect(user).toMatch(/CapAmb:\s+0000000000000000/);
  });

  test.each([
    ['mount', 'mount -t tmpfs x /tmp'],
    ['unshare a namespace', 'unshare -m true'],
    ['unshare the user namespace', 'unshare -U true'],
    ['set the host name', 'hostname other'],
    ['set the clock', 'date -s 2001-01-01; test $(date +%Y) = 2001'],
    ['reboot', 'reboot -f'],
    ['add an address', 'ip addr add 10.9.9.9/32 dev lo'],
    ['turn swap off', 'swapoff -a && swapoff /dev/x'],
    ['chroot out of a pivoted root', 'pivot_root / /tmp'],
    ['load a module', 'insmod /etc/passwd'],
    ['write a kernel setting', 'echo 1 > /proc/sys/kernel/panic'],
    ['trigger sysrq', 'echo h > /proc/sysrq-trigger'],
    ['write to /sys', 'echo x > /sys/kernel/mm/ksm/run'],
    ['make a cgroup', 'd=/sys/fs/cgroup; test -d $d/memory && d=$d/memory; mkdir $d/x'],
  ])('it may not %s', async (_what, command) => {
    expect(await inside(`(${command}) >/dev/null 2>&1 && echo done || echo refused`)).toBe('refused');
  });

  test('seccomp filters it, and masked paths are empty', async () => {
    expect(await inside('grep Seccomp: /proc/self/status')).toMatch(/2$/);
    const hidden =
      'for p in /proc/kcore /proc/keys /proc/timer_list; do test -e $p && head -c 10 $p | wc -c; done | sort -u';
    expect(await inside(hidden)).toMatch(/^0?$/);
    expect(await inside('ls /sys/firmware /proc/acpi /proc/scsi 2>/dev/null | grep -v ":$" | grep -c .')).toBe('0');
  });

  test('its devices are the harmless ones, and others it makes can not be opened', async () => {
    const devices = await inside('ls /dev | tr "\\n" " "');
    expect(devices).not.toMatch(/\b(mem|kmsg|sda|loop0|fuse|kvm)\b/);
    expect(devices).toMatch(/full.*null.*random.*tty.*urandom.*zero/);
    expect(await inside('mknod /mem c 1 1 && (head -c 1 /mem >/dev/null 2>&1 && echo read || echo refused)')).toBe(
      'refused',
    );
  });

  test('processes beyond the limit are refused, and CPU beyond the quota is not given', async () => {
    const fork = 'i=0; while [ $i -lt 40 ]; do sleep 5 & i=$((i+1)); done 2>&1; true';
    const run = await bed.docker(['run', '--rm', '--pids-limit', '10', IMAGE, 'sh', '-c', fork]);
    expect(run.stdout + run.stderr).toMatch(/can't fork|Resource temporarily unavailable/);
    const throttled =
      'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; cat /sys/fs/cgroup/cpu.stat 2>/dev/null || cat /sys/fs/cgroup/cpu/cpu.stat';
    expect(Number(/nr_throttled (\d+)/.exec(await inside(throttled, '--cpus', '0.1'))?.[1])).toBeGreaterThan(0);
  });

  test('the environment of the engine does not reach it', async () => {
    const names = (await inside('env | cut -d= -f1 | sort | tr "\\n" " "')).trim().split(' ');
    expect(names.filter((name) => !['PWD', 'SHLVL', '_'].includes(name))).toEqual(['HOME', 'HOSTNAME', 'PATH']);
  });
});
