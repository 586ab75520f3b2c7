import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { app } from 'electron';
import type { Updater } from '../services/updates.ts';

/** electron-updater for the installed app, when its build names a place to look for updates; else why there is none. */
export async function openUpdater(): Promise<Updater | string> {
  if (!app.isPackaged) return 'This is a checkout: update it with git pull.';
  if (!existsSync(join(process.resourcesPath, 'app-update.yml')))
    return 'This build names no place to look for updates: install the new package over it.';
  const { autoUpdater } = (await import('electron-updater')).default;
  autoUpdater.autoDownload = false;
  autoUpdater.autoInstallOnAppQuit = false;
  return {
    find: async () => {
      const found = await autoUpdater.checkForUpdates();
      return found?.isUpdateAvailable ? found.updateInfo.version : undefined;
    },
    load: async (percent) => {
      const progress = ({ percent: done }: { percent: number }) => percent(Math.round(done));
      autoUpdater.on('download-progress', progress);
      try {
        await autoUpdater.downloadUpdate();
      } finally {
        autoUpdater.off('download-progress', progress);
      }
    },
    restart: () => autoUpdater.quitAndInstall(false, true),
  };
}
