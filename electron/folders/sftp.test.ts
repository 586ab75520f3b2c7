import { type ChildProcess, spawn } from 'node:child_process';
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Client, SFTPWrapper } from 'ssh2';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { libc } from '../../engine/linux/libc.ts';
import { ensureVmImage } from '../../resources/vm/image.ts';
import { folderClient, rawSftp } from './raw-sftp.ts';

describe('a folder by SFTP', () => {
  let root: string;
  let outside: string;
  let client: Client;
  let sftp: SFTPWrapper;

  beforeEach(async () => {
    root = realpathSync(mkdtempSync(join(tmpdir(), 'skiff-sftp-')));
    outside = mkdtempSync(join(tmpdir(), 'skiff-outside-'));
    writeFileSync(join(outside, 'secret'), 'secret');
    writeFileSync(join(root, 'file'), 'inside');
    client = await folderClient(root);
    sftp = await promisify(
      client.sftp.bind(client) as (done: (error: Error | undefined, sftp: SFTPWrapper) => void) => void,
    )();
  });
  afterEach(() => {
    client.end();
    for (const path of [root, outside]) rmSync(path, { recursive: true, force: true });
  });

  const read = (path: string) =>
    promisify(
      sftp.readFile.bind(sftp) as never as (
        path: string,
        done: (error: Error | undefined, data: Buffer) => void,
      ) => void,
    )(path);
  const call = (name: 'mkdir' | 'rename' | 'symlink' | 'unlink' | 'rmdir' | 'writeFile', ...args: string[]) =>
    new Promise<void>((resolve, reject) =>
      (sftp[name] as (...all: unknown[]) => void).call(sftp, ...args, (error?: Error) =>
        error ? reject(error) : resolve(),
      ),
    );

  test('is read and written, with names of all tongues', async () => {
    await call('mkdir', '/工作 ü');
    await call('writeFile', '/工作 ü/né', 'content');
    expect(readFileSync(join(root, '工作 ü/né'), 'utf8')).toBe('content');
    expect(String(await read('/工作 ü/né'))).toBe('content');
    await call('rename', '/工作 ü/né', '/file');
    expect(readFileSync(join(root, 'file'), 'utf8')).toBe('content');
    await call('rmdir', '/工作 ü');
    expect(readdirSync(root)).toEqual(['file']);
  });

  test('is all there is: no path, no symlink and no handle leads out of it', async () => {
    symlinkSync(outside, join(root, 'out'));
    symlinkSync(join(outside, 'secret'), join(root, 'leak'));
    for (const path of [
      `/../${outside}/secret`,
      `/../../../..${outside}/secret`,
      '/out/secret',
      '/leak',
      '/out/../out/secret',
    ]) {
      await expect(read(path), path).rejects.toThrow();
    }
    await expect(call('writeFile', '/out/new', 'x')).rejects.toThrow(/leads out/);
    await expect(call('writeFile', '/leak', 'x')).rejects.toThrow();
    await expect(call('rename', '/file', '/out/file')).rejects.toThrow(/leads out/);
    await expect(call('unlink', '/out/secret')).rejects.toThrow(/leads out/);
    expect(readFileSync(join(outside, 'secret'), 'utf8')).toBe('secret');
    expect(readdirSync(outside)).toEqual(['secret']);
    // The links themselves are there, and are removed as links.
    await call('unlink', '/leak');
    expect(existsSync(join(outside, 'secret'))).toBe(true);
    expect(String(await read('/../../file'))).toBe('inside');
  });
});

const MS_DETACH = 2;

/** Why sshfs can't mount here; undefined when it can. */
function obstacle(): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'mounting needs root on Linux';
  try {
    accessSync('/dev/fuse', constants.R_OK | constants.W_OK);
    return undefined;
  } catch {
    return 'this machine has no /dev/fuse';
  }
}
const why = obstacle();
if (why) console.log(`sshfs is not tested: ${why}`);

describe.skipIf(why !== undefined)(
  "the VM's sshfs on a folder of this computer (skipped without /dev/fuse and root)",
  () => {
    let root: string;
    let mounted: string;
    let sshfs: ChildProcess;
    let said = '';

    beforeEach(async () => {
      root = realpathSync(mkdtempSync(join(tmpdir(), 'skiff-sftp-')));
      mounted = mkdtempSync(join(tmpdir(), 'skiff-sshfs-'));
      writeFileSync(join(root, 'file'), 'from here');
      const { rootTree } = await ensureVmImage();
      const libraries = join(rootTree, 'usr/lib', process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu');
      const loader = join(libraries, readdirSync(libraries).find((name) => /^ld-linux.*\.so/.test(name))!);
      const program = ['--library-path', libraries, join(rootTree, 'usr/bin/sshfs')];
      const options = ['-f', '-o', 'passive,allow_other,dir_cache=no', 'folder:/', mounted];
      sshfs = spawn(loader, [...program, ...options], { stdio: ['pipe', 'pipe', 'pipe'] });
      sshfs.stderr?.on('data', (text) => (said += text));
      const channel = await rawSftp(root);
      // It is ended while the channel still has something for it.
      sshfs.stdin!.on('error', () => {});
      channel.pipe(sshfs.stdin!);
      sshfs.stdout!.pipe(channel);
      const look = promisify(spawnToEnd);
      await vi.waitFor(async () => expect(await look(['timeout', '10', 'ls', mounted]), said).toBe('file'), {
        timeout: 30_000,
        interval: 200,
      });
    }, 240_000);
    afterEach(async () => {
      libc('int umount2(const char *target, int flags)')(mounted, MS_DETACH);
      const ended = new Promise((resolve) => sshfs.once('exit', resolve));
      sshfs.kill('SIGKILL');
      await ended;
      for (const path of [root, mounted]) rmSync(path, { recursive: true, force: true });
    });

    test('reads, writes, renames over, links, truncates, sets modes and times, and lists thousands', async () => {
      const here = (path: string) => join(root, path);
      const there = (path: string) => join(mounted, path);
      const run = promisify(spawnToEnd);
      expect(await run(['cat', there('file')])).toBe('from here');
      await run([
        'sh',
        '-c',
        `cd ${mounted} && mkdir -p "a ü/工作" && printf made > "a ü/工作/made" && ln -s made "a ü/工作/link" && printf newer > tmp && mv tmp file`,
      ]);
      expect(readFileSync(here('a ü/工作/link'), 'utf8')).toBe('made');
      expect(readlinkSync(here('a ü/工作/link'))).toBe('made');
      expect(readFileSync(here('file'), 'utf8')).toBe('newer');
      await run(['sh', '-c', `cd ${mounted} && chmod 750 file && truncate -s 3 file && touch -d @1700000000 file`]);
      expect(readFileSync(here('file'), 'utf8')).toBe('new');
      expect(statSync(here('file'))).toMatchObject({ mtimeMs: 1_700_000_000_000 });
      expect(statSync(here('file')).mode & 0o777).toBe(0o750);
      mkdirSync(here('many'));
      for (let n = 0; n < 1_000; n++) writeFileSync(here(`many/${n}`), '');
      expect((await run(['ls', there('many')])).split('\n')).toHaveLength(1_000);
      await run(['rm', '-r', there('many')]);
      expect(existsSync(here('many'))).toBe(false);
      const big = Buffer.alloc(5_000_000, 'skiff');
      writeFileSync(here('big'), big);
      await run(['cp', there('big'), there('copy')]);
      expect(readFileSync(here('copy')).equals(big)).toBe(true);
    });

    test('sees at once what changes here, and a touch that sets the same time leaves its fraction alone', async () => {
      const run = promisify(spawnToEnd);
      const here = join(root, 'file');
      expect(await run(['cat', join(mounted, 'file')])).toBe('from here');
      writeFileSync(here, 'other words');
      await expect.poll(() => run(['cat', join(mounted, 'file')]), { timeout: 20_000 }).toBe('other words');
      utimesSync(here, 1_700_000_000.5, 1_700_000_000.5);
      await run(['touch', '-m', '-d', '@1700000000', join(mounted, 'file')]);
      expect(statSync(here).mtimeMs).toBe(1_700_000_000_500);
      renameSync(here, join(root, 'moved'));
      truncateSync(join(root, 'moved'), 5);
      await expect.poll(() => run(['ls', mounted]), { timeout: 20_000 }).toBe('moved');
    });
  },
);

/** A mounted folder is never looked into by this process itself: it serves it. */
function spawnToEnd([program = '', ...args]: string[], done: (error: Error | null, output: string) => void): void {
  const child = spawn('timeout', ['-s', 'KILL', '60', program, ...args]);
  let output = '';
  child.stdout.on('data', (text) => (output += text));
  child.stderr.on('data', (text) => (output += text));
  child.on('close', (code) =>
    done(code === 0 ? null : new Error(`${program} ended with ${code}: ${output}`), output.trimEnd()),
  );
}
