import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { type EngineWindow, engineMissing, openEngineWindow } from './engine.ts';

const skip = engineMissing();
const soon = { timeout: 20_000, interval: 100 };
/** More presses than any page has things to stop at. */
const MOST_TABS = 150;

describe.skipIf(skip)(`with the keyboard alone${skip ? `, skipped: ${skip}` : ''}`, { timeout: 120_000 }, () => {
  let window: EngineWindow;
  let page: Page;
  let folder: string;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'skiff-keyboard-'));
    window = await openEngineWindow({ width: 1000, height: 640 });
    page = window.browser.page;
    page.setDefaultTimeout(20_000);
  }, 180_000);
  afterAll(async () => {
    await window?.[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  const press = async (...keys: string[]) => {
    for (const key of keys) await page.keyboard.press(key);
  };
  const type = (text: string) => page.keyboard.type(text);
  const heading = (name: string) => page.getByRole('heading', { name, exact: true, level: 1 }).waitFor();
  const button = (name: string) => page.getByRole('button', { name, exact: true });
  const row = (name: string) => page.getByRole('row', { name, exact: true });
  const focused = (target: Locator) => target.evaluate((element) => element === element.ownerDocument.activeElement);
  const hasFocus = (target: Locator) => vi.waitFor(async () => expect(await focused(target)).toBe(true), soon);
  const dialog = () => page.getByRole('dialog');
  const closed = () => dialog().waitFor({ state: 'detached' });

  /** Tabs until this has the focus: a keyboard has no other way there. */
  async function reach(target: Locator): Promise<void> {
    await target.waitFor();
    for (let presses = 0; presses < MOST_TABS; presses++) {
      if (await focused(target)) return;
      await press('Tab');
    }
    throw new Error(`Tab never comes to ${target}`);
  }

  test('Ctrl+1 to Ctrl+8 open the pages in the order of the rail', async () => {
    const pages = ['Containers', 'Images', 'Volumes', 'Networks', 'Builds', 'Activity', 'Settings', 'Troubleshoot'];
    for (const [index, name] of pages.entries()) {
      await press(`Control+${index + 1}`);
      await heading(name);
    }
  });

  test('a container is found, its logs are opened, it is stopped and removed', async () => {
    await window.bed.ok(
      'run',
      '-d',
      '--init',
      '--name',
      'web',
      'skiff/welcome',
      'sh',
      '-c',
      'echo its log; sleep 9999',
    );
    await window.bed.ok('run', '-d', '--init', '--name', 'other', 'skiff/welcome', 'sleep', '9999');
    await press('Control+1');
    const line = page.locator('[data-row]', { hasText: 'web' });
    await line.waitFor();
    await reach(page.getByPlaceholder(/^Filter by name/));
    await type('web');
    await page.locator('[data-row]', { hasText: 'other' }).waitFor({ state: 'detached' });
    await reach(line);
    await press('Enter');
    await heading('web');
    await page.getByText('its log').waitFor();
    await reach(page.getByRole('tab', { name: 'Logs' }));
    await press('ArrowLeft');
    await hasFocus(page.getByRole('tab', { name: 'Changes' }));
    await press('Escape');
    await heading('Containers');
    await reach(button('Stop: web'));
    await press('Enter');
    await button('Start: web').waitFor();
    expect(await window.bed.ok('inspect', '-f', '{{.State.Running}}', 'web')).toBe('false');
    await reach(line);
    await press('Delete');
    await hasFocus(dialog().getByRole('button', { name: 'Remove' }));
    await press('Escape');
    await closed();
    await line.waitFor();
    await reach(line);
    await press('Delete');
    await hasFocus(dialog().getByRole('button', { name: 'Remove' }));
    await press('Enter');
    await line.waitFor({ state: 'detached' });
  });

  test('the dialog that pulls begins in its field, leaves with Esc and gives the focus back; an image is removed', async () => {
    await window.bed.ok('tag', 'skiff/welcome', 'spare:1');
    await press('Control+2');
    await heading('Images');
    await reach(button('Pull'));
    await press('Enter');
    await hasFocus(dialog().getByLabel('Image', { exact: true }));
    await type('nothing:1');
    await press('Escape');
    await closed();
    await hasFocus(button('Pull'));
    await reach(row('spare:1'));
    await press('Delete');
    await hasFocus(dialog().getByRole('button', { name: 'Remove' }));
    await press('Enter');
    await row('spare:1').waitFor({ state: 'detached' });
  });

  test('a volume is created, browsed and removed; those that nothing uses are pruned after a preview', async () => {
    await press('Control+3');
    await heading('Volumes');
    await reach(page.locator('header').getByRole('button', { name: 'Create', exact: true }));
    await press('Enter');
    await hasFocus(dialog().getByLabel('Name', { exact: true }));
    await type('notes');
    await press('Enter');
    await closed();
    await row('notes').waitFor();
    await window.bed.ok(
      'run',
      '--rm',
      '-v',
      'notes:/n',
      'skiff/welcome',
      'sh',
      '-c',
      'mkdir /n/sub; echo hello >/n/sub/a.txt',
    );
    await reach(row('notes'));
    await press('Enter');
    await heading('notes');
    await reach(page.getByRole('button', { name: /^sub/ }));
    await press('Enter');
    await reach(page.getByRole('button', { name: /^a\.txt/ }));
    await press('Enter');
    await page.getByRole('textbox', { name: 'sub/a.txt' }).waitFor();
    await press('Control+3');
    await heading('Volumes');
    await reach(row('notes'));
    await press('Delete');
    await hasFocus(dialog().getByRole('button', { name: 'Remove' }));
    await press('Enter');
    await row('notes').waitFor({ state: 'detached' });

    await window.bed.ok('volume', 'create', 'unused');
    await window.bed.ok('run', '-d', '--init', '--name', 'writer', '-v', 'used:/u', 'skiff/welcome', 'sleep', '9999');
    await row('unused').waitFor();
    await row('used').waitFor();
    await reach(button('Prune'));
    await press('Enter');
    await dialog().getByText('No volume would go.').waitFor();
    await reach(dialog().getByRole('switch'));
    await press('Space');
    await dialog().getByRole('listitem').filter({ hasText: 'unused' }).waitFor();
    expect(await dialog().getByRole('listitem').count()).toBe(1);
    await reach(dialog().getByRole('button', { name: 'Prune', exact: true }));
    await press('Enter');
    await closed();
    await row('unused').waitFor({ state: 'detached' });
    expect(await window.bed.ok('volume', 'ls', '-q')).toBe('used');
  });

  test('a network is created, a container connected; the map shows its address and names; empty ones are pruned', async () => {
    await press('Control+4');
    await heading('Networks');
    await reach(page.locator('header').getByRole('button', { name: 'Create', exact: true }));
    await press('Enter');
    await hasFocus(dialog().getByLabel('Name', { exact: true }));
    await type('back');
    await reach(dialog().getByLabel('Subnet', { exact: true }));
    await type('10.78.0.0/24');
    await press('Enter');
    await closed();
    await reach(row('back'));
    await press('Enter');
    await heading('back');
    await reach(button('Connect'));
    await press('Enter');
    await reach(dialog().getByText('Choose a container').locator('xpath=ancestor-or-self::button'));
    await press('Enter');
    await page.getByRole('option', { name: 'other' }).waitFor();
    await type('other');
    await press('Enter');
    await page.getByRole('option').first().waitFor({ state: 'detached' });
    await reach(dialog().getByLabel('Further names', { exact: true }));
    await type('api db');
    await press('Enter');
    await closed();
    const map = page.getByRole('region', { name: 'Who is on it' });
    const member = map.getByRole('listitem').filter({ hasText: 'other' });
    await member.getByText('10.78.0.2').waitFor();
    await member.getByText('also known as api, db').waitFor();
    // It follows what is done elsewhere.
    await window.bed.ok('network', 'connect', '--ip', '10.78.0.77', 'back', 'writer');
    await map.getByRole('listitem').filter({ hasText: 'writer' }).getByText('10.78.0.77').waitFor();
    await window.bed.ok('network', 'disconnect', 'back', 'writer');
    await map.getByRole('listitem').filter({ hasText: 'writer' }).waitFor({ state: 'detached' });
    await reach(button('Disconnect: other'));
    await press('Enter');
    await hasFocus(dialog().getByRole('button', { name: 'Disconnect' }));
    await press('Enter');
    await page.getByText('No container is on this network yet.').waitFor();

    await press('Control+4');
    await heading('Networks');
    await reach(button('Prune'));
    await press('Enter');
    await dialog().getByText('back', { exact: true }).waitFor();
    await hasFocus(dialog().getByRole('button', { name: 'Prune' }));
    await press('Enter');
    await row('back').waitFor({ state: 'detached' });
    await closed();
    await reach(button('Prune'));
    await press('Enter');
    await page.getByText('Every network has a container, or is built in.').first().waitFor();
  });

  test('a folder is built, and its build looked at step by step', async () => {
    writeFileSync(join(folder, 'Dockerfile'), 'FROM skiff/welcome\nRUN echo what it printed\n');
    await press('Control+5');
    await heading('Builds');
    await reach(page.locator('header').getByRole('button', { name: 'Build', exact: true }));
    await press('Enter');
    await hasFocus(dialog().getByLabel('Folder', { exact: true }));
    await type(folder);
    await reach(dialog().getByLabel('Names', { exact: true }));
    await type('typed:1');
    await press('Enter');
    await closed();
    await row('typed:1').getByText('done').waitFor();
    await reach(row('typed:1'));
    await press('Enter');
    await heading('typed:1');
    await reach(page.locator('summary', { hasText: 'RUN echo' }));
    await press('Space');
    await page.locator('pre', { hasText: 'what it printed' }).waitFor();
    await press('Escape');
    await heading('Builds');
  });

  test('a setting is found and changed, and arrows choose a theme', async () => {
    await press('Control+7');
    await heading('Settings');
    await reach(page.getByPlaceholder('Search settings'));
    await type('theme');
    await reach(page.getByRole('radio', { name: 'Like the system' }));
    await press('ArrowRight', 'ArrowRight');
    await hasFocus(page.getByRole('radio', { name: 'Dark' }));
    await vi.waitFor(() => expect(window.app.app.settings.values.theme).toBe('dark'), soon);
    await press('Home');
    await vi.waitFor(() => expect(window.app.app.settings.values.theme).toBe('system'), soon);
  });

  test('the palette opens over any page, finds and runs, and Esc closes it', async () => {
    await press('Control+8');
    await heading('Troubleshoot');
    await press('Control+k');
    await type('no such thing at all');
    await press('Escape');
    await closed();
    await heading('Troubleshoot');
    await press('Control+k');
    await type('other');
    await page
      .getByRole('option', { name: /^other/ })
      .first()
      .waitFor();
    await press('Enter');
    await heading('other');
  });

  test('complains about nothing', () => expect(window.browser.complaints).toEqual([]));
});
