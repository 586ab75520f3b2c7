import { expect, test } from 'vitest';

import { checkDockerfile, showWarnings, violation } from './checks.ts';
import { parseInstructions } from './instructions.ts';
import { readSource } from './source.ts';

const check = (text: string) => {
  const source = readSource(text);
  return checkDockerfile(source, parseInstructions(source), source.check);
};

test('a Dockerfile without fault has no warnings', () => {
  expect(check('FROM a AS b\nENV A=b\nHEALTHCHECK CMD x\nCMD ["x"]\nFROM b\nSHELL ["/x"]\nCMD x').warnings).toEqual([]);
});

test.each([
  ['FROM a AS Build', "StageNameCasing: Stage name 'Build' should be lowercase (line 1)"],
  ['FROM a as b', "FromAsCasing: 'as' and 'FROM' keywords' casing do not match (line 1)"],
  ['FROM a AS context', 'ReservedStageName: Stage name should not use the same name as reserved stage "context"'],
  ['FROM a AS b\nFROM a AS b', 'DuplicateStageName: Duplicate stage name "b", stage names should be unique (line 2)'],
  ['FROM a\nRUN b\nrun c', "ConsistentInstructionCasing: Command 'run' should match the case of the command majority"],
  ['FROM a\nMAINTAINER me', 'MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label'],
  [
    'FROM a\n\nENV A b',
    'LegacyKeyValueFormat: "ENV key=value" should be used instead of legacy "ENV key value" format',
  ],
  [
    'FROM a\nCMD b',
    'JSONArgsRecommended: JSON arguments recommended for CMD to prevent unintended behavior related to',
  ],
  [
    'FROM a\nCMD []\nCMD []',
    'MultipleInstructionsDisallowed: Multiple CMD instructions should not be used in the same',
  ],
])('%j is warned of, or not as its directive says', (text, words) => {
  const { warnings } = check(text);
  expect(showWarnings(warnings)).toContain(` 1 warning found:\n - ${words}`);
  expect(check(`# check=skip=all\n${text}`).warnings).toEqual([]);
  expect(check(`# check=skip=Other, ${warnings[0]?.rule};error=true\n${text}`)).toEqual({ warnings: [], error: false });
  expect(check(`#check=error=true\n${text}`).error).toBe(true);
  expect(violation(warnings).message).toBe(`lint violation found for rules: ${warnings[0]?.rule}`);
});

test('a directive that says something else is refused', () => {
  expect(() => check('# check=nope=1\nFROM a')).toThrow('invalid check option "nope"');
  expect(() => check('# check=all\nFROM a')).toThrow('invalid check option "all"');
  expect(() => check('# check=error=x\nFROM a')).toThrow('failed to parse check option "error=x": strconv.ParseBool');
});
