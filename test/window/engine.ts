import { canRun, Testbed } from '../engine/testbed.ts';
import { sshdMissing } from '../tunnel/sshd.ts';
import { openTestApp, type TestApp } from './app.ts';
import { browserMissing, openBrowser, type TestBrowser } from './browser.ts';
import { built } from './built.ts';
import { EngineGuest } from './engine-guest.ts';

/** Why pages over the real engine can't be tested here. */
export function engineMissing(): string | undefined {
  return browserMissing() ?? sshdMissing() ?? (canRun ? undefined : 'the test bed needs root on Linux');
}

/** The window in Chromium, the app, the tunnel with a real sshd, and the real engine in the test bed behind it. */
export interface EngineWindow extends AsyncDisposable {
  bed: Testbed;
  app: TestApp;
  browser: TestBrowser;
}

/** Opens the window at its first page, connected. */
export async function openEngineWindow(
  options: Parameters<typeof openBrowser>[0] = {},
  appOptions: Parameters<typeof openTestApp>[2] = {},
): Promise<EngineWindow> {
  await built();
  const bed = new Testbed();
  const guest = new EngineGuest(bed);
  await guest.start();
  const app = await openTestApp(bed.socket, { configCommand: guest.command }, appOptions);
  const browser = await openBrowser(options);
  await browser.page.goto(await app.link());
  await browser.page.locator('[data-light=engine]').getByText('ready').waitFor({ timeout: 30_000 });
  return {
    bed,
    app,
    browser,
    async [Symbol.asyncDispose]() {
      await browser.close();
      await app.close();
      await guest.close();
      const left = (await bed.ok('ps', '-aq')).split('\n').filter(Boolean);
      if (left.length > 0) await bed.ok('rm', '-f', ...left);
      await bed[Symbol.asyncDispose]();
    },
  };
}
