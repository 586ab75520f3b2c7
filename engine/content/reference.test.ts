import { describe, expect, it } from 'vitest';

import { familiar, parseAnyReference, parseReference, withDefaultTag } from './reference.ts';

const D = `sha256:${'a'.repeat(64)}`;

describe('an image reference', () => {
  it.each([
    ['busybox', 'docker.io', 'library/busybox', undefined],
    ['busybox:1.36', 'docker.io', 'library/busybox', '1.36'],
    ['user/app', 'docker.io', 'user/app', undefined],
    ['index.docker.io/user/app', 'docker.io', 'user/app', undefined],
    ['docker.io/busybox', 'docker.io', 'library/busybox', undefined],
    ['localhost/app', 'localhost', 'app', undefined],
    ['localhost:5000/a/b:x', 'localhost:5000', 'a/b', 'x'],
    ['127.0.0.1:5000/app', '127.0.0.1:5000', 'app', undefined],
    ['[::1]:5000/app:v_1', '[::1]:5000', 'app', 'v_1'],
    ['Registry/app', 'Registry', 'app', undefined],
    ['a.b/c__d/e---f', 'a.b', 'c__d/e---f', undefined],
  ])('%s is %s %s %s', (text, domain, path, tag) => {
    expect(parseReference(text)).toMatchObject({ domain, path, ...(tag ? { tag } : {}) });
  });

  it.each(['busybox', 'user/app:1', 'localhost:5000/x', `busybox@${D}`, `a/b:t@${D}`])(
    '%s reads back the same',
    (text) => {
      expect(familiar(parseReference(text))).toBe(text);
    },
  );

  it.each([
    ['', 'invalid reference format'],
    ['a:b:c', 'invalid reference format'],
    ['UPPER', 'invalid reference format: repository name (library/UPPER) must be lowercase'],
    ['a//b', 'invalid reference format'],
    ['-a', 'invalid reference format'],
    ['a:.b', 'invalid reference format'],
    [`a@${D}0`.slice(0, 20), 'invalid reference format'],
    ['f'.repeat(64), `invalid repository name (${'f'.repeat(64)}), cannot specify 64-byte hexadecimal strings`],
    [`a/${'b'.repeat(250)}`, 'repository name must not be more than 255 characters'],
  ])('%s is refused', (text, message) => {
    expect(() => parseReference(text)).toThrow(message);
  });

  it('is latest unless it says otherwise', () => {
    expect(familiar(withDefaultTag(parseReference('busybox')))).toBe('busybox:latest');
    expect(familiar(withDefaultTag(parseReference(`busybox@${D}`)))).toBe(`busybox@${D}`);
  });

  it('may be an id', () => {
    expect(parseAnyReference(D)).toEqual({ id: D });
    expect(parseAnyReference('a'.repeat(64))).toEqual({ id: D });
    expect(parseAnyReference('a'.repeat(12))).toMatchObject({ name: { path: `library/${'a'.repeat(12)}` } });
  });
});
