import type { Finding } from '../../contract/troubleshoot.ts';
import type { Machine } from '../../machine/types.ts';
import { findings } from './finding.ts';

const found = findings('clock');
/** what the engine tells has whole seconds */
const SKEW_MS = 3_000;
const ANSWER_MS = 5_000;

/** `guestTime`: what the engine in the machine says the time is. */
export async function checkClock(
  machine: Pick<Machine, 'state'>,
  guestTime: (signal: AbortSignal) => Promise<number>,
): Promise<Finding> {
  if (machine.state.kind !== 'running') return found('unknown', 'notRunning');
  let skew: number;
  try {
    skew = (await guestTime(AbortSignal.timeout(ANSWER_MS))) - Date.now();
  } catch {
    return found('unknown', 'noAnswer');
  }
  if (Math.abs(skew) <= SKEW_MS) return found('good', 'right');
  return found('warning', 'skewed', { seconds: Math.round(Math.abs(skew) / 1000) }, 'set-clock');
}
