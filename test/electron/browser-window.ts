import type { Frame, Page, Request as PageRequest, Route } from 'playwright-core';
import { closeBrowser, standInBrowser } from './chromium.ts';
import { preloadScript } from './preload-world.ts';
import { Emitter, knownOnly, strict } from './strict.ts';

type SchemeHandler = (request: Request) => Promise<Response>;
type OpenHandler = (details: { url: string }) => { action: string };

/** Chromium has no schemes of ours: `skiff://app/x` is shown to it as `http://skiff.localhost/x`, answered by the handler. */
const SHOWN_ORIGIN = 'http://skiff.localhost';
export const schemes = new Map<string, SchemeHandler>();
export const ipcMain = new Emitter('ipcMain', ['skiff']);
export const windows = new Set<StandInWindow>();
/** told to app's listeners */
export const contentsCreated = new Emitter('app', ['web-contents-created']);

const OPTIONS =
  'width height x y minWidth minHeight show title icon backgroundColor autoHideMenuBar webPreferences'.split(' ');
const PREFERENCES = 'preload contextIsolation sandbox nodeIntegration webviewTag spellcheck'.split(' ');

interface Options {
  width: number;
  height: number;
  x?: number;
  y?: number;
  webPreferences: { preload: string; contextIsolation: boolean; sandbox: boolean; nodeIntegration: boolean };
}

class StandInContents {
  readonly emitter = new Emitter('webContents', ['did-start-navigation', 'will-navigate', 'will-attach-webview']);
  readonly mainFrame = { url: '' };
  openHandler: OpenHandler = () => ({ action: 'allow' });
  page: Page | undefined;
  on = this.emitter.on.bind(this.emitter);

  setWindowOpenHandler(handler: OpenHandler): void {
    this.openHandler = handler;
  }

  getURL(): string {
    return this.mainFrame.url;
  }

  async executeJavaScript(code: string): Promise<unknown> {
    return this.page?.evaluate(code);
  }

  send(channel: string, ...args: unknown[]): void {
    // A page that is being left hears nothing more, as in Electron.
    const call = `window.__standInReceive?.(${JSON.stringify(channel)}, ${JSON.stringify(args)})`;
    void this.page?.evaluate(call).catch(() => {});
  }
}

export class StandInWindow {
  readonly contents = new StandInContents();
  readonly webContents = strict('webContents', this.contents);
  readonly emitter = new Emitter('BrowserWindow', ['ready-to-show', 'close', 'closed']);
  visible = false;
  #options: Options;
  #destroyed = false;
  on = this.emitter.on.bind(this.emitter);
  once = this.emitter.once.bind(this.emitter);

  constructor(options: Options) {
    knownOnly('BrowserWindow', options, OPTIONS);
    knownOnly('webPreferences', options.webPreferences, PREFERENCES);
    const { contextIsolation, sandbox, nodeIntegration } = options.webPreferences;
    if (!contextIsolation || !sandbox || nodeIntegration) throw new Error('the stand-in knows only sandboxed windows');
    this.#options = options;
    windows.add(this);
    contentsCreated.emit('web-contents-created', {}, this.webContents);
    // biome-ignore lint/correctness/noConstructorReturn: what is not covered must throw
    return strict<StandInWindow>('BrowserWindow', this);
  }

  async loadURL(url: string): Promise<void> {
    const { context } = await standInBrowser();
    const page = context.pages().find((open) => open.url() === 'about:blank') ?? (await context.newPage());
    this.contents.page = page;
    await page.setViewportSize({ width: this.#options.width, height: this.#options.height });
    await page.exposeBinding('__standInSend', ({ frame }, channel: 'skiff', args: unknown[]) =>
      this.#received(frame, channel, args),
    );
    await page.addInitScript(preloadScript(this.#options.webPreferences.preload));
    context.on('page', (popup) => void popup.close().catch(() => {}));
    await context.route('**/*', (route) => this.#answer(route));
    await page.goto(url.replace('skiff://app', SHOWN_ORIGIN), { waitUntil: 'domcontentloaded' });
    this.emitter.emit('ready-to-show');
  }

  #received(frame: Frame, channel: 'skiff', args: unknown[]): void {
    const isMain = frame === this.contents.page?.mainFrame();
    const senderFrame = isMain ? this.contents.mainFrame : { url: frame.url() };
    ipcMain.emit(channel, { senderFrame }, ...args);
  }

  /** Every request of the browser comes by here; what is not the page's own scheme goes nowhere. */
  async #answer(route: Route): Promise<void> {
    const request = route.request();
    const navigation = request.isNavigationRequest();
    const page = pageOf(request);
    if (navigation && page !== this.contents.page) {
      // window.open or target=_blank
      this.contents.openHandler({ url: request.url() });
      await route.abort('aborted').catch(() => {});
      return;
    }
    if (!request.url().startsWith(`${SHOWN_ORIGIN}/`)) {
      if (navigation) this.contents.emitter.emit('will-navigate', { url: request.url() });
      return route.abort('aborted');
    }
    const url = request.url().replace(SHOWN_ORIGIN, 'skiff://app');
    if (navigation && request.frame() === this.contents.page?.mainFrame()) {
      this.contents.mainFrame.url = url;
      this.contents.emitter.emit('did-start-navigation', { isMainFrame: true, isSameDocument: false, url });
    }
    const handler = schemes.get('skiff');
    if (!handler) throw new Error('nobody handles skiff:');
    const response = await handler(new Request(url));
    const headers = Object.fromEntries(response.headers);
    await route.fulfill({ status: response.status, headers, body: Buffer.from(await response.arrayBuffer()) });
  }

  show(): void {
    this.visible = true;
  }

  hide(): void {
    this.visible = false;
  }

  focus(): void {}

  isMinimized(): boolean {
    return false;
  }

  isDestroyed(): boolean {
    return this.#destroyed;
  }

  getNormalBounds() {
    return { x: 10, y: 20, width: this.#options.width, height: this.#options.height };
  }

  /** What the user's click on the close button does. */
  close(): void {
    if (this.emitter.emit('close')) return;
    this.#destroyed = true;
    windows.delete(this);
    void this.contents.page?.close().catch(() => {});
    this.emitter.emit('closed');
  }
}

/** undefined for the first request of a page that is only being opened. */
function pageOf(request: PageRequest): Page | undefined {
  try {
    return request.frame().page();
  } catch {
    return undefined;
  }
}

export { closeBrowser };
