import { join } from 'node:path';
import { Menu, nativeImage, Tray } from 'electron';
import type { ContainerRow } from '../contract/engine.ts';
import type { AppState } from '../contract/state.ts';
import { type TrayActions, trayMenu } from './tray-menu.ts';
import type { Words } from './words.ts';

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

  show(state: AppState, running: readonly ContainerRow[], words: Words): void {
    const look = lookOf(state);
    if (look !== this.#look) this.#tray.setImage(this.#image(look));
    this.#look = look;
    const count = running.length > 0 ? ` · ${words.running(running.length)}` : '';
    this.#tray.setToolTip(`Skiff: ${words.machine[state.machine.kind]}${count}`);
    this.#tray.setContextMenu(Menu.buildFromTemplate(trayMenu(state, running, words, this.#actions)));
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
