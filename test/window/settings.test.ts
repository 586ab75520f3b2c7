import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { seriousViolations } from './axe.ts';
import { type EngineWindow, engineMissing, openEngineWindow } from './engine.ts';

const skip = engineMissing();
const DOCKERS = ['DOCKER_CONFIG', 'DOCKER_HOST', 'DOCKER_CONTEXT'];
const LIMIT = 20_000;
const soon = { timeout: LIMIT, interval: 50 };

describe.skipIf(skip)(`settings in the window${skip ? `, skipped: ${skip}` : ''}`, () => {
  let open: EngineWindow;
  let page: Page;
  let origin: string;
  let folder: string;
  const before = { ...process.env };
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'skiff-settings-'));
    // Docker's contexts of these tests are not those of whoever runs them.
    for (const name of DOCKERS) delete process.env[name];
    process.env.DOCKER_CONFIG = join(folder, 'docker');
    open = await openEngineWindow({ width: 1280, height: 900 });
    page = open.browser.page;
    page.setDefaultTimeout(LIMIT);
    origin = new URL(page.url()).origin;
  }, 120_000);
  afterAll(async () => {
    await open?.[Symbol.asyncDispose]();
    for (const name of DOCKERS) {
      if (before[name] === undefined) delete process.env[name];
      else process.env[name] = before[name];
    }
    rmSync(folder, { recursive: true, force: true });
  });

  const go = (path: string) => page.goto(`${origin}/#${path}`);
  const button = (name: string) => page.getByRole('button', { name, exact: true });
  const see = (text: string | RegExp) => page.getByText(text).first().waitFor();
  const settings = () => open.app.app.settings.values;
  const line = (label: string) => page.locator('[data-setting]').filter({ hasText: label });

  test('a setting says what a change takes before it is saved, and what is wrong beside its field', async () => {
    await go('/settings');
    const memory = page.getByLabel('Memory', { exact: true });
    await memory.fill('100');
    await see('Give at least 512 MB, or leave it empty.');
    expect(await button('Save').isDisabled()).toBe(true);
    await memory.fill('2048');
    await line('Memory').locator('[data-effect=restarts-machine]').waitFor();
    expect(settings().memoryMb).toBe(0);
    await button('Save').click();
    await vi.waitFor(() => expect(settings().memoryMb).toBe(2048), soon);
    await see('What was saved applies when the machine is restarted.');
    const idle = page.getByLabel('Stop an unused machine after');
    await idle.fill('45');
    await line('Stop an unused machine after').locator('[data-effect=live]').waitFor();
    await idle.press('Enter');
    await vi.waitFor(() => expect(settings().idleStopMinutes).toBe(45), soon);
    const disk = page.getByLabel('Size of the data disk');
    await disk.fill('10');
    await see('Give a whole number from 64 to 16384: the disk can not shrink.');
    await disk.fill('80');
    await disk.press('Enter');
    await vi.waitFor(() => expect(settings().diskGb).toBe(80), soon);
    await page.getByLabel('Let a docker command start a stopped machine').click();
    await vi.waitFor(() => expect(settings().wakeOnConnect).toBe(false), soon);
  });

  test('folders are shared and not shared any more', async () => {
    await page.getByLabel('Folder to share').fill('relative');
    await see('Give absolute paths, 16 at most.');
    await page.getByLabel('Folder to share').fill(folder);
    await button('Add').click();
    await vi.waitFor(() => expect(settings().sharedFolders).toEqual([homedir(), folder]), soon);
    await button(`Do not share ${folder}`).click();
    await vi.waitFor(() => expect(settings().sharedFolders).toEqual([homedir()]), soon);
  });

  test("Docker's context is created, used and removed", async () => {
    const config = () => readFileSync(join(folder, 'docker', 'config.json'), 'utf8');
    await button('Create').click();
    await see('docker uses the context “default” now.');
    await button('Use').click();
    await see('docker uses it now.');
    expect(JSON.parse(config()).currentContext).toBe('skiff');
    await button('Remove').click();
    await see('It does not exist yet.');
    expect(JSON.parse(config()).currentContext).toBe(undefined);
  });

  test('the search leaves what it finds', async () => {
    await page.getByLabel('Search settings').fill('socket');
    await page.getByLabel('Stop an unused machine after').waitFor({ state: 'detached' });
    await line('Let a docker command').waitFor();
    await page.getByLabel('Search settings').fill('nothing like it');
    await see('No setting matches “nothing like it”.');
    await page.getByLabel('Search settings').press('Escape');
    await page.getByLabel('Stop an unused machine after').waitFor();
    expect(await seriousViolations(page)).toEqual([]);
  });

  test('complains about nothing', () => expect(open.browser.complaints).toEqual([]));
});
