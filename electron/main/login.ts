import { app } from 'electron';
import { type LoginItem, xdgLogin } from '../services/system/login.ts';

/** macOS and Windows keep a list of their own, which Electron knows; Linux has a folder. */
export function loginItem(): LoginItem {
  if (process.platform === 'linux') {
    // An AppImage's own path is another one at every start.
    const program = process.env.APPIMAGE ?? process.execPath;
    return xdgLogin(app.isPackaged ? [program] : [program, app.getAppPath()]);
  }
  return {
    enabled: async () => app.getLoginItemSettings().openAtLogin,
    set: async (enabled) => app.setLoginItemSettings({ openAtLogin: enabled }),
  };
}
