import { type Protocol, protocol, type Session } from 'electron';
import { readPage } from '../services/page.ts';

/** Where the window's page comes from. A scheme of our own has an origin, unlike file:, and no server behind it. */
export const PAGE_ORIGIN = 'skiff://app';

/** Must be called before Electron is ready. */
export function registerPageScheme(): void {
  protocol.registerSchemesAsPrivileged([
    { scheme: 'skiff', privileges: { standard: true, secure: true, supportFetchAPI: true } },
  ]);
}

export function servePage(session: Session, dir: string): void {
  const handler: Parameters<Protocol['handle']>[1] = async (request) => {
    const url = new URL(request.url);
    if (url.host !== 'app') return new Response('Not found', { status: 404 });
    const { status, headers, body } = await readPage(dir, url.pathname);
    return new Response(new Uint8Array(body), { status, headers });
  };
  session.protocol.handle('skiff', handler);
}
