import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import { dockerCli } from '../../scripts/setup.mjs';
import { canRun, Testbed } from './testbed.ts';

const IMAGE = 'skiff/welcome';

describe.skipIf(!canRun)('docker cp (skipped without root on Linux: needs namespaces and mounts)', () => {
  let bed: Testbed;
  let here: string;

  beforeAll(async () => {
    bed = new Testbed();
    await bed.start();
    await bed.ok('run', '-d', '--name', 'live', '-v', 'kept:/data', '--tmpfs', '/scratch', IMAGE, 'sleep', '1000');
    await bed.ok('create', '--name', 'still', '-v', 'kept:/data', IMAGE, 'sh', '-c', 'cat /there/tree/deep/b');
  });
  beforeEach(() => {
    here = mkdtempSync(join(tmpdir(), 'skiff-cp-'));
    mkdirSync(join(here, 'tree/deep'), { recursive: true });
    writeFileSync(join(here, 'tree/a'), 'first');
    writeFileSync(join(here, 'tree/deep/b'), 'second');
    chmodSync(join(here, 'tree/deep/b'), 0o741);
    symlinkSync('deep/b', join(here, 'tree/link'));
    return () => rmSync(here, { recursive: true, force: true });
  });
  afterAll(async () => {
    await bed.docker(['rm', '-f', 'live']);
    await bed[Symbol.asyncDispose]();
  });

  const cli = (): string => `${dockerCli()} -H unix://${bed.socket}`;
  const inside = (...args: string[]): Promise<string> => bed.ok('exec', 'live', ...args);
  const refused = async (...args: string[]): Promise<string> => (await bed.docker(args)).stderr;

  test.each(['live', 'still'])('a tree goes into the %s container and comes back the same', async (name) => {
    await bed.ok('cp', join(here, 'tree'), `${name}:/there`);
    await bed.ok('cp', `${name}:/there`, join(here, 'back'));
    expect(readFileSync(join(here, 'back/a'), 'utf8')).toBe('first');
    expect(readFileSync(join(here, 'back/deep/b'), 'utf8')).toBe('second');
    expect(lstatSync(join(here, 'back/deep/b')).mode & 0o777).toBe(0o741);
    expect(readlinkSync(join(here, 'back/link'))).toBe('deep/b');
    await bed.ok('cp', `${name}:/there/.`, join(here, 'content'));
    expect(readFileSync(join(here, 'content/deep/b'), 'utf8')).toBe('second');
  });

  test('what went into a stopped container is there when it starts', async () => {
    await bed.ok('cp', join(here, 'tree'), 'still:/there');
    expect(await bed.ok('start', '-a', 'still')).toBe('second');
  });

  test('a file is renamed, put into a directory, and replaces a file', async () => {
    await bed.ok('cp', join(here, 'tree/a'), 'live:/tmp/renamed');
    await bed.ok('cp', join(here, 'tree/a'), 'live:/tmp');
    await bed.ok('cp', join(here, 'tree/deep/b'), 'live:/tmp/a');
    expect(await inside('cat', '/tmp/renamed', '/tmp/a')).toBe('firstsecond');
  });

  test('volumes and tmpfs mounts are part of what is copied to and from', async () => {
    await bed.ok('cp', join(here, 'tree/a'), 'still:/data/by-the-stopped');
    expect(await inside('cat', '/data/by-the-stopped')).toBe('first');
    await inside('sh', '-c', 'echo live > /data/by-the-live; echo quick > /scratch/file');
    await bed.ok('cp', 'still:/data/by-the-live', join(here, 'one'));
    await bed.ok('cp', 'live:/scratch/file', join(here, 'two'));
    expect(readFileSync(join(here, 'one'), 'utf8') + readFileSync(join(here, 'two'), 'utf8')).toBe('live\nquick\n');
  });

  test('- is a tar on both sides', async () => {
    const tar = execFileSync('tar', ['-C', here, '-cf', '-', 'tree']);
    execFileSync('sh', ['-c', `tar -C ${here} -cf - tree | ${cli()} cp - live:/tmp`]);
    expect(await inside('cat', '/tmp/tree/a')).toBe('first');
    expect(tar.length).toBeGreaterThan(1000);
    execFileSync('sh', ['-c', `${cli()} cp live:/tmp/tree - | tar -C ${here} -xf - tree/deep/b -O`]);
    const listed = execFileSync('sh', ['-c', `${cli()} cp live:/tmp/tree - | tar -tf -`]);
    expect(listed.toString().trim().split('\n').sort()).toEqual([
      'tree/',
      'tree/a',
      'tree/deep/',
      'tree/deep/b',
      'tree/link',
    ]);
  });

  test('a symlink is copied as such, and followed with -L', async () => {
    await inside('sh', '-c', 'echo pointed > /tmp/target; ln -sf target /tmp/pointer');
    await bed.ok('cp', 'live:/tmp/pointer', join(here, 'pointer'));
    expect(readlinkSync(join(here, 'pointer'))).toBe('target');
    await bed.ok('cp', '-L', 'live:/tmp/pointer', join(here, 'followed'));
    expect(readFileSync(join(here, 'followed'), 'utf8')).toBe('pointed\n');
  });

  test('owners stay with the archive; -a gives what is copied to the user that the container runs as', async () => {
    await bed.ok('run', '-d', '--name', 'user', '--user', '1234:99', IMAGE, 'sleep', '1000');
    await bed.ok('cp', join(here, 'tree/a'), 'user:/tmp/plain');
    await bed.ok('cp', '-a', join(here, 'tree/a'), 'user:/tmp/archive');
    expect(await bed.ok('exec', 'user', 'stat', '-c', '%u:%g', '/tmp/plain', '/tmp/archive')).toBe('0:0\n1234:99');
    await bed.ok('rm', '-f', 'user');
  });

  test('no symlink of a container leads out of it, neither in a path nor in an archive', async () => {
    const secret = join(bed.data, 'secret');
    writeFileSync(secret, 'host');
    await inside(
      'sh',
      '-c',
      'ln -sfn ../../../../../../../../tmp /tmp/up; ln -sfn / /tmp/root; mkdir -p /tmp/root/made',
    );
    await bed.ok('cp', join(here, 'tree/a'), 'live:/tmp/up/landed');
    expect(await inside('cat', '/tmp/landed')).toBe('first');
    expect(await inside('ls', '-d', '/made')).toBe('/made');
    expect(await refused('cp', `live:/tmp/up${secret}`, join(here, 'stolen'))).toContain('Could not find the file');
    // An archive that makes a link and then writes through it.
    symlinkSync('/', join(here, 'way'));
    execFileSync('tar', ['-C', here, '-cf', join(here, 'evil.tar'), 'way']);
    rmSync(join(here, 'way'));
    mkdirSync(join(here, 'way'));
    writeFileSync(join(here, 'way/escaped'), 'x');
    execFileSync('tar', ['-C', here, '-rf', join(here, 'evil.tar'), 'way/escaped']);
    execFileSync('sh', ['-c', `${cli()} cp - live:/tmp < ${join(here, 'evil.tar')}`]);
    expect(await inside('cat', '/escaped')).toBe('x');
    expect(() => lstatSync('/escaped')).toThrow('ENOENT');
  });

  test('100 MB arrive whole, over a running writer', async () => {
    const big = Buffer.alloc(100 * 1024 * 1024, 'skiff and its containers ');
    writeFileSync(join(here, 'big'), big);
    await bed.ok('cp', join(here, 'big'), 'live:/tmp/big');
    const hash = createHash('sha256').update(big).digest('hex');
    expect(await inside('sha256sum', '/tmp/big')).toContain(hash);
    await bed.ok('cp', 'live:/tmp/big', join(here, 'big2'));
    expect(
      createHash('sha256')
        .update(readFileSync(join(here, 'big2')))
        .digest('hex'),
    ).toBe(hash);
    await inside('rm', '/tmp/big');
  });

  test("what can't be copied is refused in Docker's words", async () => {
    expect(await refused('cp', 'live:/no/such', here)).toContain('Could not find the file /no/such in container live');
    expect(await refused('cp', 'nosuch:/x', here)).toContain('No such container: nosuch');
    expect(await refused('cp', join(here, 'tree'), 'live:/etc/passwd')).toContain('cannot copy directory');
    await bed.ok('create', '--name', 'sealed', '--read-only', '-v', 'kept:/data:ro', '-v', 'open:/open', IMAGE);
    expect(await refused('cp', join(here, 'tree/a'), 'sealed:/tmp')).toContain('container rootfs is marked read-only');
    expect(await refused('cp', join(here, 'tree/a'), 'sealed:/data')).toContain('mounted volume is marked read-only');
    await bed.ok('cp', join(here, 'tree/a'), 'sealed:/open');
    await bed.ok('rm', 'sealed');
  });

  test('copying leaves no mount and no file behind, and tells of itself', async () => {
    const since = String(Math.floor(Date.now() / 1000));
    await bed.ok('create', '--name', 'brief', IMAGE);
    await bed.ok('cp', 'brief:/etc/passwd', join(here, 'passwd'));
    await bed.ok('cp', join(here, 'passwd'), 'brief:/tmp/passwd');
    const until = String(Math.floor(Date.now() / 1000) + 1);
    const events = await bed.ok(
      'events',
      '--since',
      since,
      '--until',
      until,
      '--filter',
      'container=brief',
      '--format',
      '{{.Action}}',
    );
    expect(events.split('\n')).toEqual(['create', 'archive-path', 'extract-to-dir']);
    const id = await bed.ok('inspect', '-f', '{{.Id}}', 'brief');
    expect(readFileSync(`/proc/${bed.pid}/mountinfo`, 'utf8')).not.toContain(id);
    await bed.ok('rm', 'brief');
  });

  /** As Skiff's window asks: what is in a directory, without what is below it. */
  function listing(container: string, path: string): Promise<{ status: number; body: unknown }> {
    const headers = { Accept: 'application/vnd.skiff.directory+json' };
    const target = `/v1.51/containers/${container}/archive?path=${encodeURIComponent(path)}`;
    return new Promise((resolve, reject) => {
      const call = request({ socketPath: bed.socket, path: target, headers }, async (response) => {
        let body = '';
        for await (const chunk of response.setEncoding('utf8')) body += chunk;
        resolve({ status: response.statusCode ?? 0, body: JSON.parse(body) });
      });
      call.on('error', reject);
      call.end();
    });
  }

  test.each(['live', 'still'])(
    'the window lists a directory of a %s container without what is below',
    async (container) => {
      await bed.ok('cp', join(here, 'tree'), `${container}:/listed`);
      const { status, body } = await listing(container, '/listed/.');
      const names = (body as { name: string }[]).map(({ name }) => name).sort();
      expect({ status, names }).toEqual({ status: 200, names: ['a', 'deep', 'link'] });
      expect(body).toContainEqual(expect.objectContaining({ name: 'link', linkTarget: 'deep/b' }));
      expect(body).toContainEqual(expect.objectContaining({ name: 'a', size: 5, mode: 0o644 }));
      expect(await listing(container, '/listed/a')).toMatchObject({ status: 400 });
      expect(await listing(container, '/none')).toMatchObject({ status: 404 });
    },
  );
});
