import { expect, test } from 'vitest';

import { IgnorePatterns } from './ignore.ts';

test.each([
  ['*.log', 'a.log', true],
  ['*.log', 'd/a.log', false],
  ['**/*.log', 'd/e/a.log', true],
  ['**/*.log', 'a.log', true],
  ['d', 'd/e/f', true],
  ['/d/', 'd/x', true],
  ['d/**', 'd/e/f', true],
  ['d/*/f', 'd/e/f', true],
  ['?.txt', 'a.txt', true],
  ['[a-c].txt', 'b.txt', true],
  ['[^a-c].txt', 'b.txt', false],
  ['\\*.txt', '*.txt', true],
  ['# comment', '# comment', false],
  ['*\n!keep', 'keep', false],
  ['*\n!d/keep', 'd/keep', false],
  ['*\n!keep\nkeep', 'keep', true],
  ['../x', 'x', true],
  ['a/../b', 'b', true],
])('%j and %s: %s', (patterns, path, ignored) => {
  expect(new IgnorePatterns(patterns).ignores(path)).toBe(ignored);
});

test('a malformed pattern is refused', () => {
  expect(() => new IgnorePatterns('[')).toThrow('syntax error in pattern');
  expect(() => new IgnorePatterns('!')).toThrow('illegal exclusion pattern');
});
