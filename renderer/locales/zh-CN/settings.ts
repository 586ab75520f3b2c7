import type { Words } from '../en.ts';

export const settings: Words['settings'] = {
  title: '设置',
  look: '外观',
  theme: '主题',
  themes: { system: '跟随系统', light: '浅色', dark: '深色' },
  language: '语言',
  systemLanguage: '跟随系统',
  machine: '虚拟机',
  startMachineWithApp: '启动 Skiff 时同时启动虚拟机',
  wakeOnConnect: '允许 docker 命令启动已停止的虚拟机',
  wakeHint: '套接字始终监听；命令会等待虚拟机就绪。',
  terminal: '终端',
  terminalText: '让 docker、compose 等工具使用 Skiff：',
  thisShell: '仅当前终端',
  allShells: '所有终端',
  about: '关于',
  version: 'Skiff {version}',
  home: '所有数据保存在 {path}',
  live: '立即生效',
};
