import { describeKeys, problemOf } from '../../../engine/config-keys.ts';
import type { ConfigCheck, ConfigKey } from '../../contract/daemon.ts';
import type { Effect } from '../../contract/settings.ts';

/** What the engine knows of its keys, in the window's words for what a change takes. */
export function configKeys(): ConfigKey[] {
  return describeKeys().map(({ key, expected, live, values }) => ({ key, expected, effect: effectOf(live), values }));
}

const effectOf = (live: boolean): Effect => (live ? 'live' : 'restarts-engine');

/** What is wrong with a daemon.json, and what is another than in `saved`. An empty text is a file that is not there. */
export function checkConfig(text: string, saved: string): ConfigCheck {
  const now = parsed(text);
  if (typeof now === 'string') return { problems: [{ key: '', message: now }], changes: [] };
  const before = parsed(saved);
  const old = typeof before === 'string' ? {} : before;
  const problems = Object.entries(now).flatMap(([key, value]) => {
    const message = problemOf(key, value);
    return message === undefined ? [] : [{ key, message }];
  });
  const live = new Map(describeKeys().map((known) => [known.key, known.live]));
  const changes = [...new Set([...Object.keys(old), ...Object.keys(now)])]
    .filter((key) => JSON.stringify(old[key]) !== JSON.stringify(now[key]))
    .map((key) => ({ key, effect: effectOf(live.get(key) === true) }));
  return { problems, changes };
}

function parsed(text: string): Record<string, unknown> | string {
  if (!text.trim()) return {};
  try {
    const value: unknown = JSON.parse(text);
    const fits = typeof value === 'object' && value !== null && !Array.isArray(value);
    return fits ? (value as Record<string, unknown>) : 'expected a JSON object';
  } catch (error) {
    return (error as Error).message;
  }
}
