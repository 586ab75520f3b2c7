import { describe, expect, test } from 'vitest';
import { rowStarts, shownPieces } from './layout.ts';

const piece = (text: string, classes = '') => ({ text, classes, color: undefined });

describe('lines of a log in a window of so many columns', () => {
  test('short lines are one row', () => expect(rowStarts('hello', 10)).toEqual([0]));
  test('long lines break at the last column', () => expect(rowStarts('abcdefghij', 4)).toEqual([0, 4, 8]));
  test('wide characters take two columns and are never cut', () => expect(rowStarts('a中b中', 3)).toEqual([0, 2]));
  test('a tab goes to the next stop', () => expect(rowStarts('a\tb', 8)).toEqual([0, 2]));

  test('what was found is marked over the borders of colours', () => {
    const shown = shownPieces([piece('one ', 'ansi-bold'), piece('two')], 0, 7, [2, 5]);
    expect(shown.map(({ text, hit, classes }) => [text, hit, classes])).toEqual([
      ['on', false, 'ansi-bold'],
      ['e ', true, 'ansi-bold'],
      ['t', true, ''],
      ['wo', false, ''],
    ]);
  });

  test('a row shows its part of the line only', () => {
    expect(shownPieces([piece('abc'), piece('def')], 2, 4).map(({ text }) => text)).toEqual(['c', 'd']);
  });
});
