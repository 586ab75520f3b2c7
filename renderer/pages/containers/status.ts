import type { ContainerRow } from '../../../electron/contract/engine.ts';

/** The dot of a container. Docker puts health and exit code into its sentence only. */
export function statusTone({ status, statusText }: ContainerRow): 'good' | 'busy' | 'bad' | 'off' {
  if (status === 'running') {
    if (statusText.includes('(unhealthy)')) return 'bad';
    return statusText.includes('(health: starting)') ? 'busy' : 'good';
  }
  if (status === 'restarting' || status === 'paused' || status === 'removing') return 'busy';
  return status === 'dead' ? 'bad' : 'off';
}

type Translate = (key: string, values?: Record<string, unknown>) => string;

const SENTENCE = /^(Up|Exited|Restarting)(?: \((-?\d+)\))? (.+?)(?: ago)?(?: \(([^)]+)\))?$/;
const UNIT = /(second|minute|hour|day|week|month|year)/;
const NOTES: Record<string, string> = {
  healthy: 'healthy',
  unhealthy: 'unhealthy',
  'health: starting': 'checking',
  Paused: 'paused',
};

/** Docker's sentence (`Up 5 minutes (healthy)`, `Exited (1) About an hour ago`) in the reader's language. */
export function statusWords({ status, statusText }: ContainerRow, t: Translate, locale: string): string {
  const [, state, code, since = '', note] = SENTENCE.exec(statusText) ?? [];
  const unit = UNIT.exec(since)?.[1];
  if (!state || !unit) return t(`containers.status.${status}`);
  const count = Number(/\d+/.exec(since)?.[0] ?? 1);
  const time = new Intl.NumberFormat(locale, { style: 'unit', unit, unitDisplay: 'long' }).format(count);
  const words = t(`containers.since.${state.toLowerCase()}`, { time, code });
  return note && NOTES[note] ? `${words} (${t(`containers.since.${NOTES[note]}`)})` : words;
}
