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
    for (const mode of [
      '',
      ':ro',
      ':rw',
      ':z',
      ':Z',
      ':ro,Z',
      ':rslave',
      ':ro,rprivate',
      ':cached',
      ':delegated,ro',
      ':consistent',
      ':default',
    ]) {
      const out = await shell(['-v', `/tmp/src:/d${mode}`], 'cat /d/f; touch /d/t 2>/dev/null && echo writable; true');
      expect(out, mode).toBe(/\bro\b/.test(mode) ? 's' : 's\nwritable');
    }
    for (const propagation of ['private', 'rprivate', 'slave', 'rslave', 'shared', 'rshared']) {
      expect(await shell(['-v', `/tmp/src:/d:${propagation}`], 'cat /d/f'), propagation).toBe('s');
      const spec = `type=bind,src=/tmp/src,dst=/d,bind-propagation=${propagation}`;
      expect(await shell(['--mount', spec], 'cat /d/f'), propagation).toBe('s');
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
    expect(await bad('type=volume,dst=/d,readonly')).toContain(
      'must not set ReadOnly mode when using anonymous volumes',
    );
    const label =
      'type=volume,src=lab,dst=/d,volume-label=a=b,volume-driver=local,volume-opt=type=tmpfs,volume-opt=device=tmpfs';
    expect(await mount(label, 'mount | grep " /d " | cut -d" " -f1')).toBe('tmpfs');
    expect(await bed.ok('volume', 'inspect', '-f', '{{.Labels.a}} {{.Options.type}}', 'lab')).toBe('b tmpfs');
    await bed.ok('volume', 'rm', 'lab', 'parts');
  });

  test('an image is mounted read-only, whole or a part of it, and stays while a container has it', async () => {
    await bed.ok(
      'run',
      '--name',
      'maker',
      IMAGE,
      'sh',
      '-c',
      'mkdir -p /data/sub; echo inner > /data/sub/f; ln -s /etc /out',
    );
    await bed.ok('commit', 'maker', 'files:1');
    await bed.ok('rm', 'maker');
    const Mount = (options: object) => ({ Type: 'image', Source: 'files:1', Target: '/m', ...options });
    const make = (mount: object, ...Cmd: string[]) =>
      bed.request('POST', '/containers/create?name=looker', { Image: IMAGE, Cmd, HostConfig: { Mounts: [mount] } });
    /** What a container with this mount prints. */
    const look = async (mount: object, line: string) => {
      expect(await make(mount, 'sh', '-c', line)).toMatchObject({ status: 201 });
      const { stdout, stderr } = await bed.docker(['start', '-a', 'looker']);
      return stdout + stderr;
    };
    const line = 'cat /m/data/sub/f; touch /m/new 2>/dev/null || echo kept; ls -a /m | grep -c dockerenv';
    expect(await look(Mount({}), line)).toBe('inner\nkept\n0\n');
    expect(await bed.ok('inspect', '-f', '{{range .Mounts}}{{.Type}} {{.Name}} {{.RW}}{{end}}', 'looker')).toBe(
      'image files:1 false',
    );
    expect(onMachine('cat /proc/self/mountinfo')).not.toContain('/images/0 ');
    expect(await bed.ok('cp', 'looker:/m/data/sub/f', '-').then((tar) => tar.includes('inner'))).toBe(true);
    expect(await refused('rmi', 'files:1')).toMatch(/conflict: .*container [0-9a-f]{12}/);
    await bed.ok('rm', 'looker');
    expect(await look(Mount({ ImageOptions: { Subpath: 'data/sub' } }), 'ls /m')).toBe('f\n');
    await bed.ok('rm', 'looker');
    expect(await look(Mount({ ImageOptions: { Subpath: 'nowhere' } }), 'ls /m')).toContain('cannot access path');
    await bed.ok('rm', 'looker');
    for (const [mount, words] of [
      [Mount({ Source: '' }), 'invalid mount config for type "image": field Source must not be empty'],
      [Mount({ ImageOptions: { Subpath: '../x' } }), 'subpath must be a relative path within the volume'],
      [Mount({ BindOptions: {} }), 'field BindOptions must not be specified'],
      [Mount({ Source: 'nosuch:1' }), 'No such image: nosuch:1'],
    ] as const) {
      expect(await make(mount, 'true')).toMatchObject({
        status: 400,
        body: { message: expect.stringContaining(words) },
      });
    }
    // A running one has it through the engine's death.
    expect(await make(Mount({}), 'sleep', '1000')).toMatchObject({ status: 201 });
    await bed.ok('start', 'looker');
    await bed.kill();
    await bed.start();
    expect(await bed.ok('exec', 'looker', 'cat', '/m/data/sub/f')).toBe('inner');
    await bed.ok('rm', '-f', 'looker');
    await bed.ok('rmi', 'files:1');
    expect(onMachine('cat /proc/self/mountinfo')).not.toContain('/images/0 ');
  });

  test('an nfs volume: the name of its server is resolved, and mount(2) gets what Docker gives it', async () => {
    const create = (name: string, o: string) =>
      bed.ok('volume', 'create', '-o', 'type=nfs', '-o', `o=${o}`, '-o', 'device=:/export', name);
    await create('nfs', 'addr=localhost,rw,vers=4,soft');
    const { stderr } = await bed.docker(['run', '--rm', '-v', 'nfs:/n', IMAGE, 'true']);
    // No server is there; a kernel without nfs says so before it asks one.
    expect(stderr).toMatch(
      /error while mounting volume '.*\/nfs\/_data': failed to mount local volume: mount :\/export:.*\/nfs\/_data, data: addr=(127\.0\.0\.1|::1),vers=4,soft: (no such device|connection refused|invalid argument|protocol not supported)/,
    );
    await create('lost', 'addr=nowhere.invalid');
    expect(await refused('run', '--rm', '-v', 'lost:/n', IMAGE, 'true')).toContain(
      'error resolving passed in network volume address',
    );
    expect(mounted('nfs')).toBe(false);
    await bed.ok('volume', 'rm', 'nfs', 'lost');
  });

  test('volume update is for cluster volumes, of which there are none', async () => {
    await bed.ok('volume', 'create', 'plain');
    expect(await bed.request('PUT', '/volumes/plain?version=1', { Spec: {} })).toMatchObject({
      status: 503,
      body: { message: 'volume update only valid for cluster volumes, but swarm is unavailable' },
    });
    await bed.ok('volume', 'rm', 'plain');
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
    expect(await bed.request('POST', '/volumes/prune?filters={"all":["perhaps"]}')).toMatchObject({ status: 400 });
    expect(await bed.ok('volume', 'prune', '-af')).toContain('Total reclaimed space: 100kB');
    expect(await list()).toBe('');
  });
});
