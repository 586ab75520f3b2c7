import { describe, expect, test } from 'vitest';
import { DEFAULTS } from './settings.ts';
import { type Updater, Updates } from './updates.ts';

function opened(updater: Partial<Updater> = {}) {
  const settings = {
    values: DEFAULTS,
    set: async (changes: unknown) => {
      settings.values = { ...settings.values, ...(changes as object) };
      return settings.values;
    },
  };
  const restarted: string[] = [];
  const updates = new Updates(
    { find: async () => '2.0.0', load: async () => {}, restart: () => void restarted.push('2.0.0'), ...updater },
    settings,
  );
  const services = updates.services();
  const ask = (what: 'later' | 'skip' | 'install') => services[what](AbortSignal.timeout(5_000));
  return { updates, settings, restarted, ask };
}

describe('updates', () => {
  test('a version that is found is installed only when somebody asks', async () => {
    const { updates, restarted, ask } = opened();
    await updates.check(false);
    expect(updates.state).toEqual({ kind: 'found', version: '2.0.0' });
    expect(restarted).toEqual([]);
    await ask('install');
    expect(updates.state).toEqual({ kind: 'ready', version: '2.0.0' });
    expect(restarted).toEqual(['2.0.0']);
  });

  test('one that is put off is found again, one that is skipped only when somebody asks', async () => {
    const { updates, settings, ask } = opened();
    await updates.check(false);
    await ask('later');
    await updates.check(false);
    expect(updates.state.kind).toBe('found');
    await ask('skip');
    expect(settings.values.skippedUpdate).toBe('2.0.0');
    await updates.check(false);
    expect(updates.state.kind).toBe('current');
    await updates.check(true);
    expect(updates.state.kind).toBe('found');
  });

  test('says why when it does not work, and tries again', async () => {
    let online = false;
    const find = async () => {
      if (!online) throw new Error('no route to host');
      return undefined;
    };
    const { updates } = opened({ find });
    await updates.check(true);
    expect(updates.state).toEqual({ kind: 'failed', reason: 'no route to host' });
    online = true;
    await updates.check(true);
    expect(updates.state.kind).toBe('current');
  });

  test('off is off', () => {
    const { updates, settings } = opened();
    settings.values = { ...DEFAULTS, updates: 'off' };
    expect(updates.state).toEqual({ kind: 'off' });
  });
});
