import { describe, expect, test } from 'vitest';
import { AnsiParser } from './ansi.ts';
import { LogBuffer } from './log-buffer.ts';

const plain = (text: string) =>
  new AnsiParser()
    .line(text)
    .map((piece) => piece.text)
    .join('');

describe('the text of logs', () => {
  test('colours become classes and end where they end', () => {
    expect(new AnsiParser().line('a\x1b[31;1mred\x1b[0m b')).toEqual([
      { text: 'a', classes: '', color: undefined },
      { text: 'red', classes: 'ansi-bold ansi-fg-1', color: undefined },
      { text: ' b', classes: '', color: undefined },
    ]);
  });

  test('a colour lasts over the end of a line', () => {
    const parser = new AnsiParser();
    parser.line('\x1b[32mgreen');
    expect(parser.line('still')[0]?.classes).toBe('ansi-fg-2');
  });

  test('256 colours and true colours are colours and nothing else', () => {
    expect(new AnsiParser().line('\x1b[38;5;196mx')[0]?.color).toBe('rgb(255 0 0)');
    expect(new AnsiParser().line('\x1b[38;2;1;2;999mx')[0]?.color).toBe('rgb(1 2 255)');
    expect(new AnsiParser().line('\x1b[38;5;1mx')[0]?.classes).toBe('ansi-fg-1');
  });

  test('markup stays text', () => {
    expect(plain('<img src=x onerror=alert(1)>')).toBe('<img src=x onerror=alert(1)>');
  });

  test('titles, links, cursor movements and bare control characters leave nothing', () => {
    expect(plain('\x1b]0;title\x07a\x1b]8;;http://evil\x1b\\b\x1b]8;;\x1b\\c\x1b[2J\x1b[10;10Hd\x00\x08e')).toBe(
      'abcde',
    );
  });

  test('a line that was redrawn shows its last state', () => {
    expect(plain('10 %\r50 %\r100 %\r')).toBe('100 %');
  });

  test('lines that arrive in pieces are put together, per stream', () => {
    const buffer = new LogBuffer(100);
    buffer.add({ stream: 'stdout', text: 'one\ntw' });
    buffer.add({ stream: 'stderr', text: 'oh\n' });
    buffer.add({ stream: 'stdout', text: 'o\nthr' });
    buffer.finish();
    expect(buffer.lines.map((line) => line.text)).toEqual(['one', 'oh', 'two', 'thr']);
  });

  test('the buffer keeps the last lines and counts the others', () => {
    const buffer = new LogBuffer(10);
    for (let n = 0; n < 25; n++) buffer.add({ stream: 'stdout', text: `${n}\n` });
    expect(buffer.lines.map((line) => line.text)).toEqual(Array.from({ length: 10 }, (_, n) => `${n + 15}`));
    expect(buffer.dropped).toBe(15);
  });

  test('a line without end is cut', () => {
    const buffer = new LogBuffer(10);
    buffer.add({ stream: 'stdout', text: 'x'.repeat(20_000) });
    expect(buffer.lines).toHaveLength(2);
  });
});
