import type { Words } from './en.ts';
import { containers } from './zh-CN/containers.ts';
import { engines } from './zh-CN/engines.ts';
import { frame } from './zh-CN/frame.ts';
import { images } from './zh-CN/images.ts';
import { logs } from './zh-CN/logs.ts';
import { activity, builds, networks, parts, tasks, volumes } from './zh-CN/nouns.ts';
import { palette } from './zh-CN/palette.ts';
import { settings } from './zh-CN/settings.ts';
import { troubleshoot } from './zh-CN/troubleshoot.ts';
import { welcome } from './zh-CN/welcome.ts';

export const zhCN: Words = {
  ...frame,
  engines,
  containers,
  logs,
  images,
  settings,
  troubleshoot,
  welcome,
  palette,
  volumes,
  networks,
  builds,
  activity,
  tasks,
  parts,
};
