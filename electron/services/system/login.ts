import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import type { LoginStart } from '../../contract/system.ts';
import { ServiceError } from '../errors.ts';

/** How the system is told to start us when its user logs in. */
export interface LoginItem {
  enabled(): Promise<boolean>;
  set(enabled: boolean): Promise<void>;
}

/** Linux: an entry in the desktop's autostart folder (XDG), which the desktop's own settings show as well. */
export function xdgLogin(command: readonly string[], env: NodeJS.ProcessEnv = process.env): LoginItem {
  const config = env.XDG_CONFIG_HOME || join(homedir(), '.config');
  const path = join(config, 'autostart', 'skiff.desktop');
  return {
    enabled: async () => {
      const text = await readFile(path, 'utf8').catch(() => '');
      return text !== '' && !/^(Hidden\s*=\s*true|X-GNOME-Autostart-enabled\s*=\s*false)\s*$/im.test(text);
    },
    set: async (enabled) => {
      if (!enabled) return rm(path, { force: true });
      const exec = command.map((word) => `"${word.replace(/(["`$\\])/g, '\\$1').replaceAll('%', '%%')}"`).join(' ');
      const lines = ['[Desktop Entry]', 'Type=Application', 'Name=Skiff', `Exec=${exec}`, 'Terminal=false', ''];
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      await writeFile(path, lines.join('\n'));
    },
  };
}

export function loginService(item: LoginItem | undefined) {
  const problem = 'Only the desktop app can be started with the session.';
  return {
    login: async (): Promise<LoginStart> =>
      item ? { enabled: await item.enabled(), problem: '' } : { enabled: false, problem },
    setLogin: async (enabled: unknown): Promise<void> => {
      if (!item) throw new ServiceError('invalid', problem);
      await item.set(enabled === true);
    },
  };
}
