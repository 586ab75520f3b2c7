/**
 * Stands in for the module `electron` where its binary can't be had: the API that electron/main uses, over a real Chromium,
 * and nothing else (see strict.ts). Menus, tray, dialogs and the system's events are records that a test reads and triggers
 * through control.ts.
 */
import { existsSync } from 'node:fs';
import { closeBrowser, contentsCreated, ipcMain as ipc, StandInWindow, schemes, windows } from './browser-window.ts';
import { listenForTest, type MenuRecord, records } from './control.ts';
import { Emitter, knownOnly, strict } from './strict.ts';

const APP_EVENTS = ['second-instance', 'activate', 'window-all-closed', 'before-quit'] as const;
const appEvents = new Emitter('app', APP_EVENTS);

async function exit(code: number): Promise<void> {
  await closeBrowser();
  process.exit(code);
}

export const app = strict('app', {
  whenReady: async () => {},
  requestSingleInstanceLock: () => true,
  setPath: (name: string, path: string) => {
    records.paths[name] = path;
  },
  isPackaged: false,
  getAppPath: () => process.cwd(),
  getLocale: () => process.env.STAND_IN_LOCALE ?? 'en-US',
  on(event: string, listener: (...args: never[]) => void) {
    if (event === 'web-contents-created') contentsCreated.on(event, listener);
    else appEvents.on(event as (typeof APP_EVENTS)[number], listener);
  },
  quit() {
    if (!appEvents.emit('before-quit')) void exit(0);
  },
  exit: (code: number) => void exit(code),
});

export const BrowserWindow = StandInWindow;
export const ipcMain = strict('ipcMain', { on: ipc.on.bind(ipc) });

type Permission = (contents: unknown, permission: string, answer: (allowed: boolean) => void) => void;
type Check = (contents: unknown, permission: string, origin: string) => boolean;
let permissionRequest: Permission = (_contents, _permission, answer) => answer(true);
let permissionCheck: Check = () => true;

export const session = strict('session', {
  defaultSession: strict('session', {
    setPermissionRequestHandler: (handler: Permission) => {
      permissionRequest = handler;
    },
    setPermissionCheckHandler: (handler: Check) => {
      permissionCheck = handler;
    },
    protocol: strict('protocol', {
      handle: (scheme: string, handler: (request: Request) => Promise<Response>) => void schemes.set(scheme, handler),
    }),
  }),
});

export const protocol = strict('protocol', {
  registerSchemesAsPrivileged: (list: { scheme: string }[]) => {
    records.schemes = list.map(({ scheme }) => scheme);
  },
});

export const shell = strict('shell', {
  openExternal: async (url: string) => void records.opened.push(url),
});
export const dialog = strict('dialog', {
  showErrorBox: (title: string, text: string) => void records.errors.push({ title, text }),
});
export const nativeTheme = strict('nativeTheme', { shouldUseDarkColors: false });
export const screen = strict('screen', {
  getDisplayMatching: () => ({ workArea: { x: 0, y: 0, width: 1920, height: 1080 } }),
});

const power = new Emitter('powerMonitor', ['resume']);
export const powerMonitor = strict('powerMonitor', { on: power.on.bind(power) });

export const nativeImage = strict('nativeImage', {
  createFromPath: (path: string) => {
    if (!existsSync(path)) throw new Error(`there is no picture ${path}`);
    return strict('image', { path, setTemplateImage: () => {} });
  },
});

interface Item {
  label?: string;
  type?: string;
  enabled?: boolean;
  click?: () => void;
  submenu?: Item[];
}

function checkItems(items: Item[]): void {
  for (const item of items) {
    knownOnly('a menu item', item, ['label', 'type', 'enabled', 'click', 'submenu']);
    checkItems(item.submenu ?? []);
  }
}

function recordOf({ label = '', type, enabled = true, submenu }: Item): MenuRecord {
  return { label: type === 'separator' ? '-' : label, enabled, items: (submenu ?? []).map(recordOf) };
}

export const Menu = strict('Menu', {
  buildFromTemplate: (items: Item[]) => {
    checkItems(items);
    return { items };
  },
});

let trayMenu: Item[] = [];
const trayEvents = new Emitter('Tray', ['click']);

class StandInTray {
  on = trayEvents.on.bind(trayEvents);

  constructor(image: { path: string }) {
    this.setImage(image);
    // biome-ignore lint/correctness/noConstructorReturn: what is not covered must throw
    return strict<StandInTray>('Tray', this);
  }

  setImage(image: { path: string }): void {
    records.tray.image = image.path;
  }

  setToolTip(text: string): void {
    records.tray.toolTip = text;
  }

  setContextMenu(menu: { items: Item[] }): void {
    trayMenu = menu.items;
    records.tray.items = menu.items.map(recordOf);
  }

  displayBalloon(): void {}

  destroy(): void {
    records.tray.items = [];
  }
}
export const Tray = StandInTray;

listenForTest({
  clickTray: () => void trayEvents.emit('click'),
  /** The labels on the way to an item: of the menu, and of the submenu that it is in. */
  clickTrayItem(...labels: string[]) {
    let items = trayMenu;
    let item: Item | undefined;
    for (const label of labels) {
      item = items.find((one) => one.label === label && one.enabled !== false);
      items = item?.submenu ?? [];
    }
    if (!item?.click) throw new Error(`“${labels.join(' › ')}” can't be clicked in the tray menu`);
    item.click();
  },
  closeWindow: () => {
    for (const window of [...windows]) window.close();
  },
  visible: () => [...windows].some((window) => window.visible),
  secondInstance: () => void appEvents.emit('second-instance'),
  resume: () => void power.emit('resume'),
  allows(permission: string, origin: string) {
    let asked = false;
    permissionRequest(strict('webContents', { getURL: () => origin }), permission, (allowed) => {
      asked = allowed;
    });
    return asked || permissionCheck(null, permission, origin);
  },
});
