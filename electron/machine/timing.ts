import type { BootTiming } from './types.ts';

/** The boot, step by step, as lines for a terminal. Times are milliseconds since QEMU's start; the guest's are of its own clock. */
export function formatBootTiming(timing: BootTiming): string[] {
  const lines: string[] = [];
  let before = 0;
  for (const { step, atMs } of timing.steps) {
    if (atMs > 0) lines.push(`${step.padEnd(8)} ${`${atMs}`.padStart(7)} ms  (+${atMs - Math.max(0, before)})`);
    before = atMs;
  }
  const guest = timing.guest.map(({ mark, uptimeMs }) => `${mark} ${uptimeMs}`).join(', ');
  return [...lines, `total    ${`${timing.totalMs}`.padStart(7)} ms`, `guest's own clock: ${guest}`];
}
