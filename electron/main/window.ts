import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BrowserWindow, ipcMain, nativeTheme, type Rectangle, screen } from 'electron';
import type { ShellPort, ToApp } from '../contract/protocol.ts';
import { isOurs } from './lock-down.ts';
import { PAGE_ORIGIN } from './page-protocol.ts';

export interface MainWindowOptions {
  home: string;
  preload: string;
  icon: string;
  /** a new connection to the app, for one load of the page */
  connect: () => Promise<ShellPort>;
  /** the window was closed by the user, and only hidden */
  onHidden: () => void;
}

const SMALLEST = { width: 760, height: 480 };

/** The one window. Closing hides it, until the app quits. */
export class MainWindow {
  #options: MainWindowOptions;
  #window: BrowserWindow | undefined;
  #port: Promise<ShellPort> | undefined;
  #quitting = false;

  constructor(options: MainWindowOptions) {
    this.#options = options;
    ipcMain.on('skiff', (event, message: ToApp) => {
      const frame = event.senderFrame;
      const fromPage = frame !== null && frame === this.#window?.webContents.mainFrame && isOurs(frame.url);
      if (fromPage) void this.#port?.then((port) => port.send(message));
    });
  }

  /** @param page a path of the page's router, where it is to be; by default where it was */
  show(page?: string): void {
    if (!this.#window) this.#create(page ?? '/');
    else if (page) void this.#window.webContents.executeJavaScript(`location.hash = ${JSON.stringify(page)}`);
    if (this.#window?.isMinimized()) this.#window.restore();
    this.#window?.show();
    this.#window?.focus();
  }

  /** From now on closing closes. */
  letGo(): void {
    this.#quitting = true;
  }

  #create(page: string): void {
    const window = new BrowserWindow({
      ...SMALLEST,
      ...rememberedBounds(this.#options.home),
      minWidth: SMALLEST.width,
      minHeight: SMALLEST.height,
      show: false,
      title: 'Skiff',
      icon: this.#options.icon,
      backgroundColor: nativeTheme.shouldUseDarkColors ? '#10181f' : '#ffffff',
      autoHideMenuBar: true,
      webPreferences: {
        preload: this.#options.preload,
        contextIsolation: true,
        sandbox: true,
        nodeIntegration: false,
        webviewTag: false,
        spellcheck: false,
      },
    });
    this.#window = window;
    window.once('ready-to-show', () => window.show());
    // Each load of the page is a new shell: what the one before has asked for ends with its connection.
    window.webContents.on('did-start-navigation', (details) => {
      if (details.isMainFrame && !details.isSameDocument) this.#connect(window);
    });
    window.on('close', (event) => {
      remember(this.#options.home, window.getNormalBounds());
      if (this.#quitting) return;
      event.preventDefault();
      window.hide();
      this.#options.onHidden();
    });
    window.on('closed', () => {
      void this.#port?.then((port) => port.close());
      this.#window = undefined;
    });
    void window.loadURL(`${PAGE_ORIGIN}/#${page}`);
  }

  #connect(window: BrowserWindow): void {
    void this.#port?.then((port) => port.close());
    const port = this.#options.connect();
    this.#port = port;
    void port.then((open) => {
      open.onMessage((message) => {
        if (this.#port === port && !window.isDestroyed()) window.webContents.send('skiff', message);
      });
    });
  }
}

function stateFile(home: string): string {
  return join(home, 'window.json');
}

/** Where the window was, when that is still on a screen. */
function rememberedBounds(home: string): Partial<Rectangle> {
  const usual = { width: 1160, height: 760 };
  try {
    const found = JSON.parse(readFileSync(stateFile(home), 'utf8')) as Rectangle;
    const area = screen.getDisplayMatching(found).workArea;
    const visible =
      found.x < area.x + area.width &&
      found.x + found.width > area.x &&
      found.y >= area.y &&
      found.y < area.y + area.height;
    return visible ? found : { ...usual, width: found.width, height: found.height };
  } catch {
    return usual;
  }
}

function remember(home: string, bounds: Rectangle): void {
  try {
    writeFileSync(stateFile(home), JSON.stringify(bounds), { mode: 0o600 });
  } catch {
    // a full disk must not keep a window open
  }
}
