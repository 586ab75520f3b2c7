import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import type { Effect, Settings } from '../contract/settings.ts';
import type { MachineResources } from '../machine/types.ts';
import { ServiceError } from './errors.ts';

/** The schema: a setting that is not here does not exist, and its type is that of its default. */
export const DEFAULTS: Settings = {
  cpus: 0,
  memoryMb: 0,
  diskGb: 64,
  sharedFolders: [homedir()],
  startMachineWithApp: true,
  wakeOnConnect: true,
  idleStopMinutes: 0,
  updates: 'check',
  skippedUpdate: '',
  theme: 'system',
  language: '',
};

const EFFECTS: Record<keyof Settings, Effect> = {
  cpus: 'restarts-machine',
  memoryMb: 'restarts-machine',
  diskGb: 'restarts-machine',
  sharedFolders: 'restarts-machine',
  startMachineWithApp: 'live',
  wakeOnConnect: 'live',
  idleStopMinutes: 'live',
  updates: 'live',
  skippedUpdate: 'live',
  theme: 'live',
  language: 'live',
};

const RULES: { [K in keyof Settings]: (value: Settings[K], now: Settings) => boolean } = {
  cpus: (value) => Number.isInteger(value) && value >= 0 && value <= 256,
  memoryMb: (value) => value === 0 || (Number.isInteger(value) && value >= 512 && value <= 1024 * 1024),
  diskGb: (value, now) => Number.isInteger(value) && value >= now.diskGb && value <= 16 * 1024,
  sharedFolders: (value) =>
    Array.isArray(value) && value.length <= 16 && value.every((path) => typeof path === 'string' && isAbsolute(path)),
  startMachineWithApp: () => true,
  wakeOnConnect: () => true,
  idleStopMinutes: (value) => Number.isInteger(value) && value >= 0 && value <= 1_440,
  updates: (value) => ['check', 'off'].includes(value),
  skippedUpdate: (value) => value.length <= 100,
  theme: (value) => ['system', 'light', 'dark'].includes(value),
  language: (value) => ['', 'en', 'zh-CN'].includes(value),
};

/** What the settings say about the machine. */
export function machineResources({ cpus, memoryMb, diskGb, sharedFolders }: Settings): MachineResources {
  return { cpus: cpus || undefined, memoryMb: memoryMb || undefined, diskGb, sharedFolders };
}

/** `settings.json` in the app's folder. Only what differs from the defaults is written, so that defaults can change. */
export class SettingsFile {
  #path: string;
  #values: Settings = DEFAULTS;

  private constructor(path: string) {
    this.#path = path;
  }

  /** A file that can't be read or is damaged counts as empty: settings must never keep the app from starting. */
  static async open(home: string): Promise<SettingsFile> {
    await mkdir(home, { recursive: true, mode: 0o700 });
    const file = new SettingsFile(join(home, 'settings.json'));
    try {
      const found: unknown = JSON.parse(await readFile(file.#path, 'utf8'));
      file.#values = { ...DEFAULTS, ...check(found, { ...DEFAULTS, diskGb: 1 }, 'drop') };
    } catch {
      // none yet, or damaged
    }
    return file;
  }

  get values(): Settings {
    return this.#values;
  }

  /** Throws ServiceError 'invalid' and changes nothing when one of the values is not allowed. */
  effects(changes: unknown): Partial<Record<keyof Settings, Effect>> {
    const names = Object.keys(check(changes, this.#values, 'throw')) as (keyof Settings)[];
    return Object.fromEntries(names.map((name) => [name, EFFECTS[name]]));
  }

  /** Durable when it resolves. */
  async set(changes: unknown): Promise<Settings> {
    this.#values = { ...this.#values, ...check(changes, this.#values, 'throw') };
    const differing = Object.entries(this.#values).filter(
      ([name, value]) => JSON.stringify(value) !== JSON.stringify(DEFAULTS[name as keyof Settings]),
    );
    const temporary = `${this.#path}.new`;
    const file = await open(temporary, 'w', 0o600);
    try {
      await file.writeFile(`${JSON.stringify(Object.fromEntries(differing), undefined, 2)}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, this.#path);
    return this.#values;
  }
}

function check(changes: unknown, now: Settings, unfit: 'drop' | 'throw'): Partial<Settings> {
  const good: Record<string, unknown> = {};
  for (const [name, value] of Object.entries((changes as object | null) ?? {})) {
    const known = Object.hasOwn(DEFAULTS, name);
    const key = name as keyof Settings;
    const rule = RULES[key] as (value: unknown, now: Settings) => boolean;
    if (known && typeof value === typeof DEFAULTS[key] && rule(value, now)) good[name] = value;
    else if (unfit === 'throw')
      throw new ServiceError('invalid', `“${name}” can't be set to ${JSON.stringify(value)}.`);
  }
  return good;
}
