import { expect, test } from 'vitest';

import { readSource, splitWords } from './source.ts';

const texts = (text: string) => readSource(text).statements.map((statement) => statement.text);

test('joins continued lines and leaves comments and empty lines out', () => {
  expect(texts('FROM a\n# comment\nRUN x \\\n  # inside\n\n  y\n')).toEqual(['FROM a', 'RUN x   y']);
});

test('an escaped escape character at the end of a line continues nothing', () => {
  expect(texts('ENV A=b\\\\\nENV C=d')).toEqual(['ENV A=b\\\\', 'ENV C=d']);
});

test('directives count only at the top', () => {
  expect(readSource('# syntax=x\n# escape=`\nFROM a').escapeChar).toBe('`');
  expect(readSource('\n# escape=`\nFROM a').escapeChar).toBe('\\');
  expect(() => readSource('# escape=x\nFROM a')).toThrow("invalid escape token 'x'");
  expect(() => readSource('# escape=`\n# escape=`\nFROM a')).toThrow('only one escape parser directive can be used');
});

test('flags stand before the arguments', () => {
  const [copy] = readSource('COPY --from=x --chown="a b" s --d').statements;
  expect(copy).toMatchObject({ flags: ['--from=x', '--chown="a b"'], rest: 's --d' });
});

test('here-documents: quoted, with tabs taken away, several on one line', () => {
  const [copy, run] = readSource('COPY <<A <<-"B" /d/\n$x\nA\n\ty\n\tB\nRUN echo').statements;
  expect(copy?.heredocs).toEqual([
    { name: 'A', expand: true, content: '$x\n' },
    { name: 'B', expand: false, content: 'y\n' },
  ]);
  expect(run).toMatchObject({ line: 6, endLine: 6 });
});

test('an error says the line and shows it', () => {
  expect(() => readSource('FROM a\nRUN <<X\nb', 'File')).toThrow(
    /^dockerfile parse error on line 2: unterminated heredoc\nFile:2\n-+\n {3}1 \| {5}FROM a\n {3}2 \| >>> RUN <<X\n/,
  );
});

test('words keep their quotes', () => {
  expect(splitWords('a "b c" d\\ e \'f g\'h')).toEqual(['a', '"b c"', 'd\\ e', "'f g'h"]);
});
