// biome-ignore-all lint/suspicious/noTemplateCurlyInString: Dockerfile's variables are what is tested
import { expect, test } from 'vitest';

import { expand } from './expand.ts';

const variables = new Map([
  ['a', 'one'],
  ['empty', ''],
  ['path', '/x/y/z.tar.gz'],
]);

test.each([
  ['$a', 'one'],
  ['${a}b', 'oneb'],
  ['$ab', ''],
  ['\\$a', '$a'],
  ["'$a'", '$a'],
  ['"$a \'x\'"', "one 'x'"],
  ['"\\a\\""', '\\a"'],
  ['${u:-d}', 'd'],
  ['${empty:-d}', 'd'],
  ['${empty-d}', ''],
  ['${a:+s}', 's'],
  ['${empty:+s}', ''],
  ['${empty+s}', 's'],
  ['${u:-${a}}', 'one'],
  ['${path#*/}', 'x/y/z.tar.gz'],
  ['${path##*/}', 'z.tar.gz'],
  ['${path%.*}', '/x/y/z.tar'],
  ['${path%%.*}', '/x/y/z'],
  ['${path/\\//-}', '-x/y/z.tar.gz'],
  ['${path//?./_}', '/x/y/_ta_gz'],
  ['cost$', 'cost$'],
  ['${a?missing}', 'one'],
])('%s becomes %s', (word, expected) => {
  expect(expand(word, variables)).toBe(expected);
});

test('a variable that must be set is', () => {
  expect(() => expand('${u:?say it}', variables)).toThrow('u: say it');
});

test.each(['${a', '${}', '${a!b}', "'a", '"a'])('%s is refused', (word) => {
  expect(() => expand(word, variables)).toThrow();
});

test('raw text keeps quotes', () => {
  expect(expand('"$a" \'$a\' \\$a', variables, { raw: true })).toBe('"one" \'one\' \\$a');
});
