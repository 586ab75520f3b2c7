/** `skiff config`, `context`, `env`: what works without the machine, and without the app. */
import type { Settings } from '../contract/settings.ts';
import { createClient } from '../rpc/client.ts';
import { DockerContext } from '../services/docker-context.ts';
import { joinHost } from '../services/join-host.ts';
import { DEFAULTS, SettingsFile } from '../services/settings.ts';
import { dockerHost, engineSocketPath } from '../tunnel/socket-path.ts';
import { type Command, DONE, group, positional, UsageError } from './command.ts';

/** Through the running app, which has the settings in memory; else in their file. In an object: the client's answers to `then` too. */
async function settingsOf(home: string) {
  const host = await joinHost(home);
  if (host) return { settings: createClient(await host.connect()).settings };
  const file = await SettingsFile.open(home);
  const settings = {
    get: async () => file.values,
    effects: async (changes: Partial<Settings>) => file.effects(changes),
    set: (changes: Partial<Settings>) => file.set(changes),
  };
  return { settings };
}

export const config = group('config', {
  list: async (context) => {
    positional(context.args);
    const { settings } = await settingsOf(context.home);
    const values = await settings.get();
    const lines = Object.entries(values).map(([name, value]) => `${name}=${textOf(value)}`);
    context.answer(values, lines);
    return DONE;
  },
  get: async (context) => {
    const [name = ''] = positional(context.args, 'name');
    const key = known(name);
    const { settings } = await settingsOf(context.home);
    const value = (await settings.get())[key];
    context.answer({ [name]: value }, textOf(value));
    return DONE;
  },
  set: async (context) => {
    const [word = '', second] = positional(context.args, 'name', 'value?');
    const cut = word.indexOf('=');
    const [name, text] = cut > 0 && second === undefined ? [word.slice(0, cut), word.slice(cut + 1)] : [word, second];
    if (text === undefined) throw new UsageError('missing VALUE');
    const key = known(name);
    const changes = { [key]: parsed(key, text) } as Partial<Settings>;
    const { settings } = await settingsOf(context.home);
    const effect = (await settings.effects(changes))[key];
    await settings.set(changes);
    const running = (await joinHost(context.home)) !== undefined;
    const later = effect === 'restarts-machine' && running;
    context.answer(
      { [key]: changes[key], effect },
      `${key}=${textOf(changes[key])}${later ? '  (from the next start of the machine: `skiff restart`)' : ''}`,
    );
    return DONE;
  },
});

function known(name: string): keyof Settings {
  if (Object.hasOwn(DEFAULTS, name)) return name as keyof Settings;
  throw new UsageError(`there is no setting “${name}”; there are ${Object.keys(DEFAULTS).join(', ')}`);
}

function textOf(value: unknown): string {
  return Array.isArray(value) ? value.join(',') : String(value);
}

/** By the type of the default; whether the value is allowed is for the settings to say. */
function parsed(name: keyof Settings, text: string): unknown {
  const like = DEFAULTS[name];
  if (Array.isArray(like)) return text === '' ? [] : text.split(',');
  if (typeof like === 'number') return text.trim() === '' ? Number.NaN : Number(text);
  if (typeof like !== 'boolean') return text;
  if (/^(true|yes|on|1)$/i.test(text)) return true;
  if (/^(false|no|off|0)$/i.test(text)) return false;
  throw new UsageError(`${name} is true or false`);
}

const contextOf = (home: string) => new DockerContext(dockerHost(engineSocketPath(home)));

export const context = group('context', {
  create: async ({ home, args, answer }) => {
    positional(args);
    await contextOf(home).create();
    answer(await contextOf(home).state(), 'skiff');
    return DONE;
  },
  use: async ({ home, args, answer }) => {
    positional(args);
    await contextOf(home).use();
    const state = await contextOf(home).state();
    const but = state.override ? `\nBut ${state.override} is set in this terminal and comes first.` : '';
    answer(state, `docker now uses Skiff.${but}`);
    return DONE;
  },
  remove: async ({ home, args, answer }) => {
    positional(args);
    await contextOf(home).remove();
    answer(await contextOf(home).state(), 'The context skiff is gone.');
    return DONE;
  },
  status: async ({ home, args, answer }) => {
    positional(args);
    const state = await contextOf(home).state();
    answer(state, [`skiff: ${state.exists ? 'there' : 'not there'}`, `current: ${state.override ?? state.current}`]);
    return DONE;
  },
});

export const env: Command = ({ home, args, answer }) => {
  positional(args);
  const host = dockerHost(engineSocketPath(home));
  answer({ DOCKER_HOST: host }, `export DOCKER_HOST=${host}`);
  return DONE;
};
