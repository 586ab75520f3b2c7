import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { type Desktop, launchDesktop } from '../electron/launch.ts';
import { sshdMissing } from '../tunnel/sshd.ts';
import { openTestApp, type TestApp } from './app.ts';
import { browserMissing } from './browser.ts';
import { built } from './built.ts';
import { furnish, see, windowScenarios } from './scenarios.ts';

const skip = browserMissing() ?? sshdMissing();
const soon = { timeout: 5_000, interval: 25 };

describe.skipIf(skip)(`the desktop shell${skip ? `, skipped: ${skip}` : ''}`, { timeout: 30_000 }, () => {
  let app: TestApp;
  let desktop: Desktop;
  beforeAll(async () => {
    await built();
    app = await openTestApp();
    furnish(app);
    desktop = await launchDesktop(app.home);
    await see(desktop.page, 'shop-web-1');
  }, 90_000);
  afterAll(async () => {
    await desktop?.close();
    await app?.close();
  });

  windowScenarios(() => ({ test: app, page: desktop.page, complaints: desktop.complaints }));

  const tray = async () => (await desktop.records()).tray;
  const items = async () => Object.fromEntries((await tray()).items.map(({ label, enabled }) => [label, enabled]));

  test('the tray shows the state and offers what fits it', async () => {
    await vi.waitFor(async () => expect((await tray()).image).toContain('running.png'), soon);
    expect((await tray()).toolTip).toMatch(/^Skiff: Machine: running/);
    expect(await items()).toMatchObject({ Start: false, Stop: true, Restart: true, 'Open Skiff': true });
  });

  test('the tray stops and starts the machine', async () => {
    await desktop.do('clickTrayItem', 'Stop');
    await vi.waitFor(async () => expect((await tray()).image).toContain('stopped.png'), soon);
    expect(await items()).toMatchObject({ Start: true, Stop: false });
    await desktop.do('clickTrayItem', 'Start');
    await vi.waitFor(async () => expect((await tray()).image).toContain('running.png'), soon);
  });

  test('closing the window hides it; the tray and a second start bring it back', async () => {
    await desktop.do('closeWindow');
    expect(await desktop.do('visible')).toBe(false);
    await desktop.do('clickTray');
    expect(await desktop.do('visible')).toBe(true);
    await desktop.do('closeWindow');
    await desktop.do('secondInstance');
    expect(await desktop.do('visible')).toBe(true);
  });

  test('a link opens in the browser of the user, never in a window of ours', async () => {
    await desktop.page.getByRole('link', { name: 'Open port 8081 in the browser' }).click();
    await vi.waitFor(async () => expect((await desktop.records()).opened).toEqual(['http://localhost:8081/']), soon);
  });

  test('the page can not be led away', async () => {
    const before = desktop.page.url();
    await desktop.page.evaluate("location.href = 'http://evil.example/'");
    await new Promise((done) => setTimeout(done, 200));
    expect(desktop.page.url()).toBe(before);
  });

  test('the page gets one bridge and nothing of Node or Electron', async () => {
    const found = await desktop.page.evaluate(`({
      bridge: Object.keys(window.skiff).sort(),
      node: ['require', 'process', 'module', 'Buffer'].filter((name) => name in window),
    })`);
    expect(found).toEqual({ bridge: ['onMessage', 'send'], node: [] });
  });

  test('permissions are denied, but for copying from our own page', async () => {
    for (const permission of ['media', 'geolocation', 'notifications', 'clipboard-read', 'openExternal']) {
      expect(await desktop.do('allows', permission, 'skiff://app/')).toBe(false);
    }
    expect(await desktop.do('allows', 'clipboard-sanitized-write', 'skiff://app/')).toBe(true);
    expect(await desktop.do('allows', 'clipboard-sanitized-write', 'http://evil.example/')).toBe(false);
  });

  test('a reload gets a new connection and the same picture', async () => {
    await desktop.page.reload();
    await see(desktop.page, 'shop-web-1');
  });

  test('quitting ends the shell and leaves an app alone that another process has started', async () => {
    await desktop.do('clickTrayItem', 'Quit Skiff').catch(() => {});
    expect(await desktop.exited).toBe(0);
    expect(app.app.state.machine.kind).toBe('running');
  });
});
