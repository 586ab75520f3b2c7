import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';

import { dockerCli } from '../../scripts/setup.mjs';
import { canRun, Testbed } from '../engine/testbed.ts';
import { contextTar, postBuild } from './api.ts';
import { ContextFolder } from './samples.ts';
import { Web } from './web.ts';

const BASE = 'FROM skiff/welcome\n';
const BIG = 150 * 1024 * 1024;

describe.skipIf(!canRun)('builds with the web around (skipped without root on Linux: needs namespaces)', () => {
  let bed: Testbed;
  let web: Web;

  beforeAll(async () => {
    bed = new Testbed();
    await bed.start();
    web = new Web();
    await web.start(bed);
    const archive = await contextTar({
      Dockerfile: `${BASE}COPY f /f\nCMD cat /f`,
      'sub/Other': `${BASE}CMD echo other`,
      f: 'tar\n',
    });
    web.write('context.tar', archive);
    web.write('context.tgz', gzipSync(archive));
    web.write('dockerfile', `${BASE}CMD echo single\n`);
    web.write('file.txt', 'remote file\n');
    web.write('empty', '');
  });
  afterAll(async () => {
    await web[Symbol.asyncDispose]();
    await bed[Symbol.asyncDispose]();
  });

  const built = async (query: Record<string, string>): Promise<string> => {
    const { said, error } = await postBuild(bed.socket, { t: 'w', ...query });
    expect(error).toBe('');
    expect(said).toContain('Successfully tagged w:latest');
    return bed.ok('run', '--rm', 'w');
  };
  const add = async (instructions: string, query: Record<string, string> = {}) =>
    postBuild(bed.socket, { t: 'a', ...query }, await contextTar({ Dockerfile: BASE + instructions }));

  test('a context is an archive or a Dockerfile, by its type or by its first bytes, through redirects', async () => {
    expect(await built({ remote: `${web.url}/files/context.tar?type=application/x-tar` })).toBe('tar');
    expect(await built({ remote: `${web.url}/files/context.tgz?type=application/gzip` })).toBe('tar');
    expect(await built({ remote: `${web.url}/files/context.tgz?type=application/octet-stream` })).toBe('tar');
    expect(await built({ remote: `${web.url}/files/context.tar`, dockerfile: 'sub/Other' })).toBe('other');
    expect(await built({ remote: `${web.url}/files/dockerfile?type=text/plain;charset=utf-8` })).toBe('single');
    expect(await built({ remote: `${web.url}/files/dockerfile` })).toBe('single');
    expect(await built({ remote: `${web.url}/redirect/5/files/context.tar?type=application/x-tar` })).toBe('tar');
    // The CLI downloads by itself, from where it is; where the engine is it finds the same.
    const { stdout } = await bed.inNetwork(dockerCli(), [
      ...['-H', `unix://${bed.socket}`, 'build', '-t', 'w', `${web.url}/files/context.tgz?type=application/gzip`],
    ]);
    expect(stdout).toContain('Successfully tagged w:latest');
  });

  test.each([
    ['what is not there', '/files/none', 404, 'with status 404 Not Found: no such file'],
    ['a server that fails', '/status/500', 500, 'with status 500 Internal Server Error: this is 500'],
    ['a page', '/files/dockerfile?type=text/html', 400, 'unsupported Content-Type "text/html"'],
    ['nothing', '/files/empty', 400, 'empty response'],
    ['too many redirects', '/redirect/20/files/dockerfile', 500, 'stopped after 10 redirects'],
    ['a body that is cut off', '/cut', 500, 'unexpected EOF'],
  ])('%s is refused as a context in words', async (_what, path, status, words) => {
    const answer = await postBuild(bed.socket, { remote: web.url + path });
    expect(answer.error).toContain(words);
    expect(answer.status === 200 ? 500 : answer.status).toBe(status);
  });

  test('ADD of a URL: its name, its time, its checksum; from the cache as long as its content is the same', async () => {
    const digest = (await import('node:crypto')).createHash('sha256').update('remote file\n').digest('hex');
    const url = `${web.url}/files/file.txt`;
    const checked = `ADD --checksum=sha256:${digest} ${url} /d/\nADD --chmod=640 --chown=5:6 ${url} /named`;
    expect(await add(checked)).toMatchObject({ error: '' });
    const facts = await bed.ok('run', '--rm', 'a', 'stat', '-c', '%n %a %u:%g %Y', '/d/file.txt', '/named');
    expect(facts).toBe('/d/file.txt 600 0:0 1000000000\n/named 640 5:6 1000000000');
    expect((await add(checked)).said.match(/Using cache/g)).toHaveLength(2);
    web.write('file.txt', 'another\n');
    expect((await add(`ADD ${url} /d/`)).said).not.toContain('Using cache');
    expect((await add(checked)).error).toContain(`ADD failed: digest mismatch sha256:`);
    web.write('file.txt', 'remote file\n');
    expect((await add(`ADD --checksum=nope ${url} /d/`)).error).toContain('invalid checksum digest format');
  });

  test('ADD of a URL does not unpack, follows redirects, takes big files', async () => {
    const got = await add(`ADD ${web.url}/redirect/2/files/context.tgz /x/\nADD ${web.url}/big/${BIG} /big`);
    expect(got).toMatchObject({ error: '' });
    expect(await bed.ok('run', '--rm', 'a', 'stat', '-c', '%n %s', '/big')).toBe(`/big ${BIG}`);
    expect(await bed.ok('run', '--rm', 'a', 'ls', '/x')).toBe('context.tgz');
  });

  test.each([
    [
      'what is not there',
      'ADD URL/files/none /x',
      'ADD failed: failed to GET URL/files/none with status 404 Not Found: ',
    ],
    ['a server that fails', 'ADD URL/status/503 /x', 'with status 503 Service Unavailable: this is 503'],
    ['a body that is cut off', 'ADD URL/cut /x', 'ADD failed: unexpected EOF'],
    ['a URL without a name', 'ADD URL/ /x/', 'ADD failed: '],
    ['nobody there', 'ADD http://127.0.0.1:1/x /x', 'ADD failed: Get "http://127.0.0.1:1/x": '],
  ])('ADD of %s is refused in words', async (_what, line, words) => {
    const { error } = await add(line.replaceAll('URL', web.url));
    expect(error).toContain(words.replaceAll('URL', web.url));
  });

  test('a client that leaves ends a download, and nothing of it stays', async () => {
    const stop = new AbortController();
    const posted = postBuild(bed.socket, { remote: `${web.url}/stall` }, Buffer.alloc(0), {}, stop.signal);
    posted.catch(() => {});
    const scratch = () => readdirSync(join(bed.data, 'lib/builds/scratch'));
    await vi.waitFor(() => expect(scratch()).toHaveLength(1), 20_000);
    stop.abort();
    await expect(posted).rejects.toThrow();
    await vi.waitFor(() => expect(scratch()).toEqual([]), 20_000);
  });

  test('a Dockerfile or an archive comes through standard input', async () => {
    const single = await bed.docker(['build', '-t', 'i', '-'], `${BASE}CMD echo piped`);
    expect(single.stderr).not.toContain('Error');
    expect(await bed.ok('run', '--rm', 'i')).toBe('piped');
    const archive = await contextTar({ Dockerfile: `${BASE}COPY f /f\nCMD cat /f`, f: 'piped tar\n' });
    const piped = await bed.docker(['build', '-t', 'i', '-'], archive.toString('latin1'));
    expect(piped.stdout).toContain('Successfully tagged i:latest');
    expect(await bed.ok('run', '--rm', 'i')).toBe('piped tar');
    using folder = new ContextFolder({ f: 'from the folder\n' });
    await bed.docker(['build', '-t', 'i', '-f', '-', folder.path], `${BASE}COPY f /f\nCMD cat /f`);
    expect(await bed.ok('run', '--rm', 'i')).toBe('from the folder');
  });

  describe('and registries', () => {
    const config = mkdtempSync(join(tmpdir(), 'skiff-docker-config-'));
    const before = process.env.DOCKER_CONFIG;
    let open = '';
    let closed = '';

    beforeAll(async () => {
      open = await web.startRegistry(bed, 5000);
      closed = await web.startRegistry(bed, 5001, HTPASSWD);
      process.env.DOCKER_CONFIG = config;
    });
    afterAll(() => {
      if (before === undefined) delete process.env.DOCKER_CONFIG;
      else process.env.DOCKER_CONFIG = before;
      rmSync(config, { recursive: true, force: true });
    });

    test('FROM and COPY --from pull from a registry that asks who you are, with what the CLI knows', async () => {
      const auths = { [closed]: { auth: Buffer.from('user:secret').toString('base64') } };
      writeFileSync(join(config, 'config.json'), JSON.stringify({ auths }));
      await bed.docker(['build', '-t', `${closed}/base`, '-'], `${BASE}RUN echo private > /p`);
      await bed.ok('push', `${closed}/base`);
      await bed.ok('rmi', `${closed}/base`);
      await bed.ok('builder', 'prune', '-af');
      const dockerfile = `FROM ${closed}/base\nCOPY --from=${closed}/base /p /q\nCMD cat /p /q`;
      expect((await bed.docker(['build', '-t', 'p', '-'], dockerfile)).stderr).not.toContain('rror');
      expect(await bed.ok('run', '--rm', 'p')).toBe('private\nprivate');
      await bed.ok('rmi', '-f', 'p', `${closed}/base`);
      writeFileSync(join(config, 'config.json'), '{}');
      const denied = await bed.docker(['build', '-t', 'p', '-'], dockerfile);
      expect(denied.code).not.toBe(0);
      expect(denied.stderr).toMatch(/no basic auth credentials|unauthorized|denied/);
    });

    test('--pull takes what the registry has now, without it what is here is good enough', async () => {
      const name = `${open}/moving`;
      const publish = async (word: string): Promise<void> => {
        await bed.docker(['build', '-t', name, '-'], `${BASE}RUN echo ${word} > /word`);
        await bed.ok('push', name);
      };
      await publish('new');
      const newer = await bed.ok('image', 'inspect', '-f', '{{.Id}}', name);
      await bed.docker(['build', '-t', name, '-'], `${BASE}RUN echo old > /word`);
      const dockerfile = `FROM ${name}\nCMD cat /word`;
      await bed.docker(['build', '-t', 'm', '-'], dockerfile);
      expect(await bed.ok('run', '--rm', 'm')).toBe('old');
      const pulled = await bed.docker(['build', '--pull', '-t', 'm', '-'], dockerfile);
      expect(pulled.stdout).toContain('Pulling from moving');
      expect(await bed.ok('run', '--rm', 'm')).toBe('new');
      expect(await bed.ok('image', 'inspect', '-f', '{{.Id}}', name)).toBe(newer);
      const missing = await bed.docker(['build', '--pull', '-'], `FROM ${open}/none\n`);
      expect(missing.stderr).toContain('manifest unknown');
    });

    test('FROM takes the platform that is asked for out of an index', async () => {
      const name = `${open}/both`;
      const inNetwork = async (...args: string[]) => {
        const outcome = await bed.inNetwork(dockerCli(), ['-H', `unix://${bed.socket}`, ...args]);
        if (outcome.code !== 0) throw new Error(outcome.stderr);
        return outcome.stdout;
      };
      for (const architecture of ['amd64', 'arm64']) {
        using folder = new ContextFolder({ Dockerfile: 'FROM scratch\nCOPY arch /arch', arch: architecture });
        await bed.ok('build', '--platform', `linux/${architecture}`, '-t', `${name}:${architecture}`, folder.path);
        await bed.ok('push', `${name}:${architecture}`);
      }
      await inNetwork('manifest', 'create', '--amend', '--insecure', `${name}:1`, `${name}:amd64`, `${name}:arm64`);
      await inNetwork('manifest', 'push', '--insecure', `${name}:1`);
      const take = async (dockerfile: string, ...args: string[]): Promise<string> => {
        const outcome = await bed.docker(['build', '-t', 'foreign', ...args, '-'], dockerfile);
        expect(outcome.stderr).not.toContain('rror');
        return bed.ok('image', 'inspect', '-f', '{{.Os}}/{{.Architecture}}', 'foreign');
      };
      const copied = `${BASE}COPY --from=x /arch /arch\nCMD cat /arch`;
      for (const architecture of ['arm64', 'amd64']) {
        const platform = `linux/${architecture}`;
        expect(await take(`FROM ${name}:1\nLABEL a=b`, '--platform', platform)).toBe(platform);
        expect(await take(`FROM --platform=${platform} ${name}:1\nLABEL a=b`)).toBe(platform);
        await take(`FROM --platform=${platform} ${name}:1 AS x\n${copied}`);
        expect(await bed.ok('run', '--rm', 'foreign')).toBe(architecture);
      }
      const none = await bed.docker(['build', '-'], `FROM --platform=linux/s390x ${name}:1\n`);
      expect(none.stderr).toContain('no match');
    });

    test('--cache-from takes the steps of an image that was pulled', async () => {
      const name = `${open}/cached`;
      const dockerfile = `${BASE}RUN cat /proc/sys/kernel/random/uuid > /u\nENV A=b`;
      await bed.docker(['build', '--no-cache', '-t', name, '-'], dockerfile);
      const made = await bed.ok('run', '--rm', name, 'cat', '/u');
      await bed.ok('push', name);
      await bed.ok('rmi', name);
      await bed.ok('builder', 'prune', '-af');
      await bed.ok('pull', name);
      const again = await bed.docker(['build', '--cache-from', name, '-t', 'taker', '-'], dockerfile);
      expect(again.stdout.match(/Using cache/g)).toHaveLength(2);
      expect(await bed.ok('image', 'inspect', '-f', '{{.Id}}', 'taker')).toBe(
        await bed.ok('image', 'inspect', '-f', '{{.Id}}', name),
      );
      expect(await bed.ok('run', '--rm', 'taker', 'cat', '/u')).toBe(made);
    });
  });
});

/** bcrypt of `secret`. */
const HTPASSWD = 'user:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n';
