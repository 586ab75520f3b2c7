import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { sshdMissing } from '../tunnel/sshd.ts';
import { openTestApp, type TestApp } from './app.ts';
import { browserMissing, openBrowser, type TestBrowser } from './browser.ts';
import { built } from './built.ts';
import { furnish, see, windowScenarios } from './scenarios.ts';

const skip = browserMissing() ?? sshdMissing();

describe.skipIf(skip)(`the window in a browser${skip ? `, skipped: ${skip}` : ''}`, { timeout: 30_000 }, () => {
  let app: TestApp;
  let browser: TestBrowser;
  beforeAll(async () => {
    await built();
    app = await openTestApp();
    furnish(app);
    browser = await openBrowser();
    await browser.page.goto(await app.link());
    await see(browser.page, 'shop-web-1');
  }, 90_000);
  afterAll(async () => {
    await browser?.close();
    await app?.close();
  });

  windowScenarios(() => ({ test: app, page: browser.page, complaints: browser.complaints }));

  test('keeps 1,000 containers light: only the rows in sight are in the page', async () => {
    const { page } = browser;
    const before = app.fake?.containers ?? [];
    if (!app.fake) return;
    app.fake.containers = [...before];
    for (let n = 0; n < 1_000; n++) app.fake.add({ name: `many-${n}` });
    await page.getByRole('navigation').getByText('1003').waitFor();
    expect(await page.locator('[data-row]').count()).toBeLessThan(60);
    app.fake.containers = before;
    app.fake.emit('container', 'destroy', 'x', 'x');
    await see(page, 'shop-web-1');
  });

  test('has no token left in its address', () => {
    expect(browser.page.url()).not.toContain('token');
  });

  test('a link is good once', async () => {
    const link = await app.link();
    const first = await fetch(link, { redirect: 'manual' });
    expect(first.status).toBe(303);
    expect(first.headers.get('set-cookie')).toMatch(/HttpOnly; SameSite=Strict/);
    expect((await fetch(link, { redirect: 'manual' })).status).toBe(401);
  });

  test('gives nothing without its cookie', async () => {
    const { origin } = new URL(await app.link());
    expect((await fetch(`${origin}/`)).status).toBe(401);
    expect((await fetch(`${origin}/index.html`)).status).toBe(401);
  });

  test('answers only to its own name, against DNS rebinding', async () => {
    const { request } = await import('node:http');
    const { port } = new URL(await app.link());
    const status = await new Promise((done) => {
      request({ host: '127.0.0.1', port, path: '/', headers: { Host: `evil.example:${port}` } }, (response) => {
        response.resume();
        done(response.statusCode);
      }).end();
    });
    expect(status).toBe(421);
  });

  test('speaks to no page of another origin, and to none without the cookie', async () => {
    const link = await app.link();
    const { origin, host } = new URL(link);
    const cookie = (await fetch(link, { redirect: 'manual' })).headers.get('set-cookie')?.split(';')[0] ?? '';
    const opens = (headers: Record<string, string>) =>
      new Promise<boolean>((done) => {
        const socket = new WebSocket(`ws://${host}/contract`, { headers });
        socket.on('open', () => {
          socket.close();
          done(true);
        });
        socket.on('error', () => done(false));
      });
    expect(await opens({ Origin: origin, Cookie: cookie })).toBe(true);
    expect(await opens({ Origin: 'http://evil.example', Cookie: cookie })).toBe(false);
    expect(await opens({ Origin: origin })).toBe(false);
    expect(await opens({ Cookie: cookie })).toBe(false);
  });

  test('does not leave its folder', async () => {
    const link = await app.link();
    const cookie = (await fetch(link, { redirect: 'manual' })).headers.get('set-cookie')?.split(';')[0] ?? '';
    for (const path of ['/..%2f..%2fpackage.json', '/%2e%2e/package.json', '/assets/..%5c..%5cpackage.json']) {
      expect((await fetch(new URL(path, link), { headers: { Cookie: cookie } })).status).toBe(404);
    }
  });

  test('a policy forbids scripts from elsewhere', async () => {
    const link = await app.link();
    const cookie = (await fetch(link, { redirect: 'manual' })).headers.get('set-cookie')?.split(';')[0] ?? '';
    const policy = (await fetch(new URL('/', link), { headers: { Cookie: cookie } })).headers.get(
      'content-security-policy',
    );
    expect(policy).toContain("default-src 'none'; script-src 'self'");
  });
});
