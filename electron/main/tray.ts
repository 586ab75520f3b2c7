import { join } from 'node:path';
import { Menu, nativeImage, Tray } from 'electron';
import type { AppState } from '../contract/state.ts';
import type { Words } from './words.ts';

export interface TrayActions {
  open(): void;
  start(): void;
  stop(): void;
  restart(): void;
  quit(): void;
}

type Look = 'running' | 'stopped' | 'busy' | 'failed';

/** The icon that shows the state, and the menu. */
export class AppTray {
  #tray: Tray;
  #icons: string;
  #actions: TrayActions;
  #look: Look | undefined;

  constructor(icons: string, actions: TrayActions) {
    this.#icons = icons;
    this.#actions = actions;
    this.#tray = new Tray(this.#image('stopped'));
    this.#tray.on('click', () => actions.open());
  }

  show(state: AppState, words: Words): void {
    const { kind } = state.machine;
    const look = lookOf(state);
    if (look !== this.#look) this.#tray.setImage(this.#image(look));
    this.#look = look;
    this.#tray.setToolTip(`Skiff: ${words.machine[kind]}`);
    const up = kind === 'running' || kind === 'degraded';
    const { open, start, stop, restart, quit } = this.#actions;
    this.#tray.setContextMenu(
      Menu.buildFromTemplate([
        { label: words.machine[kind], enabled: false },
        { type: 'separator' },
        { label: words.open, click: open },
        { type: 'separator' },
        { label: words.start, enabled: kind === 'stopped' || kind === 'failed', click: start },
        { label: words.stop, enabled: up || kind === 'starting', click: stop },
        { label: words.restart, enabled: up, click: restart },
        { type: 'separator' },
        { label: words.quit, click: quit },
      ]),
    );
  }

  tell(title: string, content: string): void {
    // Windows only; the others have no balloon.
    if (process.platform === 'win32') this.#tray.displayBalloon({ title, content });
  }

  destroy(): void {
    this.#tray.destroy();
  }

  /** macOS colours the menu bar itself: there the picture is a template, and only its shape tells the state. */
  #image(look: Look) {
    const mac = process.platform === 'darwin';
    const image = nativeImage.createFromPath(join(this.#icons, `${look}${mac ? 'Template' : ''}.png`));
    if (mac) image.setTemplateImage(true);
    return image;
  }
}

function lookOf({ machine, engine }: AppState): Look {
  if (machine.kind === 'failed') return 'failed';
  if (machine.kind === 'stopped') return 'stopped';
  return machine.kind === 'running' && engine.kind === 'ready' ? 'running' : 'busy';
}
