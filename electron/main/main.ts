/** The desktop shell: Electron around the same app, contract and window as the others. */
import { join } from 'node:path';
import { app, dialog, powerMonitor, session, shell } from 'electron';
import type { Client } from '../contract/contract.ts';
import type { ContainerRow } from '../contract/engine.ts';
import type { AppState } from '../contract/state.ts';
import { openMachine } from '../machine/machine.ts';
import { createClient } from '../rpc/client.ts';
import { openHost } from '../services/host.ts';
import type { Host } from '../services/join-host.ts';
import { appVersion, pageDir, projectRoot } from '../services/locations.ts';
import { machineResources } from '../services/settings.ts';
import { bootImage } from '../services/vm-image.ts';
import { skiffHome } from '../tunnel/socket-path.ts';
import { webShell } from '../web/shell.ts';
import { lockDown } from './lock-down.ts';
import { loginItem } from './login.ts';
import { registerPageScheme, servePage } from './page-protocol.ts';
import { followRunning } from './running.ts';
import { AppTray } from './tray.ts';
import { openUpdater } from './updater.ts';
import { MainWindow } from './window.ts';
import { type Words, wordsFor } from './words.ts';

const home = skiffHome();
const icons = join(projectRoot(), 'build');
let quitting: Promise<void> | undefined;

// Electron's own files, and with them its single-instance lock, belong to this folder's app.
app.setPath('userData', join(home, 'electron'));
registerPageScheme();
if (!app.requestSingleInstanceLock()) app.quit();
else void app.whenReady().then(run).catch(fail);

async function run(): Promise<void> {
  lockDown(session.defaultSession);
  servePage(session.defaultSession, pageDir());
  const web = webShell();
  const host = await openHost({
    home,
    version: appVersion(),
    machine: async (settings) =>
      openMachine({
        home,
        image: await bootImage((line) => console.log(line)),
        ...machineResources(settings),
      }),
    image: () => bootImage((line) => console.log(line)),
    login: loginItem(),
    updater: await openUpdater(),
    openWeb: web.openWeb,
    onQuit: () => app.quit(),
  });
  const client = createClient(await host.connect());
  const window = new MainWindow({
    home,
    preload: join(projectRoot(), 'dist', 'electron', 'preload.cjs'),
    icon: join(icons, 'icon.png'),
    connect: () => host.connect(),
    onHidden: () => void explainOnce(),
  });
  const tray = new AppTray(join(icons, 'tray'), {
    // Its containers are those of Skiff's own engine, whichever the window looks at.
    open: (page) => window.show(page?.startsWith('/containers') ? `${page}?of=skiff` : page),
    openLink: (url) => void shell.openExternal(url),
    start: () => quietly(client.machine.start()),
    stop: () => quietly(client.machine.stop()),
    restart: () => quietly(client.machine.restart()),
    stopContainer: ({ id, name }) =>
      void client.containers.stop(id).catch(async (error: unknown) => {
        const words = await currentWords(client);
        dialog.showErrorBox(words.stopFailed(name), textOf(error));
      }),
    quit: () => app.quit(),
  });
  let explained = false;
  async function explainOnce(): Promise<void> {
    if (explained) return;
    explained = true;
    const words = await currentWords(client);
    tray.tell(words.trayTitle, words.trayText);
  }

  app.on('second-instance', () => window.show());
  app.on('activate', () => window.show());
  // With the window closed the app lives on in the tray.
  app.on('window-all-closed', () => {});
  app.on('before-quit', (event) => {
    window.letGo();
    if (quitting) return;
    event.preventDefault();
    quitting = end(host, web, tray);
  });
  powerMonitor.on('resume', () => void host.app?.resumed());

  window.show();
  void keepCurrent(client, tray);
  if ((await client.settings.get()).startMachineWithApp) quietly(client.machine.start());
}

/** The tray is live with the window closed as well: it follows the app's state and the engine's events itself. */
async function keepCurrent(client: Client, tray: AppTray): Promise<void> {
  let state: AppState | undefined;
  let running: ContainerRow[] = [];
  const show = async () => {
    const words = await currentWords(client);
    if (state) tray.show(state, running, words);
  };
  void followRunning(client, (rows) => {
    running = rows;
    void show();
  });
  for await (state of client.app.state()) await show();
}

async function currentWords(client: Client): Promise<Words> {
  return wordsFor((await client.settings.get()).language, app.getLocale());
}

/** Window and tray show what became of it by the machine's state. */
function quietly(action: PromiseLike<unknown>): void {
  action.then(undefined, () => {});
}

async function end(host: Host, web: ReturnType<typeof webShell>, tray: AppTray): Promise<void> {
  try {
    await web.close();
    await host.close();
  } finally {
    tray.destroy();
    app.exit(0);
  }
}

function fail(error: unknown): void {
  dialog.showErrorBox(wordsFor('', app.getLocale()).failedTitle, textOf(error));
  app.exit(1);
}

function textOf(error: unknown): string {
  const { message, hint } = error as { message: string; hint?: string };
  return [message, hint].filter(Boolean).join('\n\n');
}
