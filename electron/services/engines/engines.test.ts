import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { addressOf, asDockerHost, checkedAddress, portHost } from './address.ts';
import { compare } from './api-version.ts';
import { dockerEngines } from './docker-engines.ts';
import { EnginesFile } from './engines-file.ts';
import { keyType, readKnownHosts } from './known-hosts.ts';

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'skiff-engines-'));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

const tls = { ca: '/c/ca.pem', cert: '/c/cert.pem', key: '/c/key.pem' };

describe('the address of an engine', () => {
  test.each([
    ['unix:///var/run/docker.sock', { kind: 'unix', path: '/var/run/docker.sock' }],
    ['npipe:////./pipe/docker_engine', { kind: 'unix', path: '\\\\.\\pipe\\docker_engine' }],
    ['tcp://10.0.0.7', { kind: 'tcp', host: '10.0.0.7', port: 2375 }],
    ['tcp://[fd00::7]:4000', { kind: 'tcp', host: 'fd00::7', port: 4000 }],
    ['http://build:80', { kind: 'tcp', host: 'build', port: 80 }],
    ['https://build', { kind: 'tls', host: 'build', port: 2376, ca: '', cert: '', key: '' }],
    ['ssh://build.example.com', { kind: 'ssh', host: 'build.example.com', port: 22, user: '', key: '', hostKey: '' }],
    ['ssh://ann@build:2222', { kind: 'ssh', host: 'build', port: 2222, user: 'ann', key: '', hostKey: '' }],
  ])('%s is understood', (text, address) => expect(addressOf(text, undefined)).toEqual(address));

  test('tcp with certificates is TLS, and has TLS’s port', () => {
    expect(addressOf('tcp://build', tls)).toEqual({ kind: 'tls', host: 'build', port: 2376, ...tls });
  });

  test.each(['', 'docker.sock', 'unix://relative', 'fd://', 'tcp://', 'ssh://-oProxyCommand=x y', 'tcp://a:99999'])(
    '“%s” is none',
    (text) => expect(addressOf(text, undefined)).toBeUndefined(),
  );

  test.each([
    [{ kind: 'unix', path: 'docker.sock' }, /absolute path/],
    [{ kind: 'tcp', host: '', port: 1 }, /name or the address/],
    [{ kind: 'tcp', host: 'a/b', port: 1 }, /name or the address/],
    [{ kind: 'tcp', host: 'a', port: 0 }, /port/],
    [{ kind: 'tls', host: 'a', port: 1, ca: '', cert: '/c', key: '' }, /both or neither/],
    [{ kind: 'ssh', host: 'a', port: 22, user: '-oProxyCommand=x' }, /user/],
    [{ kind: 'ssh', host: 'a', port: 22, hostKey: 'what ever\nelse' }, /key of a host/],
    [{ kind: 'gopher', host: 'a' }, /kind/],
    [undefined, /kind/],
  ])('%j is refused', (given, why) => expect(() => checkedAddress(given)).toThrow(why));

  test('nothing but its own fields is kept', () => {
    const given = { kind: 'tcp', host: ' [fd00::1] ', port: '2375', password: 'x' };
    expect(checkedAddress(given)).toEqual({ kind: 'tcp', host: 'fd00::1', port: 2375 });
  });

  test('is said as DOCKER_HOST says it, and ports are at its host', () => {
    for (const text of ['unix:///a', 'tcp://[fd00::7]:4000', 'ssh://ann@build:2222']) {
      const address = addressOf(text, undefined);
      expect(address && asDockerHost(address)).toBe(text);
    }
    expect(portHost(addressOf('ssh://ann@build', undefined))).toBe('build');
    expect(portHost(addressOf('unix:///a', undefined))).toBe('localhost');
  });
});

describe('the list of engines', () => {
  const wish = { name: 'build', address: { kind: 'tcp', host: 'build', port: 2375 } };

  test('begins with Skiff’s own, which is chosen and can’t be taken away', async () => {
    const file = await EnginesFile.open(home);
    expect(file.list).toEqual({
      engines: [{ id: 'skiff', name: 'Skiff', address: undefined, portHost: 'localhost' }],
      chosen: 'skiff',
    });
    await expect(file.remove('skiff')).rejects.toMatchObject({ kind: 'not-found' });
    await expect(file.edit('skiff', wish)).rejects.toMatchObject({ kind: 'not-found' });
  });

  test('is there again after a new start, with what was chosen, for the user only', async () => {
    const file = await EnginesFile.open(home);
    const id = await file.add(wish);
    await file.choose(id);
    const again = await EnginesFile.open(home);
    expect(again.list).toEqual(file.list);
    expect(again.list).toMatchObject({ chosen: id, engines: [{}, { name: 'build', portHost: 'build' }] });
    expect(statSync(join(home, 'engines.json')).mode & 0o777).toBe(0o600);
  });

  test('has each name once', async () => {
    const file = await EnginesFile.open(home);
    const id = await file.add(wish);
    await expect(file.add({ ...wish, name: 'Build ' })).rejects.toMatchObject({ kind: 'conflict' });
    await expect(file.add({ ...wish, name: 'skiff' })).rejects.toMatchObject({ kind: 'conflict' });
    await expect(file.add({ ...wish, name: ' ' })).rejects.toMatchObject({ kind: 'invalid' });
    await file.edit(id, { ...wish, name: 'BUILD' });
    expect(file.list.engines[1]?.name).toBe('BUILD');
  });

  test('goes back to Skiff’s own when the chosen one is removed', async () => {
    const file = await EnginesFile.open(home);
    const id = await file.add(wish);
    await file.choose(id);
    await file.remove(id);
    expect(file.list).toMatchObject({ chosen: 'skiff', engines: [{ id: 'skiff' }] });
    await expect(file.choose(id)).rejects.toMatchObject({ kind: 'not-found' });
  });

  test('keeps no more of a key than where it lies', async () => {
    const file = await EnginesFile.open(home);
    const address = {
      kind: 'ssh',
      host: 'a',
      port: 22,
      user: 'ann',
      key: '/home/ann/key',
      hostKey: '',
      passphrase: 'x',
    };
    await file.add({ name: 'a', address });
    expect(readFileSync(join(home, 'engines.json'), 'utf8')).not.toContain('passphrase');
  });

  test('leaves out what is damaged, and takes the rest', async () => {
    const good = { id: 'a', ...wish };
    const engines = [7, { id: '../x', ...wish }, { id: 'b', name: 'b', address: { kind: 'tcp' } }, good];
    writeFileSync(join(home, 'engines.json'), JSON.stringify({ chosen: 'gone', engines }));
    expect((await EnginesFile.open(home)).list).toMatchObject({ chosen: 'skiff', engines: [{}, { id: 'a' }] });
    writeFileSync(join(home, 'engines.json'), '{');
    expect((await EnginesFile.open(home)).list.engines).toHaveLength(1);
  });
});

describe('what the docker command knows', () => {
  const context = (name: string, host: string, tls = false) => {
    const id = createHash('sha256').update(name).digest('hex');
    mkdirSync(join(home, 'contexts/meta', id), { recursive: true });
    const meta = { Name: name, Metadata: {}, Endpoints: { docker: { Host: host, SkipTLSVerify: false } } };
    writeFileSync(join(home, 'contexts/meta', id, 'meta.json'), JSON.stringify(meta));
    const folder = join(home, 'contexts/tls', id, 'docker');
    if (!tls) return folder;
    mkdirSync(folder, { recursive: true });
    for (const file of ['ca.pem', 'cert.pem', 'key.pem']) writeFileSync(join(folder, file), 'x');
    return folder;
  };

  test('its contexts, with their certificates where they lie', async () => {
    context('one', 'ssh://ann@build');
    const folder = context('two', 'tcp://build:2376', true);
    context('odd', 'kubernetes://x');
    mkdirSync(join(home, 'contexts/meta/damaged'));
    expect(await dockerEngines({ DOCKER_CONFIG: home })).toMatchObject([
      { name: 'one', address: { kind: 'ssh', user: 'ann', host: 'build', port: 22 } },
      {
        name: 'two',
        address: {
          kind: 'tls',
          ca: join(folder, 'ca.pem'),
          cert: join(folder, 'cert.pem'),
          key: join(folder, 'key.pem'),
        },
      },
    ]);
  });

  test('DOCKER_HOST, with the certificates of DOCKER_CERT_PATH', async () => {
    writeFileSync(join(home, 'ca.pem'), 'x');
    const env = { DOCKER_CONFIG: home, DOCKER_HOST: 'tcp://build', DOCKER_TLS_VERIFY: '1', DOCKER_CERT_PATH: home };
    expect(await dockerEngines(env)).toEqual([
      {
        name: 'DOCKER_HOST',
        address: { kind: 'tls', host: 'build', port: 2376, ca: join(home, 'ca.pem'), cert: '', key: '' },
      },
    ]);
    expect(await dockerEngines({ DOCKER_CONFIG: home })).toEqual([]);
  });
});

describe('known_hosts', () => {
  test('says the same of a host as ssh-keygen does', () => {
    const path = join(home, 'known_hosts');
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(home, 'key')]);
    const [type, key = ''] = readFileSync(join(home, 'key.pub'), 'utf8').split(' ');
    const lines = [
      `build,10.0.0.7 ${type} ${key}`,
      `[build]:2222 ${type} ${key}`,
      `*.example.com,!no.example.com ${type} ${key}`,
    ];
    writeFileSync(path, `# words\n${lines.join('\n')}\n@revoked gone ${type} ${key}\n`);
    const found = (host: string, port = 22) => {
      const { keys, revoked } = readKnownHosts(readFileSync(path, 'utf8'), host, port);
      return `${keys.map(keyType)} ${revoked.length}`;
    };
    const expected = () => {
      expect(found('Build')).toBe('ssh-ed25519 0');
      expect(found('build', 2222)).toBe('ssh-ed25519 0');
      expect(found('build', 2223)).toBe(' 0');
      expect(found('gone')).toBe(' 1');
      expect(found('other')).toBe(' 0');
    };
    expected();
    expect(found('a.example.com')).toBe('ssh-ed25519 0');
    expect(found('no.example.com')).toBe(' 0');
    // Names that are hashed are found as well.
    execFileSync('ssh-keygen', ['-H', '-f', path], { stdio: 'ignore' });
    expect(readFileSync(path, 'utf8')).toContain('|1|');
    expect(found('10.0.0.7')).toBe('ssh-ed25519 0');
    expect(found('build', 2222)).toBe('ssh-ed25519 0');
  });
});

test('versions of the API are compared by their numbers', () => {
  expect(['1.51', '1.9', '1.40', '2.0'].sort(compare)).toEqual(['1.9', '1.40', '1.51', '2.0']);
});
