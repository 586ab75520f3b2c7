import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { skiffHome } from '../tunnel/socket-path.ts';

const LINUX = ['google-chrome', 'google-chrome-stable', 'chromium', 'chromium-browser', 'microsoft-edge'];
const MAC = [
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
  '/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge',
];
const WINDOWS = ['Google\\Chrome\\Application\\chrome.exe', 'Microsoft\\Edge\\Application\\msedge.exe'];

/** Shows the page in a window without browser frame, when there is a display and a browser that can. Says whether it did. */
export function openInBrowser(url: string): boolean {
  if (process.platform === 'linux' && !process.env.DISPLAY && !process.env.WAYLAND_DISPLAY) return false;
  const browser = findBrowser();
  if (!browser) return false;
  // A profile of its own: the app window then has its own place in the task bar, and ends with itself.
  const profile = join(skiffHome(), 'browser');
  mkdirSync(profile, { recursive: true, mode: 0o700 });
  const flags = [`--app=${url}`, `--user-data-dir=${profile}`, '--no-first-run', '--no-default-browser-check'];
  spawn(browser, flags, { stdio: 'ignore', detached: true })
    .on('error', () => {})
    .unref();
  return true;
}

function findBrowser(): string | undefined {
  if (process.platform === 'darwin') return MAC.find((path) => existsSync(path));
  if (process.platform === 'win32') {
    const roots = [process.env.ProgramFiles, process.env['ProgramFiles(x86)'], process.env.LOCALAPPDATA];
    return roots
      .flatMap((root) => (root ? WINDOWS.map((path) => join(root, path)) : []))
      .find((path) => existsSync(path));
  }
  return LINUX.find((name) => {
    try {
      execFileSync('which', [name], { stdio: 'ignore' });
      return true;
    } catch {
      return false;
    }
  });
}
