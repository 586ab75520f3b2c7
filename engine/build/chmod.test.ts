import { expect, test } from 'vitest';

import { parseChmod } from './chmod.ts';

test.each([
  ['755', 0o600, 0o755, 0o755],
  ['u=rwX,go=rX', 0o600, 0o644, 0o755],
  ['u=rwX,go=rX', 0o710, 0o755, 0o755],
  ['+x', 0o640, 0o751, 0o751],
  ['a-w,u+s', 0o666, 0o4444, 0o4444],
  ['g=u,o=', 0o754, 0o770, 0o770],
  ['go-rwx+r', 0o777, 0o744, 0o744],
  ['=t', 0o777, 0o1000, 0o1000],
])('%s of %o', (text, before, file, directory) => {
  expect(parseChmod(text)(before, false)).toBe(file);
  expect(parseChmod(text)(before, true)).toBe(directory);
});

test.each(['888', '10000', 'u', 'u=q', 'x+r', 'u=r,', ''])('%j is no mode', (text) => {
  expect(() => parseChmod(text)).toThrow(`invalid chmod parameter: '${text}'`);
});
