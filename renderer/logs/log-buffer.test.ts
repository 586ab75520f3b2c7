import { describe, expect, test } from 'vitest';
import { LogBuffer } from './log-buffer.ts';

const at = (second: number, text: string) => `2026-01-01T00:00:0${second}.000000000Z ${text}`;
const texts = (buffer: LogBuffer) => buffer.lines.map(({ text }) => text);

describe('the lines of logs', () => {
  test('a line that comes in pieces is one line; its time is told apart', () => {
    const buffer = new LogBuffer(100);
    buffer.add({ stream: 'stdout', text: at(1, 'he') });
    buffer.add({ stream: 'stdout', text: at(1, 'llo\n') });
    expect(buffer.lines).toMatchObject([{ text: 'hello', time: '2026-01-01T00:00:01.000000000Z' }]);
  });

  test('lines of several containers are in the order of their times', () => {
    const buffer = new LogBuffer(100);
    buffer.add({ stream: 'stdout', text: `${at(1, 'a1')}\n${at(3, 'a3')}\n` }, 0);
    buffer.add({ stream: 'stderr', text: `${at(2, 'b2')}\n${at(3, 'b3')}\n` }, 1);
    buffer.sort();
    expect(texts(buffer)).toEqual(['a1', 'b2', 'a3', 'b3']);
  });

  test('keeps a bounded number of them and counts what it dropped', () => {
    const buffer = new LogBuffer(100);
    for (let n = 0; n < 1_000; n++) buffer.add({ stream: 'stdout', text: `line ${n}\n` });
    expect(buffer.lines.length).toBeLessThanOrEqual(105);
    expect(texts(buffer).at(-1)).toBe('line 999');
    expect(buffer.dropped + buffer.lines.length).toBe(1_000);
  });

  test('a line without an end is cut', () => {
    const buffer = new LogBuffer(100);
    buffer.add({ stream: 'stdout', text: 'x'.repeat(20_000) });
    expect(buffer.lines.length).toBe(2);
  });

  test('an earlier part is put before the first line', () => {
    const [buffer, earlier] = [new LogBuffer(10), new LogBuffer(10)];
    buffer.add({ stream: 'stdout', text: `${at(5, 'late')}\n` });
    earlier.add({ stream: 'stdout', text: `${at(1, 'early')}\n` });
    buffer.prepend(earlier);
    expect(texts(buffer)).toEqual(['early', 'late']);
    expect(new Set(buffer.lines.map(({ number }) => number)).size).toBe(2);
  });
});
