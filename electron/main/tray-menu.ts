import type { MenuItemConstructorOptions } from 'electron';
import type { ContainerRow } from '../contract/engine.ts';
import type { AppState } from '../contract/state.ts';
import type { Words } from './words.ts';

/** What the tray's menu can do. A page is a path of the window's router. */
export interface TrayActions {
  open(page?: string): void;
  openLink(url: string): void;
  start(): void;
  stop(): void;
  restart(): void;
  stopContainer(container: ContainerRow): void;
  quit(): void;
}

/** A menu that is longer than the screen helps nobody: the others are in the window. */
const MOST = 15;

/** The tray's menu: the state, the machine's buttons, a submenu per running container, and the ways in and out. */
export function trayMenu(
  { machine }: AppState,
  running: readonly ContainerRow[],
  words: Words,
  actions: TrayActions,
): MenuItemConstructorOptions[] {
  const up = machine.kind === 'running' || machine.kind === 'degraded';
  return [
    { label: words.machine[machine.kind], enabled: false },
    { type: 'separator' },
    {
      label: words.start,
      enabled: machine.kind === 'stopped' || machine.kind === 'failed',
      click: () => actions.start(),
    },
    { label: words.stop, enabled: up || machine.kind === 'starting', click: () => actions.stop() },
    { label: words.restart, enabled: up, click: () => actions.restart() },
    { type: 'separator' },
    { label: running.length > 0 ? words.running(running.length) : words.noneRunning, enabled: false },
    ...running.slice(0, MOST).map((container) => containerItem(container, words, actions)),
    ...(running.length > MOST
      ? [{ label: words.more(running.length - MOST), click: () => actions.open('/containers') }]
      : []),
    { type: 'separator' },
    { label: words.open, click: () => actions.open() },
    { label: words.settings, click: () => actions.open('/settings') },
    { type: 'separator' },
    { label: words.quit, click: () => actions.quit() },
  ];
}

function containerItem(container: ContainerRow, words: Words, actions: TrayActions): MenuItemConstructorOptions {
  const links = container.ports.flatMap(({ protocol, hostPort }) =>
    protocol === 'tcp' && hostPort !== undefined ? [`http://localhost:${hostPort}`] : [],
  );
  return {
    label: container.name,
    submenu: [
      ...links.map((url) => ({ label: words.openLink(new URL(url).host), click: () => actions.openLink(url) })),
      { label: words.logs, click: () => actions.open(`/containers/${container.id}/logs`) },
      { label: words.stopContainer, click: () => actions.stopContainer(container) },
    ],
  };
}
