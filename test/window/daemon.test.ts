import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import tls from 'node:tls';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { seriousViolations } from './axe.ts';
import { type EngineWindow, engineMissing, openEngineWindow } from './engine.ts';

const skip = engineMissing();
const LIMIT = 60_000;
const soon = { timeout: 20_000, interval: 50 };

describe.skipIf(skip)(
  `the engine's configuration in the window${skip ? `, skipped: ${skip}` : ''}`,
  { timeout: 120_000 },
  () => {
    let open: EngineWindow;
    let page: Page;
    const file = async () => (await open.bed.docker(['info', '-f', '{{json .}}'])).stdout;
    const info = async () => JSON.parse((await file()) || '{}') as { Debug?: boolean; Labels?: string[] };
    const editor = () => page.locator('.cm-content');
    const button = (name: string) => page.getByRole('button', { name, exact: true });
    async function write(text: string): Promise<void> {
      await editor().click();
      await page.keyboard.press('Control+a');
      await page.keyboard.insertText(text);
    }
    const effectOf = (key: string) =>
      page.getByRole('list', { name: 'What changes' }).getByRole('listitem').filter({ hasText: key });

    beforeAll(async () => {
      open = await openEngineWindow({ width: 1280, height: 900 });
      page = open.browser.page;
      page.setDefaultTimeout(LIMIT);
      await page.goto(`${new URL(page.url()).origin}/#/settings`);
      await editor().waitFor();
    }, 120_000);
    afterAll(() => open?.[Symbol.asyncDispose]());

    test('what is wrong is said where it stands, and can not be saved', async () => {
      await write('{ "debug": "loud", "no-such-key": 1 }');
      await page.getByText('debug: expected true or false, not "loud"').first().waitFor();
      await page.getByText('no-such-key: the engine has no such key').first().waitFor();
      await vi.waitFor(async () => expect(await page.locator('.cm-lintRange-error').count()).toBe(2), soon);
      expect(await page.getByRole('button', { name: /^Save(?: and restart the engine)?$/ }).isDisabled()).toBe(true);
    });

    test('keys and values are completed', async () => {
      await write('{ ');
      await page.keyboard.type('"live-r');
      await page.getByRole('option', { name: '"live-restore"' }).click();
      await page.keyboard.type('fal');
      await page.getByRole('option', { name: 'false' }).click();
      await page.keyboard.press('End');
      await vi.waitFor(async () => expect(await editor().textContent()).toMatch(/"live-restore": false/), soon);
    });

    test('a key that the engine takes over at once is live, and leaves it running', async () => {
      const { pid } = open.bed;
      await write('{ "debug": true }');
      await effectOf('debug').locator('[data-effect=live]').waitFor();
      await button('Save').click();
      await page.getByText('Saved, and the engine uses it.').waitFor();
      await vi.waitFor(async () => expect((await info()).Debug).toBe(true), { timeout: LIMIT });
      expect(open.bed.pid).toBe(pid);
    });

    test('one that needs a restart says so before it is saved, and the engine restarts with it', async () => {
      const { pid } = open.bed;
      await write('{ "debug": true, "init": true, "labels": ["team=web"] }');
      await effectOf('init').locator('[data-effect=restarts-engine]').waitFor();
      await effectOf('labels').locator('[data-effect=live]').waitFor();
      expect(await seriousViolations(page)).toEqual([]);
      await button('Save and restart the engine').click();
      await page.getByText('Saved, and the engine uses it.').waitFor();
      expect(open.bed.pid).not.toBe(pid);
      expect((await info()).Labels).toEqual(['team=web']);
    });

    test('the last file that worked is put back when the engine does not start with a new one', async () => {
      // It is a good address, but none of this machine's.
      await write('{ "hosts": ["tcp://198.51.100.7:2375"], "allow-insecure-tcp": true }');
      await button('Save and restart the engine').click();
      await page.getByText('The last one that worked was put back.').waitFor();
      expect((await info()).Labels).toEqual(['team=web']);
      await button('Discard').click();
      await vi.waitFor(async () => expect(await editor().textContent()).toMatch(/labels/), soon);
      await button('Show the refused one').click();
      await vi.waitFor(async () => expect(await editor().textContent()).toMatch(/198[.]51[.]100[.]7/), soon);
    });

    test('proxies are saved into the configuration, and taken over from this computer', async () => {
      await button('Discard').click();
      process.env.http_proxy = 'http://127.0.0.1:3128';
      await button('Take over from this computer').click();
      delete process.env.http_proxy;
      // Of the machine, this computer's loopback is the gateway.
      await vi.waitFor(
        async () => expect(await page.getByLabel('HTTP proxy').inputValue()).toBe('http://10.0.2.2:3128'),
        soon,
      );
      await page.getByLabel('Without a proxy').fill('localhost');
      await button('Save proxies').click();
      await vi.waitFor(
        async () => expect(await info()).toMatchObject({ HttpProxy: 'http://10.0.2.2:3128', NoProxy: 'localhost' }),
        {
          timeout: LIMIT,
        },
      );
      await vi.waitFor(async () => expect(await button('Save proxies').isDisabled()).toBe(true), { timeout: LIMIT });
    });

    test('certificate authorities are given to the machine, and nothing else is', async () => {
      const { pid } = open.bed;
      const field = page.getByRole('textbox', { name: 'Further certificate authorities' });
      await field.fill('-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----');
      await button('Save certificates').click();
      await page.getByText('There is no certificate (PEM) in this text.').waitFor();
      await button('Look on this computer').click();
      await field.fill(tls.rootCertificates[0] ?? '');
      await page.getByText('1 certificate.').waitFor();
      await button('Save certificates').click();
      await vi.waitFor(() => expect(open.bed.pid).not.toBe(pid), { timeout: LIMIT });
      await vi.waitFor(async () => expect(await button('Save certificates').isDisabled()).toBe(true), {
        timeout: LIMIT,
      });
      expect(readFileSync(join(open.bed.shared, 'extra-ca.pem'), 'utf8').trim()).toBe(tls.rootCertificates[0]);
    });

    test('complains about nothing', () => expect(open.browser.complaints).toEqual([]));
  },
);
