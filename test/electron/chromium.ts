import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BrowserContext, chromium } from 'playwright-core';
import { BROWSER_FLAGS, browserPath } from '../window/browser.ts';

/** The Chromium that stands in for Electron's. `cdp` is where a test connects to the same browser. */
export interface StandInBrowser {
  context: BrowserContext;
  cdp: string;
  close(): Promise<void>;
}

let opened: Promise<StandInBrowser> | undefined;

export function standInBrowser(): Promise<StandInBrowser> {
  opened ??= open();
  return opened;
}

export async function closeBrowser(): Promise<void> {
  await (await opened)?.close();
}

async function open(): Promise<StandInBrowser> {
  const profile = mkdtempSync(join(tmpdir(), 'skiff-electron-'));
  const port = await freePort();
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: browserPath(),
    args: [...BROWSER_FLAGS, `--remote-debugging-port=${port}`],
    viewport: { width: 1160, height: 760 },
    locale: 'en-US',
  });
  return {
    context,
    cdp: `http://127.0.0.1:${port}`,
    close: async () => {
      await context.close().catch(() => {});
      rmSync(profile, { recursive: true, force: true });
    },
  };
}

function freePort(): Promise<number> {
  return new Promise((done) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => done(port));
    });
  });
}
