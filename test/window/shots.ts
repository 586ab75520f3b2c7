/** Screenshots of every page and state: `node test/window/shots.ts DIR`. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { openTestApp } from './app.ts';
import { openBrowser } from './browser.ts';

const dir = process.argv[2] ?? 'dist/shots';
mkdirSync(dir, { recursive: true });
const test = await openTestApp(undefined);
const { fake, machine } = test;
if (!fake) throw new Error('screenshots are taken of made-up containers');
const hour = 3_600;
const now = Date.now() / 1000;
const make = (name: string, image: string, more: object = {}) =>
  fake.add({ name, image, createdAt: now - 5 * hour, ...more });
make('shop-web-1', 'shop/web:2.4', {
  project: 'shop',
  service: 'web',
  ports: [
    [8080, 80],
    [8443, 443],
  ],
  statusText: 'Up 5 hours (healthy)',
});
make('shop-api-1', 'shop/api:2.4', {
  project: 'shop',
  service: 'api',
  ports: [[3000, 3000]],
  statusText: 'Up 5 hours (unhealthy)',
});
make('shop-db-1', 'postgres:17-alpine', { project: 'shop', service: 'db', statusText: 'Up 5 hours' });
make('blog-ghost-1', 'ghost:5', { project: 'blog', service: 'ghost', running: false, createdAt: now - 90 * hour });
make('welcome', 'skiff/welcome', { ports: [[8081, 80]], createdAt: now - 240 });
make('tmp-redis', 'redis:8', { running: false, createdAt: now - 30 * hour, statusText: 'Exited (137) 3 hours ago' });
for (const [tag, size, age] of [
  ['shop/web:2.4', 182e6, hour],
  ['shop/api:2.4', 240e6, hour],
  ['postgres:17-alpine', 278e6, 400 * hour],
  ['ghost:5', 575e6, 900 * hour],
  ['skiff/welcome:latest', 4.2e6, 2400 * hour],
  ['redis:8', 117e6, 300 * hour],
  ['', 96e6, 20 * hour],
] as const) {
  fake.addImage(tag, size, age);
}
fake.log = [
  [1, '\x1b[36m2026-11-24T09:12:01Z\x1b[0m \x1b[32mINFO\x1b[0m  listening on \x1b[1m:8080\x1b[0m\n'],
  ...Array.from({ length: 40 }, (_, n): [1 | 2, string] =>
    n % 9 === 5
      ? [
          2,
          `\x1b[36m2026-11-24T09:12:${10 + n}Z\x1b[0m \x1b[33mWARN\x1b[0m  slow query (${n * 31} ms): SELECT * FROM orders WHERE id = ${n}\n`,
        ]
      : [
          1,
          `\x1b[36m2026-11-24T09:12:${10 + n}Z\x1b[0m \x1b[32mINFO\x1b[0m  GET /products/${n} \x1b[35m200\x1b[0m ${n % 7} ms\n`,
        ],
  ),
  [2, '\x1b[36m2026-11-24T09:13:04Z\x1b[0m \x1b[31;1mERROR\x1b[0m connection to redis lost, retrying <b>in 1 s</b>\n'],
];

const only = process.argv[3];
for (const dark of [false, true]) {
  const browser = await openBrowser({ dark, width: 1280, height: 800 });
  const { page } = browser;
  const shot = async (name: string) => {
    if (!only || name.includes(only))
      await page.screenshot({ path: join(dir, `${name}-${dark ? 'dark' : 'light'}.png`) });
  };
  await page.goto(await test.link());
  await page.getByText('shop-web-1').first().waitFor();
  await page.waitForTimeout(400);
  await shot('containers');
  await page.getByText('shop-web-1').first().click();
  await page.getByText('listening on').waitFor();
  await page.waitForTimeout(300);
  await shot('logs');
  await page.goto(`${new URL(page.url()).origin}/#/images`);
  await page.getByText('postgres').first().waitFor();
  await shot('images');
  await page.goto(`${new URL(page.url()).origin}/#/settings`);
  await page.waitForTimeout(300);
  await shot('settings');
  await page.goto(`${new URL(page.url()).origin}/#/troubleshoot`);
  await page.locator('[data-check=socket]').waitFor();
  await shot('troubleshoot');
  await page.goto(`${new URL(page.url()).origin}/#/containers`);
  await page.keyboard.press('Control+k');
  await page.waitForTimeout(500);
  await shot('palette');
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'More actions of welcome' }).click();
  await page.getByRole('menuitem', { name: 'Remove' }).click();
  await page.waitForTimeout(500);
  await shot('confirm');
  await page.keyboard.press('Escape');
  machine.set({ kind: 'stopped' });
  await page.waitForTimeout(400);
  await shot('stopped');
  machine.set({ kind: 'starting', step: 'kernel', since: Date.now() });
  await page.waitForTimeout(400);
  await shot('starting');
  machine.set({
    kind: 'failed',
    step: 'qemu',
    reason: 'QEMU ended at once: Could not access KVM kernel module',
    hint: 'Add yourself to the group kvm: sudo usermod -aG kvm $USER',
    log: ['qemu-system-x86_64: Could not access KVM kernel module: Permission denied'],
  });
  await page.waitForTimeout(400);
  await shot('failed');
  machine.set({ kind: 'running', since: Date.now(), bootMs: 1 });
  for (const complaint of browser.complaints) console.log('complaint:', complaint);
  await browser.close();
}
await test.close();
