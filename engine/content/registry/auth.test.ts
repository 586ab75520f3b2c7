import { describe, expect, it } from 'vitest';

import { decodeCredentials, parseChallenges } from './auth.ts';
import { errorFromAnswer } from './errors.ts';
import { inRange, isInsecure, proxyFor } from './hosts.ts';

describe('a challenge', () => {
  it('is read with quotes, commas in scopes and several in one header', () => {
    const header =
      'Bearer realm="https://auth.example/token",service="r",scope="repository:a/b:pull,push", Basic realm="x"';
    expect(parseChallenges(header)).toEqual([
      {
        scheme: 'bearer',
        parameters: { realm: 'https://auth.example/token', service: 'r', scope: 'repository:a/b:pull,push' },
      },
      { scheme: 'basic', parameters: { realm: 'x' } },
    ]);
    expect(parseChallenges(undefined)).toEqual([]);
  });
});

describe('X-Registry-Auth', () => {
  it('is base64url of JSON; anything else counts as none', () => {
    const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
    expect(decodeCredentials(encode({ username: 'a', password: 'b' }))).toEqual({ username: 'a', password: 'b' });
    expect(decodeCredentials(encode({ auth: Buffer.from('a:b:c').toString('base64') }))).toMatchObject({
      username: 'a',
      password: 'b:c',
    });
    for (const text of [undefined, '', '%%%', 'e30=', Buffer.from('"x"').toString('base64')])
      expect(decodeCredentials(text)).toEqual({});
  });
});

describe('a registry’s error', () => {
  it('is told in its own words', () => {
    const body = '{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{}}]}';
    expect(errorFromAnswer(404, {}, body, '')).toMatchObject({
      code: 'MANIFEST_UNKNOWN',
      message: 'manifest unknown: manifest unknown',
      temporary: false,
    });
    expect(errorFromAnswer(429, { 'retry-after': '7' }, '<html>', '')).toMatchObject({
      retryAfter: 7,
      temporary: true,
    });
    expect(errorFromAnswer(502, {}, '', 'GET x').message).toBe('received unexpected HTTP status: 502 for GET x');
  });
});

describe('a host', () => {
  it('may be spoken to without verification when it is loopback or configured', () => {
    for (const domain of ['localhost', 'localhost:5000', '127.0.0.1:5000', '127.9.9.9', '[::1]:5000'])
      expect(isInsecure(domain, [])).toBe(true);
    const configured = ['10.0.0.0/8', 'plain.example', 'port.example:5000', 'fd00::/8'];
    for (const domain of ['10.1.2.3:5000', 'plain.example:1', 'plain.example', 'port.example:5000', '[fd00::1]:5000']) {
      expect(isInsecure(domain, configured), domain).toBe(true);
    }
    for (const domain of ['11.1.2.3', 'port.example', 'port.example:1', 'sub.plain.example'])
      expect(isInsecure(domain, configured), domain).toBe(false);
    expect(inRange('nonsense', '10.0.0.0/8')).toBe(false);
    expect(inRange('10.0.0.1', '10.0.0.0/99')).toBe(false);
  });

  it('is reached through the proxy of its scheme unless excluded', () => {
    const env = {
      HTTPS_PROXY: 'http://proxy:3128',
      http_proxy: 'plain:80',
      NO_PROXY: 'internal.example, .dotted.example,10.0.0.0/8,only.example:8443',
    };
    const proxy = (url: string) => proxyFor(new URL(url), env)?.host;
    expect(proxy('https://hub.example/')).toBe('proxy:3128');
    expect(proxy('http://hub.example/')).toBe('plain');
    for (const url of [
      'https://internal.example',
      'https://a.internal.example',
      'https://a.dotted.example',
      'https://10.2.3.4',
      'https://127.0.0.1:5000',
      'https://only.example:8443',
    ]) {
      expect(proxy(url), url).toBeUndefined();
    }
    for (const url of ['https://dotted.example', 'https://notinternal.example', 'https://only.example'])
      expect(proxy(url), url).toBe('proxy:3128');
    expect(proxyFor(new URL('https://x.example'), { HTTPS_PROXY: 'p:1', NO_PROXY: '*' })).toBeUndefined();
  });
});
