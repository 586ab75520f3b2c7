import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { MenuRecord } from '../electron/control.ts';
import { type Desktop, launchDesktop } from '../electron/launch.ts';
import { Testbed } from '../engine/testbed.ts';
import { openTestApp, type TestApp } from './app.ts';
import { built } from './built.ts';
import { engineMissing } from './engine.ts';

const skip = engineMissing();
const soon = { timeout: 20_000, interval: 50 };

describe.skipIf(skip)(`the tray over the real engine${skip ? `, skipped: ${skip}` : ''}`, { timeout: 60_000 }, () => {
  let bed: Testbed;
  let app: TestApp;
  let desktop: Desktop;
  const items = async () => (await desktop.records()).tray.items;
  const item = async (label: string): Promise<MenuRecord | undefined> =>
    (await items()).find((one) => one.label === label);
  const labels = (found: MenuRecord[] | undefined) => found?.map(({ label }) => label);
  const seen = (label: string) => vi.waitFor(async () => expect(labels(await items())).toContain(label), soon);
  const gone = (label: string) => vi.waitFor(async () => expect(labels(await items())).not.toContain(label), soon);
  const path = () => new URL(desktop.page.url()).hash;

  beforeAll(async () => {
    await built();
    bed = new Testbed();
    await bed.start();
    app = await openTestApp(bed.socket);
    desktop = await launchDesktop(app.home);
    await seen('No container runs');
  }, 120_000);
  afterAll(async () => {
    await desktop?.close();
    await app?.close();
    await bed.ok('rm', '-f', 'web', 'job');
    await bed[Symbol.asyncDispose]();
  });

  test('a container that runs is there, with its port, its logs and stop; one that ended is not', async () => {
    // The window is closed: the tray lives by itself.
    await desktop.do('closeWindow');
    await bed.ok('run', '-d', '--name', 'web', '-p', '18081:80', 'skiff/welcome');
    await bed.ok('run', '--name', 'job', 'skiff/welcome', 'true');
    await seen('web');
    expect(labels((await item('web'))?.items)).toEqual(['Open localhost:18081', 'Logs', 'Stop']);
    await seen('1 container runs');
    await gone('job');
    expect((await desktop.records()).tray.toolTip).toBe('Skiff: Machine: running · 1 container runs');
  });

  test('its port opens in the browser of the user', async () => {
    await desktop.do('clickTrayItem', 'web', 'Open localhost:18081');
    await vi.waitFor(async () => expect((await desktop.records()).opened).toContain('http://localhost:18081'), soon);
  });

  test('its logs open in the window, which comes back for them', async () => {
    await desktop.do('clickTrayItem', 'web', 'Logs');
    expect(await desktop.do('visible')).toBe(true);
    await desktop.page.getByRole('heading', { name: 'web' }).waitFor();
    expect(path()).toMatch(/^#\/containers\/[0-9a-f]{64}\/logs$/);
  });

  test('Settings opens their page, from wherever the window is', async () => {
    await desktop.do('clickTrayItem', 'Settings …');
    await desktop.page.getByRole('heading', { name: 'Settings', exact: true }).waitFor();
    expect(path()).toBe('#/settings');
    expect(desktop.complaints).toEqual([]);
  });

  test('stop stops it, and it leaves the menu', async () => {
    await desktop.do('clickTrayItem', 'web', 'Stop');
    await gone('web');
    expect(await bed.ok('inspect', '-f', '{{.State.Running}}', 'web')).toBe('false');
    await seen('No container runs');
  });

  test('with a machine that is stopped no container runs', async () => {
    await bed.ok('start', 'web');
    await seen('web');
    await desktop.do('clickTrayItem', 'Stop');
    await gone('web');
    expect((await desktop.records()).tray.image).toContain('stopped.png');
  });
});
