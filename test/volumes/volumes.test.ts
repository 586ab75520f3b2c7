import { execFileSync } from 'node:child_process';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { canRun, Testbed } from '../engine/testbed.ts';

const IMAGE = 'skiff/welcome';

describe.skipIf(!canRun)('volumes and mounts, by the docker CLI (skipped without root on Linux)', () => {
  let bed: Testbed;
  const refused = async (...args: string[]) => {
    const { code, stdout, stderr } = await bed.docker(args);
    expect(code, `docker ${args.join(' ')} printed ${stdout}`).not.toBe(0);
    return stderr;
  };
  /** Runs a shell line in a container made with these options. */
  const shell = (options: readonly string[], line: string) =>
    bed.ok('run', '--rm', ...options, IMAGE, 'sh', '-c', line);
  /** In the engine's own mount namespace. */
  const onMachine = (line: string) =>
    execFileSync('nsenter', ['-t', String(bed.pid), '-m', 'sh', '-c', line], { encoding: 'utf8' });
  const mounted = (name: string) => onMachine('cat /proc/self/mountinfo').includes(`/volumes/${name}/_data `);

  beforeAll(async () => {
    bed = new Testbed();
    await bed.start();
  });
  afterAll(() => bed[Symbol.asyncDispose]());

  test('a volume with options is mounted for its first user and unmounted after its last, also by the next engine', async () => {
    const tmpfs = ['-o', 'type=tmpfs', '-o', 'device=tmpfs', '-o', 'o=size=2m,mode=1770'];
    await bed.ok('volume', 'create', ...tmpfs, 'scratch');
    expect(mounted('scratch')).toBe(false);
    const run = (name: string) =>
      bed.ok('run', '-d', '--stop-signal', 'KILL', '--name', name, '-v', 'scratch:/s', IMAGE, 'sleep', '1000');
    await run('one');
    await run('two');
    expect(await bed.ok('exec', 'one', 'sh', '-c', 'echo here > /s/file; stat -c %a /s; df -k /s | tail -1')).toMatch(
      /^1770\ntmpfs +2048 /,
    );
    expect(await bed.ok('exec', 'two', 'cat', '/s/file')).toBe('here');
    await bed.ok('rm', '-f', 'one');
    expect(mounted('scratch')).toBe(true);
    await bed.kill();
    await bed.start();
    expect(mounted('scratch')).toBe(true);
    expect(await bed.ok('exec', 'two', 'cat', '/s/file')).toBe('here');
    await bed.ok('rm', '-f', 'two');
    expect(mounted('scratch')).toBe(false);
    expect(await shell(['-v', 'scratch:/s'], 'ls /s')).toBe('');
    await bed.ok('volume', 'rm', 'scratch');
  });

  test('a bind volume shows a folder, which outlives the volume', async () => {
    onMachine('mkdir -p /tmp/folder && echo mine > /tmp/folder/file');
    await bed.ok('volume', 'create', '-o', 'type=none', '-o', 'device=/tmp/folder', '-o', 'o=bind,ro', 'bound');
    expect(await shell(['-v', 'bound:/b'], 'cat /b/file; touch /b/new 2>&1; true')).toMatch(/^mine\n.*Read-only/);
    await bed.ok('create', '--name', 'holder', '-v', 'bound:/b', IMAGE);
    const id = await bed.ok('inspect', '-f', '{{.Id}}', 'holder');
    expect(await refused('volume', 'rm', 'bound')).toContain(`volume is in use - [${id}]`);
    await bed.ok('rm', 'holder');
    await bed.ok('volume', 'rm', 'bound');
    expect(onMachine('cat /tmp/folder/file')).toBe('mine\n');
    await bed.ok('volume', 'create', '-o', 'type=none', '-o', 'device=/tmp/nowhere', '-o', 'o=bind', 'broken');
    expect(await refused('run', '--rm', '-v', 'broken:/b', IMAGE, 'true')).toContain(
      'failed to mount local volume: mount /tmp/nowhere:',
    );
    await bed.ok('volume', 'rm', 'broken');
  });

  test("options that can't be are refused in Docker's words", async () => {
    const create = (...args: string[]) => refused('volume', 'create', ...args);
    expect(await create('-o', 'colour=red', 'vol')).toContain('invalid option: "colour"');
    expect(await create('-o', 'type=tmpfs', 'vol')).toContain('missing required option: "device"');
    expect(await create('-o', 'size=1g', 'vol')).toContain('quota size requested but no quota support');
    expect(await create('-d', 'rexray', 'vol')).toContain(
      'error looking up volume plugin rexray: plugin "rexray" not found',
    );
    expect(await create('/abs')).toContain('includes invalid characters for a local volume name');
    expect(await refused('volume', 'inspect', 'nosuch')).toContain('no such volume');
    expect(await bed.ok('volume', 'ls', '-q')).toBe('');
  });

  test('an empty volume gets what the image has there, with its owners; nocopy gets nothing', async () => {
    await bed.ok(
      'run',
      '--name',
      'base',
      IMAGE,
      'sh',
      '-c',
      'mkdir -m 750 /full /bare; echo x > /full/file; ln -s file /full/link; chown -hR 33:44 /full /bare',
    );
    await bed.ok('commit', 'base', 'with-content');
    await bed.ok('rm', 'base');
    const look = async (...options: string[]) =>
      bed.ok(
        'run',
        '--rm',
        ...options,
        'with-content',
        'sh',
        '-c',
        'stat -c "%u:%g %a %n" /full /full/* 2>&1; stat -c "%u:%g %a" /bare',
      );
    expect(await look('-v', 'filled:/full', '-v', 'empty:/bare')).toBe(
      '33:44 750 /full\n33:44 644 /full/file\n33:44 777 /full/link\n33:44 750',
    );
    expect(await look('-v', 'bare:/full:nocopy')).not.toContain('/full/file');
    expect(await look('--mount', 'type=volume,target=/full,volume-nocopy')).not.toContain('/full/file');
    await bed.ok('volume', 'rm', 'filled', 'empty', 'bare');
    await bed.ok('rmi', 'with-content');
  });

  test('-v in every combination, and what of it is refused', async () => {
    onMachine('mkdir -p /tmp/src && echo s > /tmp/src/f');
    for (const mode of ['', ':ro', ':rw', ':z', ':Z', ':ro,Z', ':rslave', ':ro,rprivate', ':cached', ':delegated,ro']) {
      const out = await shell(['-v', `/tmp/src:/d${mode}`], 'cat /d/f; touch /d/t 2>/dev/null && echo writable; true');
      expect(out, mode).toBe(/\bro\b/.test(mode) ? 's' : 's\nwritable');
    }
    const bad = (spec: string) => refused('create', '-v', spec, IMAGE);
    expect(await bad('/tmp/src:/d:odd')).toContain('invalid mode: odd');
    expect(await bad('/tmp/src:/d:ro,rw')).toContain('invalid mode: ro,rw');
    expect(await bad('name:/d:rslave')).toContain('field BindOptions must not be specified');
    expect(await bad('/tmp/src:/d:nocopy')).toContain('field VolumeOptions must not be specified');
    expect(await bad('/tmp/src:/')).toContain("destination can't be '/'");
    expect(await refused('create', '-v', 'a1:/d', '-v', 'b1:/d', IMAGE)).toContain('Duplicate mount point: /d');
    await shell(['-v', '/tmp/made/by/v:/d'], 'touch /d/x');
    expect(onMachine('ls /tmp/made/by/v')).toBe('x\n');
    expect(await bed.ok('volume', 'ls', '-q')).toBe('');
  });

  test('--mount of each type with its options, and what of it is refused', async () => {
    await shell(['-v', 'parts:/p'], 'mkdir -p /p/a/b; echo sub > /p/a/b/f; ln -s /etc /p/out');
    const mount = (spec: string, line: string) => shell(['--mount', spec], line);
    expect(
      await mount('type=volume,src=parts,dst=/d,readonly', 'cat /d/a/b/f; touch /d/x 2>/dev/null || echo kept'),
    ).toBe('sub\nkept');
    expect(await mount('type=tmpfs,dst=/d,tmpfs-size=1m,tmpfs-mode=0700', 'stat -c %a /d; df -k /d | tail -1')).toMatch(
      /^700\ntmpfs +1024 /,
    );
    expect(await mount('type=bind,src=/tmp/src,dst=/d,readonly,bind-propagation=rslave', 'cat /d/f')).toBe('s');
    const bad = (spec: string) => refused('create', '--mount', spec, IMAGE);
    expect(await bad('type=bind,src=/tmp/missing,dst=/d')).toContain(
      'invalid mount config for type "bind": bind source path does not exist: /tmp/missing',
    );
    expect(await bad('type=image,src=x,dst=/d')).toMatch(/mount type unknown|not supported/);
    expect(await bad('type=volume,dst=/d,readonly')).toContain(
      'must not set ReadOnly mode when using anonymous volumes',
    );
    const label =
      'type=volume,src=lab,dst=/d,volume-label=a=b,volume-driver=local,volume-opt=type=tmpfs,volume-opt=device=tmpfs';
    expect(await mount(label, 'mount | grep " /d " | cut -d" " -f1')).toBe('tmpfs');
    expect(await bed.ok('volume', 'inspect', '-f', '{{.Labels.a}} {{.Options.type}}', 'lab')).toBe('b tmpfs');
    await bed.ok('volume', 'rm', 'lab', 'parts');
  });

  test('lists are filtered; prune takes anonymous ones, or all; system df knows the sizes', async () => {
    await bed.ok('volume', 'create', '--label', 'k=v', 'named');
    await bed.ok(
      'run',
      '--name',
      'anon',
      '-v',
      '/anon',
      '-v',
      'named:/n',
      IMAGE,
      'sh',
      '-c',
      'head -c 100000 /dev/zero > /n/zeros',
    );
    const list = (...filters: string[]) =>
      bed.ok('volume', 'ls', '-q', ...filters.flatMap((filter) => ['--filter', filter]));
    expect(await list('label=k=v')).toBe('named');
    expect(await list('name=nam', 'driver=local')).toBe('named');
    expect(await list('dangling=true')).toBe('');
    expect(
      await bed.ok('system', 'df', '-v', '--format', '{{range .Volumes}}{{.Name}} {{.Links}} {{.Size}}\n{{end}}'),
    ).toContain('named 1 100kB');
    await bed.ok('rm', 'anon');
    expect((await list('dangling=true')).split('\n')).toHaveLength(2);
    await bed.ok('volume', 'prune', '-f');
    expect(await list()).toBe('named');
    expect(await bed.ok('volume', 'prune', '-af')).toContain('Total reclaimed space: 100kB');
    expect(await list()).toBe('');
  });
});
