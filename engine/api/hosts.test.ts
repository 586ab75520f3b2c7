import { describe, expect, it } from 'vitest';

import { isLoopback, parseHost } from './hosts.ts';

describe('addresses of the API', () => {
  it.each([
    ['unix:///run/docker.sock', false, { kind: 'unix', path: '/run/docker.sock' }],
    ['tcp://127.0.0.1:4000', false, { kind: 'tcp', address: '127.0.0.1', port: 4000 }],
    ['tcp://:4000', false, { kind: 'tcp', address: '0.0.0.0', port: 4000 }],
    ['tcp://[::1]:4000', false, { kind: 'tcp', address: '::1', port: 4000 }],
    ['tcp://localhost', false, { kind: 'tcp', address: 'localhost', port: 2375 }],
    ['tcp://localhost', true, { kind: 'tcp', address: 'localhost', port: 2376 }],
    ['fd://', false, { kind: 'fd' }],
  ])('read %s', (text, tls, expected) => {
    expect(parseHost(text, tls)).toEqual(expected);
  });

  it.each(['unix://x', 'http://127.0.0.1', 'tcp://a:b', 'tcp://127.0.0.1:70000', '/run/docker.sock', ''])(
    'refuse %s',
    (text) => {
      expect(() => parseHost(text, false)).toThrow(/invalid host/);
    },
  );

  it('know which only this machine reaches', () => {
    expect(['127.0.0.1', '127.9.9.9', '::1', 'localhost'].every(isLoopback)).toBe(true);
    expect(['0.0.0.0', '10.0.0.1', '::', '127.example'].some(isLoopback)).toBe(false);
  });
});
