import { describe, expect, it } from 'vitest';
import { parseCpuTime } from './stats.ts';

describe('the CPU time that ps prints', () => {
  it('is read with minutes, hours and days', () => {
    expect(parseCpuTime('0:07.50')).toBe(7.5);
    expect(parseCpuTime('01:02:03')).toBe(3723);
    expect(parseCpuTime('2-00:00:01')).toBe(172801);
  });
});
