import { containers } from './en/containers.ts';
import { engines } from './en/engines.ts';
import { frame } from './en/frame.ts';
import { images } from './en/images.ts';
import { logs } from './en/logs.ts';
import { activity, builds, networks, parts, tasks, volumes } from './en/nouns.ts';
import { palette } from './en/palette.ts';
import { settings } from './en/settings.ts';
import { troubleshoot } from './en/troubleshoot.ts';
import { welcome } from './en/welcome.ts';

/** The words of the window, by page. The other languages have the same keys, which the compiler checks. */
export const en = {
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

export type Words = typeof en;
