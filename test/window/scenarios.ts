import type { Page } from 'playwright-core';
import { expect, test, vi } from 'vitest';
import type { TestApp } from './app.ts';

/** What a scenario needs, whichever shell shows the window. */
export interface Opened {
  test: TestApp;
  page: Page;
  complaints: string[];
}

const soon = { timeout: 5_000, interval: 25 };

export function see(page: Page, text: string | RegExp) {
  return page.getByText(text).first().waitFor({ timeout: 5_000 });
}

/** Containers and images that exist only in these tests. */
export function furnish({ fake }: TestApp): void {
  if (!fake) return;
  fake.containers = [];
  fake.images = [];
  fake.add({ name: 'shop-web-1', image: 'shop/web:2', project: 'shop', service: 'web', ports: [[8080, 80]] });
  fake.add({ name: 'shop-db-1', image: 'postgres:17', project: 'shop', service: 'db', running: false });
  fake.add({ name: 'welcome', image: 'skiff/welcome', ports: [[8081, 80]] });
  fake.addImage('postgres:17', 278e6);
  fake.addImage('skiff/welcome:latest', 4e6);
}

/** What the window does, in the browser and in Electron alike. */
export function windowScenarios(open: () => Opened): void {
  test('shows the containers that are there, by compose project', async () => {
    const { page } = open();
    await see(page, 'shop-web-1');
    expect(await page.getByText('1 of 2 running').count()).toBe(1);
    expect(await page.getByRole('link', { name: 'Open port 8080 in the browser' }).getAttribute('href')).toBe(
      'http://localhost:8080',
    );
  });

  test('tells the state of machine, tunnel and engine in words', async () => {
    const { page } = open();
    for (const [light, words] of [
      ['machine', 'running'],
      ['tunnel', 'connected'],
      ['engine', 'ready'],
    ]) {
      await page
        .locator(`[data-light=${light}]`)
        .getByText(words ?? '')
        .waitFor();
    }
  });

  test('follows what happens in the engine without being asked', async () => {
    const {
      page,
      test: { fake },
    } = open();
    const made = fake?.add({ name: 'just-made' });
    await see(page, 'just-made');
    if (fake && made) {
      fake.containers = fake.containers.filter((one) => one !== made);
      fake.emit('container', 'destroy', made.id, made.name);
    }
    await page.getByText('just-made').waitFor({ state: 'detached' });
  });

  test('stops and starts a container', async () => {
    const { page } = open();
    await page.getByRole('button', { name: 'Stop: welcome' }).click();
    await page.getByRole('button', { name: 'Start: welcome' }).click();
    await page.getByRole('button', { name: 'Stop: welcome' }).waitFor();
  });

  test('asks before it removes, and Esc is no', async () => {
    const {
      page,
      test: { fake },
    } = open();
    const removals = () => fake?.requests.filter((request) => request.startsWith('DELETE /containers/')).length;
    const before = removals();
    await page.getByRole('button', { name: 'More actions of welcome' }).click();
    await page.getByRole('menuitem', { name: 'Remove' }).click();
    await see(page, 'Remove welcome?');
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    expect(removals()).toBe(before);
  });

  test('removes after Enter', async () => {
    const {
      page,
      test: { fake },
    } = open();
    fake?.add({ name: 'throw-away' });
    await page.getByRole('button', { name: 'More actions of throw-away' }).click();
    await page.getByRole('menuitem', { name: 'Remove' }).click();
    await see(page, 'Remove throw-away?');
    await vi.waitFor(
      async () => expect(await page.evaluate('document.activeElement.textContent')).toBe('Remove'),
      soon,
    );
    await page.keyboard.press('Enter');
    await page.getByText('throw-away', { exact: true }).waitFor({ state: 'detached' });
  });

  test('can be used with the keyboard alone', async () => {
    const { page } = open();
    await page.locator('[data-row="0"]').focus();
    await page.keyboard.press('ArrowDown');
    await vi.waitFor(
      async () => expect(await page.evaluate("document.activeElement.getAttribute('data-row')")).toBe('1'),
      soon,
    );
    await page.keyboard.press('Enter');
    await page.getByRole('log').waitFor();
    await page.keyboard.press('Escape');
    await see(page, 'welcome');
    await page.keyboard.press('Control+2');
    await page.getByRole('heading', { name: 'Images' }).waitFor();
    await page.keyboard.press('Control+1');
    await page.getByRole('heading', { name: 'Containers' }).waitFor();
  });

  test('finds pages, containers and actions in the palette', async () => {
    const { page } = open();
    await page.keyboard.press('Control+k');
    await page
      .getByRole('combobox')
      .or(page.getByPlaceholder(/Find pages/))
      .first()
      .waitFor();
    await page.keyboard.type('shop-web');
    await page
      .getByRole('option', { name: /shop-web-1/ })
      .first()
      .waitFor();
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'shop-web-1' }).waitFor();
    await page.keyboard.press('Control+1');
  });

  test('follows a log, with colours, and nothing in it becomes markup', async () => {
    const {
      page,
      test: { fake },
    } = open();
    if (fake)
      fake.log = [
        [1, '\x1b[31mred\x1b[0m\n'],
        [2, '<img src=x onerror="window.hacked=1"><b>bold</b>\n'],
      ];
    await page.getByRole('link', { name: 'welcome' }).click();
    await see(page, 'red');
    expect(await page.getByText('red', { exact: true }).getAttribute('class')).toContain('ansi-fg-1');
    await see(page, '<img src=x');
    expect(await page.locator('[role=log] img, [role=log] b').count()).toBe(0);
    expect(await page.evaluate("'hacked' in window")).toBe(false);
    fake?.write('and one more\n');
    await see(page, 'and one more');
    await page.keyboard.press('Escape');
  });

  test('hostile names stay text', async () => {
    const {
      page,
      test: { fake },
    } = open();
    const odd = fake?.add({ name: '<svg onload=alert(1)>', image: '"><script>1</script>' });
    await see(page, '<svg onload=alert(1)>');
    if (fake && odd) {
      fake.containers = fake.containers.filter((one) => one !== odd);
      fake.emit('container', 'destroy', odd.id, odd.name);
    }
  });

  test('says why an image can not be removed', async () => {
    const { page } = open();
    await page.keyboard.press('Control+2');
    await page.getByRole('button', { name: 'Remove: postgres:17' }).click();
    await page.locator('[data-confirm]').click();
    await see(page, /conflict: unable to remove/);
    await page.keyboard.press('Control+1');
  });

  test('is in Chinese at once when that is chosen, and dark when that is', async () => {
    const { page } = open();
    await page.keyboard.press('Control+7');
    await page.getByLabel('Language').click();
    await page.getByRole('option', { name: '简体中文' }).click();
    await page.getByRole('heading', { name: '设置' }).waitFor();
    await page.getByRole('radio', { name: '深色' }).click();
    await vi.waitFor(
      async () => expect(await page.evaluate('document.documentElement.className')).toContain('dark'),
      soon,
    );
    await page.getByRole('radio', { name: '跟随系统' }).click();
    await page.getByLabel('语言').click();
    await page.getByRole('option', { name: 'English' }).click();
    await page.getByRole('heading', { name: 'Settings' }).waitFor();
    await page.keyboard.press('Control+1');
  });

  test('stops the machine after a question, shows how to start it, and comes back', async () => {
    const { page } = open();
    await page.getByRole('contentinfo').getByRole('button', { name: 'Stop' }).click();
    await see(page, 'Stop the machine?');
    await page.locator('[data-confirm]').click();
    await see(page, 'The machine is resting');
    await page.getByRole('main').getByRole('button', { name: 'Start' }).click();
    await see(page, 'shop-web-1');
  });

  test('a failed start says the step, the reason and what to do', async () => {
    const {
      page,
      test: { machine },
    } = open();
    // One that ran is started again by itself.
    machine.set({ kind: 'starting', step: 'qemu', since: Date.now() });
    machine.set({
      kind: 'failed',
      step: 'qemu',
      reason: 'QEMU is not installed.',
      hint: 'apt install qemu',
      log: ['no qemu'],
    });
    await see(page, 'It failed while starting QEMU. QEMU is not installed.');
    await see(page, 'apt install qemu');
    await page.getByText('Last lines of its log').click();
    await see(page, 'no qemu');
    machine.set({ kind: 'running', since: Date.now(), bootMs: 1 });
    await see(page, 'shop-web-1');
  });

  test('asks nothing of anybody but the app, and complains about nothing', () => {
    expect(open().complaints).toEqual([]);
  });
}
