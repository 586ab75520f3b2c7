import { app, type Session, shell } from 'electron';
import { PAGE_ORIGIN } from './page-protocol.ts';

/** No page of ours goes anywhere, opens anything or asks for anything; links leave to the user's browser. */
export function lockDown(session: Session): void {
  const mayCopy = (permission: string, url: string | undefined) =>
    permission === 'clipboard-sanitized-write' && url !== undefined && isOurs(url);
  session.setPermissionRequestHandler((contents, permission, answer) => answer(mayCopy(permission, contents.getURL())));
  session.setPermissionCheckHandler((_contents, permission, origin) => mayCopy(permission, origin));
  app.on('web-contents-created', (_event, contents) => {
    contents.on('will-navigate', (event) => event.preventDefault());
    contents.on('will-attach-webview', (event) => event.preventDefault());
    contents.setWindowOpenHandler(({ url }) => {
      if (isWebLink(url)) void shell.openExternal(url);
      return { action: 'deny' };
    });
  });
}

export function isOurs(url: string): boolean {
  return url === PAGE_ORIGIN || url.startsWith(`${PAGE_ORIGIN}/`);
}

/** Only what a browser opens; never a file or another program's scheme. */
function isWebLink(url: string): boolean {
  try {
    return ['http:', 'https:'].includes(new URL(url).protocol);
  } catch {
    return false;
  }
}
