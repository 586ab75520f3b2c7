import { createPrivateKey, sign, X509Certificate } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { startEngine, type TestEngine } from './engine.ts';
import { dockerArchive, imageOf, noise, tarOf } from './fixtures.ts';
import { sh, startRegistry } from './registry.ts';

const isRoot = process.getuid?.() === 0;
const never = new AbortController().signal;
const quiet = () => undefined;
const image = imageOf([tarOf({ file: noise(2_000_000) })]);

const auth = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const GOOD = { username: 'user', password: 'secret' };
/** bcrypt of `secret`. */
const HTPASSWD = 'user:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n';

async function load(engine: TestEngine, tag: string): Promise<void> {
  const archive = dockerArchive([{ image, tags: [tag] }]);
  const source = (async function* () {
    yield archive;
  })();
  await engine.images.load(source, { quiet: true }, quiet, never);
}

/** Pushes, removes and pulls again. */
async function roundTrip(engine: TestEngine, ref: string, header: string | undefined): Promise<void> {
  await load(engine, `${ref}:1`);
  await engine.images.push({ image: ref, tag: '1', auth: header }, quiet, never);
  engine.images.remove(`${ref}:1`, {});
  await engine.images.pull({ image: `${ref}:1`, auth: header }, quiet, never);
  expect(engine.images.get(`${ref}:1`).id).toBe(image.id);
}

describe.runIf(isRoot)('registries that ask who you are', () => {
  let folder = '';
  const openssl = (...args: string[]) => sh('openssl', args);

  beforeAll(async () => {
    folder = mkdtempSync(`${tmpdir()}/skiff-auth-`);
    await openssl(
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-keyout',
      `${folder}/ca.key`,
      '-out',
      `${folder}/ca.crt`,
      '-days',
      '2',
      '-subj',
      '/CN=Test CA',
    );
    await openssl(
      'req',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-keyout',
      `${folder}/tls.key`,
      '-out',
      `${folder}/tls.csr`,
      '-subj',
      '/CN=registry.test',
    );
    writeFileSync(`${folder}/san`, 'subjectAltName=DNS:registry.test,DNS:localhost,IP:127.0.0.1\n');
    await openssl(
      'x509',
      '-req',
      '-in',
      `${folder}/tls.csr`,
      '-CA',
      `${folder}/ca.crt`,
      '-CAkey',
      `${folder}/ca.key`,
      '-CAcreateserial',
      '-out',
      `${folder}/tls.crt`,
      '-days',
      '2',
      '-extfile',
      `${folder}/san`,
    );
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('takes name and password (htpasswd)', async () => {
    await using registry = await startRegistry({ htpasswd: HTPASSWD });
    await using engine = await startEngine();
    const ref = `${registry.host}/private`;
    await roundTrip(engine, ref, auth(GOOD));
    await roundTrip(engine, ref, auth({ auth: Buffer.from('user:secret').toString('base64') }));
    await expect(engine.images.pull({ image: `${ref}:1` }, quiet, never)).rejects.toThrow(/no basic auth credentials/);
    const wrong = auth({ username: 'user', password: 'wrong' });
    await expect(engine.images.pull({ image: `${ref}:1`, auth: wrong }, quiet, never)).rejects.toMatchObject({
      kind: 'unauthorized',
    });
    await expect(engine.images.pull({ image: `${ref}:1`, auth: 'nonsense' }, quiet, never)).rejects.toThrow(
      /no basic auth/,
    );
  });

  it('answers docker login', async () => {
    await using registry = await startRegistry({ htpasswd: HTPASSWD });
    await using engine = await startEngine();
    const login = (password: string) =>
      engine.images.authenticate({ username: 'user', password, serveraddress: registry.host }, never);
    await expect(login('secret')).resolves.toEqual({ Status: 'Login Succeeded', IdentityToken: '' });
    await expect(login('wrong')).rejects.toMatchObject({ kind: 'unauthorized' });
    const config = { DOCKER_CONFIG: `${folder}/config` };
    const docker = (...args: string[]) => sh('docker', ['-H', engine.host, ...args], config);
    expect(await docker('login', '-u', 'user', '-p', 'secret', registry.host)).toContain('Login Succeeded');
    await load(engine, `${registry.host}/cli:1`);
    expect(await docker('push', `${registry.host}/cli:1`)).toContain('1: digest: sha256:');
    expect(await docker('pull', `${registry.host}/cli:1`)).toContain('Image is up to date');
  });

  it('trusts a private authority from certs.d, and nobody without it', async () => {
    const tls = { certificate: `${folder}/tls.crt`, key: `${folder}/tls.key` };
    await using registry = await startRegistry({ tls });
    // Loopback is insecure by rule, so the name of a host that is not stands in for it.
    const dns = await import('node:dns');
    const lookup = dns.lookup;
    const port = registry.port;
    const certsDir = `${folder}/certs.d`;
    mkdirSync(`${certsDir}/registry.test:${port}`, { recursive: true });
    // @ts-expect-error one signature of several
    dns.default.lookup = (host: string, options: object, callback: (...result: unknown[]) => void) =>
      host === 'registry.test'
        ? callback(null, [{ address: '127.0.0.1', family: 4 }])
        : lookup(host, options as never, callback as never);
    try {
      await using engine = await startEngine({ settings: { certsDir } });
      const ref = `registry.test:${port}/tls`;
      await load(engine, `${ref}:1`);
      await expect(engine.images.push({ image: ref, tag: '1' }, quiet, never)).rejects.toThrow(
        /x509: certificate signed by unknown authority/,
      );
      writeFileSync(`${certsDir}/registry.test:${port}/ca.crt`, readFileSync(`${folder}/ca.crt`));
      await using trusting = await startEngine({ settings: { certsDir } });
      await roundTrip(trusting, ref, undefined);
      await using insecure = await startEngine({ settings: { insecureRegistries: [`registry.test:${port}`] } });
      await insecure.images.pull({ image: `${ref}:1` }, quiet, never);
    } finally {
      dns.default.lookup = lookup;
    }
    await using loopback = await startEngine();
    await roundTrip(loopback, `${registry.host}/tls`, undefined);
  });

  it('gets tokens, renews them, and trades an identity token', async () => {
    await using tokens = await startTokenServer(folder);
    await using registry = await startRegistry({
      token: { realm: tokens.realm, service: 'test', issuer: 'issuer', rootCertBundle: `${folder}/ca.crt` },
    });
    await using engine = await startEngine();
    await roundTrip(engine, `${registry.host}/team/app`, auth(GOOD));
    expect(tokens.requests).toContainEqual(expect.stringContaining('repository:team/app:pull,push'));
    // An expired token is renewed in the middle of a pull.
    tokens.nextIsExpired();
    engine.images.remove(`${registry.host}/team/app:1`, {});
    await engine.images.pull({ image: `${registry.host}/team/app:1`, auth: auth(GOOD) }, quiet, never);
    await engine.images.pull(
      { image: `${registry.host}/team/app:1`, auth: auth({ identitytoken: 'refresh-me' }) },
      quiet,
      never,
    );
    await expect(
      engine.images.pull(
        { image: `${registry.host}/team/app:1`, auth: auth({ username: 'user', password: 'no' }) },
        quiet,
        never,
      ),
    ).rejects.toThrow(/incorrect username or password/);
    const login = { ...GOOD, serveraddress: registry.host };
    await expect(engine.images.authenticate(login, never)).resolves.toMatchObject({ IdentityToken: 'refresh-me' });
    // Mounting from another repository asks for leave to read it.
    engine.images.tag(`${registry.host}/team/app:1`, `${registry.host}/team/other`, '1');
    tokens.requests.length = 0;
    await engine.images.push({ image: `${registry.host}/team/other`, tag: '1', auth: auth(GOOD) }, quiet, never);
    expect(tokens.requests.some((scope) => scope.includes('repository:team/app:pull'))).toBe(true);
    const seen = await engine.images.distribution(`${registry.host}/team/app:1`, auth(GOOD), never);
    expect(seen.Platforms).toMatchObject([{ os: 'linux' }]);
    await expect(engine.images.distribution(`${registry.host}/team/app:1`, undefined, never)).rejects.toMatchObject({
      kind: 'unauthorized',
    });
  });

  it('does not carry authorization to another host', async () => {
    const seen: (string | undefined)[] = [];
    const listen = async (handler: http.RequestListener) => {
      const server = http.createServer(handler);
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      return { server, port: (server.address() as { port: number }).port };
    };
    const storage = await listen((request, response) => {
      seen.push(request.headers.authorization);
      response.writeHead(200, { 'content-type': 'text/plain' }).end('{}');
    });
    const front = await listen((request, response) => {
      if (!request.headers.authorization) {
        response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
      } else response.writeHead(307, { location: `http://127.0.0.1:${storage.port}/elsewhere` }).end();
    });
    await using engine = await startEngine();
    await engine.images
      .pull({ image: `127.0.0.1:${front.port}/x:1`, auth: auth(GOOD) }, quiet, never)
      .catch(() => undefined);
    expect(seen).toEqual([undefined]);
    for (const { server } of [front, storage]) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  });
});

interface TokenServer extends AsyncDisposable {
  readonly realm: string;
  /** Scopes asked for. */
  readonly requests: string[];
  nextIsExpired(): void;
}

/** The token authentication of the distribution specification, as small as it can be. */
async function startTokenServer(folder: string): Promise<TokenServer> {
  const key = createPrivateKey(readFileSync(`${folder}/ca.key`));
  const x5c = [new X509Certificate(readFileSync(`${folder}/ca.crt`)).raw.toString('base64')];
  const requests: string[] = [];
  let expired = false;
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const issue = (scopes: string[]): string => {
    const access = scopes.map((scope) => {
      const [type, name, actions] = scope.split(':');
      return { type, name, actions: actions?.split(',') };
    });
    const now = Math.floor(Date.now() / 1000) - (expired ? 3600 : 0);
    expired = false;
    const payload = {
      iss: 'issuer',
      sub: 'user',
      aud: 'test',
      nbf: now - 10,
      iat: now,
      exp: now + 300,
      jti: String(Math.random()),
      access,
    };
    const text = `${encode({ typ: 'JWT', alg: 'RS256', x5c })}.${encode(payload)}`;
    return `${text}.${sign('sha256', Buffer.from(text), key).toString('base64url')}`;
  };
  const server = http.createServer(async (request, response) => {
    const url = new URL(request.url ?? '/', 'http://x');
    let scopes = url.searchParams.getAll('scope');
    let ok = request.headers.authorization === `Basic ${Buffer.from('user:secret').toString('base64')}`;
    if (request.method === 'POST') {
      let body = '';
      for await (const chunk of request) body += chunk;
      const form = new URLSearchParams(body);
      ok = form.get('refresh_token') === 'refresh-me';
      scopes = (form.get('scope') ?? '').split(' ').filter(Boolean);
    }
    requests.push(scopes.join(' '));
    if (!ok) {
      response.writeHead(401, { 'content-type': 'application/json' });
      response.end('{"errors":[{"code":"UNAUTHORIZED","message":"incorrect username or password"}]}');
      return;
    }
    const refresh = url.searchParams.get('offline_token') ? { refresh_token: 'refresh-me' } : {};
    response.end(JSON.stringify({ token: issue(scopes), expires_in: 300, ...refresh }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    realm: `http://127.0.0.1:${(server.address() as { port: number }).port}/token`,
    requests,
    nextIsExpired() {
      expired = true;
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
