import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { DEFAULTS, SettingsFile } from './settings.ts';

describe('the settings', () => {
  let home: string;
  beforeEach(() => {
    home = mkdtempSync(join(tmpdir(), 'skiff-settings-'));
  });
  afterEach(() => rmSync(home, { recursive: true, force: true }));
  const file = () => join(home, 'settings.json');

  test('are the defaults when there is no file, or a damaged one', async () => {
    expect((await SettingsFile.open(home)).values).toEqual(DEFAULTS);
    writeFileSync(file(), '{"theme": "da');
    expect((await SettingsFile.open(home)).values).toEqual(DEFAULTS);
  });

  test('last, readable by their owner only, and hold nothing but what differs', async () => {
    await (await SettingsFile.open(home)).set({ theme: 'dark', cpus: 0 });
    expect(JSON.parse(readFileSync(file(), 'utf8'))).toEqual({ theme: 'dark' });
    expect(statSync(file()).mode & 0o777).toBe(0o600);
    expect((await SettingsFile.open(home)).values.theme).toBe('dark');
  });

  test('refuse what is not allowed and then change nothing', async () => {
    const settings = await SettingsFile.open(home);
    for (const odd of [
      { theme: 'pink' },
      { cpus: -1 },
      { diskGb: 1 },
      { nothing: 1 },
      { wakeOnConnect: 'yes' },
      { __proto__x: 1 },
    ]) {
      await expect(settings.set({ theme: 'dark', ...odd })).rejects.toMatchObject({ kind: 'invalid' });
    }
    expect(settings.values).toEqual(DEFAULTS);
  });

  test('that a newer version has written are ignored, the others are kept', async () => {
    writeFileSync(file(), JSON.stringify({ theme: 'dark', hologram: true }));
    expect((await SettingsFile.open(home)).values).toEqual({ ...DEFAULTS, theme: 'dark' });
  });

  test('say what a change takes before it is made', async () => {
    const settings = await SettingsFile.open(home);
    expect(settings.effects({ cpus: 2, theme: 'dark' })).toEqual({ cpus: 'restarts-machine', theme: 'live' });
  });
});
