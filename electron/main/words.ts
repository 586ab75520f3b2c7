import type { AppState } from '../contract/state.ts';

const en = {
  machine: {
    stopped: 'Machine: stopped',
    starting: 'Machine: starting …',
    running: 'Machine: running',
    degraded: 'Machine: not well',
    stopping: 'Machine: stopping …',
    failed: 'Machine: failed',
  } satisfies Record<AppState['machine']['kind'], string>,
  open: 'Open Skiff',
  start: 'Start',
  stop: 'Stop',
  restart: 'Restart',
  noneRunning: 'No container runs',
  running: (n: number) => (n === 1 ? '1 container runs' : `${n} containers run`),
  more: (n: number) => `${n} more …`,
  openLink: (host: string) => `Open ${host}`,
  logs: 'Logs',
  stopContainer: 'Stop',
  stopFailed: (name: string) => `${name} could not be stopped`,
  settings: 'Settings …',
  quit: 'Quit Skiff',
  failedTitle: 'Skiff cannot start',
  trayTitle: 'Skiff keeps running',
  trayText: 'The window is closed; docker goes on working. Quit in the tray menu.',
};

export type Words = typeof en;

const zhCN: Words = {
  machine: {
    stopped: '虚拟机：已停止',
    starting: '虚拟机：启动中…',
    running: '虚拟机：运行中',
    degraded: '虚拟机：异常',
    stopping: '虚拟机：停止中…',
    failed: '虚拟机：失败',
  },
  open: '打开 Skiff',
  start: '启动',
  stop: '停止',
  restart: '重启',
  noneRunning: '没有运行中的容器',
  running: (n: number) => `${n} 个容器运行中`,
  more: (n: number) => `另有 ${n} 个…`,
  openLink: (host: string) => `打开 ${host}`,
  logs: '日志',
  stopContainer: '停止',
  stopFailed: (name: string) => `无法停止 ${name}`,
  settings: '设置…',
  quit: '退出 Skiff',
  failedTitle: 'Skiff 无法启动',
  trayTitle: 'Skiff 仍在运行',
  trayText: '窗口已关闭，docker 仍可使用。可在托盘菜单中退出。',
};

/** The words of tray and dialogs. `language`: the setting; empty means the system's. */
export function wordsFor(language: string, systemLocale: string): Words {
  return (language || systemLocale).toLowerCase().startsWith('zh') ? zhCN : en;
}
