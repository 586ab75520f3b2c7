import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';

import { canRun, Testbed } from '../engine/testbed.ts';
import { contextTar, postBuild } from './api.ts';
import { type Repository, Web } from './web.ts';

const BASE = 'FROM skiff/welcome\n';
const GIT_PORT = 9418;

describe.skipIf(!canRun)('builds from repositories (skipped without root on Linux: needs namespaces)', () => {
  let bed: Testbed;
  let web: Web;
  let app: Repository;
  let first = '';
  let second = '';

  beforeAll(async () => {
    bed = new Testbed();
    await bed.start();
    web = new Web();
    await web.start(bed);
    await web.startGitDaemon(bed, GIT_PORT);
    const library = web.repository('library.git');
    library.commit({ 'lib.txt': 'library\n' });
    app = web.repository('app.git');
    first = app.commit({ Dockerfile: `${BASE}COPY . /src/\nCMD cat /src/version`, version: 'one\n' });
    app.git('tag', '--annotate', 'v1', '--message', 'first');
    second = app.commit({
      version: 'two\n',
      'docker/Dockerfile': `${BASE}COPY . /src/\nCMD ls -a /src`,
      'docker/.dockerignore': 'secret\n',
      'docker/kept': '',
      'docker/secret': '',
    });
    app.git('branch', 'side/branch', first);
  });
  afterAll(async () => {
    await web[Symbol.asyncDispose]();
    await bed[Symbol.asyncDispose]();
  });

  const remote = (fragment = '', name = 'app.git') => `${web.url}/git/${name}${fragment && `#${fragment}`}`;
  const built = async (query: Record<string, string>): Promise<string> => {
    const { said, error } = await postBuild(bed.socket, { t: 'r', ...query });
    expect(error).toBe('');
    expect(said).toContain('Successfully tagged r:latest');
    return bed.ok('run', '--rm', 'r');
  };
  const addFrom = async (add: string, more = '') =>
    postBuild(bed.socket, { t: 'a' }, await contextTar({ Dockerfile: `${BASE}${add}\n${more}` }));

  test('a context is the branch, tag or commit that its URL says, else what HEAD is', async () => {
    expect(await built({ remote: remote() })).toBe('two');
    expect(await built({ remote: remote('main') })).toBe('two');
    expect(await built({ remote: remote('v1') })).toBe('one');
    expect(await built({ remote: remote('side/branch') })).toBe('one');
    expect(await built({ remote: remote('refs/heads/side/branch') })).toBe('one');
    expect(await built({ remote: remote(first) })).toBe('one');
    expect(await built({ remote: `git://127.0.0.1:${GIT_PORT}/app.git#${second}` })).toBe('two');
  });

  test('a folder of it is the context, its .dockerignore counts, .git stays away unless it is asked for', async () => {
    expect(await built({ remote: remote('main:docker') })).toBe('.\n..\n.dockerignore\nDockerfile\nkept');
    const args = JSON.stringify({ BUILDKIT_CONTEXT_KEEP_GIT_DIR: '1' });
    await built({ remote: remote(), buildargs: args });
    expect(await bed.ok('run', '--rm', 'r', 'cat', '/src/.git/HEAD')).toBe(second);
    await built({ remote: remote() });
    expect((await bed.docker(['run', '--rm', 'r', 'ls', '/src/.git'])).code).not.toBe(0);
  });

  test('the same commit is the same image, whatever the time', async () => {
    await built({ remote: remote() });
    const before = await bed.ok('image', 'inspect', '-f', '{{.Id}}', 'r');
    const { said } = await postBuild(bed.socket, { t: 'r', remote: remote() });
    expect(said.match(/Using cache/g)).toHaveLength(2);
    expect(await bed.ok('image', 'inspect', '-f', '{{.Id}}', 'r')).toBe(before);
    expect(await bed.ok('run', '--rm', 'r', 'stat', '-c', '%Y %a %u', '/src/version')).toBe('1112911993 644 0');
  });

  test('submodules come along', async () => {
    const parent = web.repository('parent.git');
    parent.commit({ Dockerfile: `${BASE}COPY . /src/\nCMD cat /src/lib/lib.txt; ls -a /src/lib` });
    parent.git('submodule', '--quiet', 'add', '--force', join(web.folder, 'library.git'), 'lib');
    parent.git('config', '--file=.gitmodules', 'submodule.lib.url', '../library.git');
    parent.commit({}, 'library');
    expect(await built({ remote: remote('', 'parent.git') })).toBe('library\n.\n..\nlib.txt');
  });

  test('ADD of a repository takes its files, from the cache as long as the commit is the same', async () => {
    const add = `ADD ${remote('v1')} /app\nCMD cat /app/version; ls -a /app`;
    expect(await addFrom(add)).toMatchObject({ error: '' });
    expect(await bed.ok('run', '--rm', 'a')).toBe('one\n.\n..\nDockerfile\nversion');
    expect((await addFrom(add)).said.match(/Using cache/g)).toHaveLength(2);
    app.git('tag', '--force', 'v1', second);
    expect((await addFrom(add)).said).not.toContain('Using cache');
    expect(await bed.ok('run', '--rm', 'a', 'cat', '/app/version')).toBe('two');
    app.git('tag', '--force', '--annotate', 'v1', '--message', 'first', first);
  });

  test('ADD with a folder, --keep-git-dir, --chown and --checksum', async () => {
    expect(await addFrom(`ADD --chown=7:8 ${remote('main:docker')} /app`)).toMatchObject({ error: '' });
    expect(await bed.ok('run', '--rm', 'a', 'stat', '-c', '%u:%g', '/app/kept')).toBe('7:8');
    const kept = `ADD --keep-git-dir=true --checksum=${first} ${remote('v1')} /app`;
    expect(await addFrom(kept)).toMatchObject({ error: '' });
    expect(await bed.ok('run', '--rm', 'a', 'cat', '/app/.git/HEAD')).toBe(first);
    expect((await addFrom(kept)).said).toContain('Using cache');
    const wrong = await addFrom(`ADD --checksum=${second} ${remote('v1')} /app`);
    expect(wrong.error).toContain(`ADD failed: expected checksum to match ${second}, got ${first}`);
    expect((await addFrom(`ADD --checksum=sha256:00 ${remote('v1')} /app`)).error).toContain('invalid checksum');
  });

  test.each([
    ['a reference that is not there', () => remote('nope'), "error fetching: fatal: couldn't find remote ref nope"],
    ['a commit that is not there', () => remote('0'.repeat(40)), 'error fetching: '],
    ['a folder that is not there', () => remote('main:nope'), 'error setting git context, "nope" not within git root'],
    ['a folder that is a file', () => remote('main:version'), 'error setting git context, not a directory: version'],
    ['a repository that is not there', () => remote('', 'none.git'), 'error fetching: '],
    ['an option as a reference', () => remote('--upload-pack=x'), 'invalid refspec: --upload-pack=x'],
    ['a server that is not there', () => 'git://127.0.0.1:1/x.git', 'Connection refused'],
    ['a path of the machine', () => 'file:///x.git', 'remote URL (file:///x.git) could not be parsed'],
  ])('%s is refused in words', async (_what, url, words) => {
    const { status, error } = await postBuild(bed.socket, { remote: url() });
    expect(status).toBeGreaterThanOrEqual(400);
    expect(error).toContain(words);
    expect(await processes(bed)).toEqual([]);
  });

  test('a submodule can not name a path of the machine', async () => {
    const evil = web.repository('evil.git');
    evil.commit({ Dockerfile: BASE });
    evil.git('submodule', '--quiet', 'add', '--force', join(web.folder, 'library.git'), 'lib');
    evil.git('config', '--file=.gitmodules', 'submodule.lib.url', 'file:///library.git');
    evil.commit({}, 'library');
    const { error } = await postBuild(bed.socket, { remote: remote('', 'evil.git') });
    expect(error).toContain('error initializing submodules: ');
    expect(error).toContain("transport 'file' not allowed");
  });

  test('a client that leaves ends git, and nothing of it stays', async () => {
    const stop = new AbortController();
    const posted = postBuild(bed.socket, { remote: `${web.url}/stall/x.git` }, Buffer.alloc(0), {}, stop.signal);
    posted.catch(() => {});
    await vi.waitFor(async () => expect(await processes(bed)).not.toEqual([]), 20_000);
    stop.abort();
    await expect(posted).rejects.toThrow();
    await vi.waitFor(async () => expect(await processes(bed)).toEqual([]), 20_000);
    await vi.waitFor(() => expect(readdirSync(join(bed.data, 'lib/builds/scratch'))).toEqual([]), 20_000);
  });

  test('an engine that dies takes its git with it, and the next one sweeps', async () => {
    postBuild(bed.socket, { remote: `${web.url}/stall/x.git` }).catch(() => {});
    await vi.waitFor(async () => expect(await processes(bed)).not.toEqual([]), 20_000);
    await bed.kill();
    await bed.start();
    await vi.waitFor(async () => expect(await processes(bed)).toEqual([]), 20_000);
    expect(readdirSync(join(bed.data, 'lib/builds/scratch'))).toEqual([]);
  });

  test('without git it says so', async () => {
    const inBed = (...command: string[]) => execFileSync('nsenter', [`--target=${bed.pid}`, '--mount', ...command]);
    inBed('/bin/mv', '/usr/bin/git', '/usr/bin/no-git');
    try {
      const { status, error } = await postBuild(bed.socket, { remote: remote() });
      expect(status).toBe(500);
      expect(error).toContain(`unable to find 'git': exec: "git": executable file not found in $PATH`);
    } finally {
      inBed('/bin/mv', '/usr/bin/no-git', '/usr/bin/git');
    }
  });
});

/** git's processes in the engine's network. */
async function processes(bed: Testbed): Promise<string[]> {
  const { stdout } = await bed.inNetwork('/bin/sh', [
    '-c',
    'own=$(readlink /proc/self/ns/net); for p in /proc/[0-9]*; do [ "$(readlink $p/ns/net 2>/dev/null)" = "$own" ] && tr "\\0" " " <$p/cmdline && echo; done',
  ]);
  return stdout
    .split('\n')
    .filter((line) => /^(git|\S*\/git|prlimit|unshare) .*(ls-remote|fetch|remote-http)/.test(line));
}
