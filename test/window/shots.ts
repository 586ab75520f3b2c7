/**
 * Pictures of the window over the real engine.
 *
 *   npm run shots                 the few of the README, as WebP, into docs/screenshots
 *   npm run shots -- DIR [PART]   every page and state (whose name contains PART) in both themes, languages and sizes, as PNG
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { openEngineWindow } from './engine.ts';
import { furnishEngine } from './furnished.ts';
import { emptyShots, openShot, pageShots, type Shot, stateShots } from './shot-list.ts';

const [dir, part = ''] = process.argv.slice(2);
const README = join(import.meta.dirname, '../../docs/screenshots');
/** names as in shot-list.ts; of the first there is a dark one as well */
const FOR_README = ['containers', 'logs', 'build-failed', 'network', 'settings-engine'];

interface Look {
  theme: 'light' | 'dark';
  language: 'en' | 'zh-CN';
  width: number;
  height: number;
}

/** Each theme, language and size with each other once: every page in four pictures. */
const REVIEW: Look[] = [
  { theme: 'light', language: 'en', width: 1600, height: 1000 },
  { theme: 'light', language: 'zh-CN', width: 1000, height: 640 },
  { theme: 'dark', language: 'en', width: 1000, height: 640 },
  { theme: 'dark', language: 'zh-CN', width: 1600, height: 1000 },
];

await using window = await openEngineWindow();
window.browser.page.setDefaultTimeout(8_000);
if (dir) {
  await review(emptyShots, dir);
  await furnishEngine(window.bed);
  await review(await pageShots(window), dir);
  await review(stateShots(window), dir);
} else {
  await furnishEngine(window.bed);
  await readme(await pageShots(window));
}

async function review(shots: Shot[], into: string): Promise<void> {
  const wanted = shots.filter(({ name }) => name.includes(part));
  if (wanted.length === 0) return;
  mkdirSync(into, { recursive: true });
  for (const look of REVIEW) {
    await wear(look);
    for (const shot of wanted) {
      const path = join(into, `${shot.name}-${look.theme}-${look.language}-${look.width}.png`);
      await show(shot);
      await window.browser.page.screenshot({ path });
    }
  }
}

async function readme(shots: Shot[]): Promise<void> {
  mkdirSync(README, { recursive: true });
  const session = await window.browser.context.newCDPSession(window.browser.page);
  for (const theme of ['light', 'dark'] as const) {
    await wear({ theme, language: 'en', width: 1280, height: 800 });
    for (const name of theme === 'light' ? FOR_README : FOR_README.slice(0, 1)) {
      const shot = shots.find((one) => one.name === name);
      if (!shot) throw new Error(`there is no picture ${name}`);
      await show(shot);
      const { data } = await session.send('Page.captureScreenshot', { format: 'webp', quality: 85 });
      const file = `${name}${theme === 'dark' ? '-dark' : ''}.webp`;
      writeFileSync(join(README, file), Buffer.from(data, 'base64'));
    }
  }
}

async function wear({ theme, language, width, height }: Look): Promise<void> {
  const { page } = window.browser;
  await window.app.app.settings.set({ theme, language });
  await page.setViewportSize({ width, height });
  await page.reload();
  await page.locator('[data-light=engine]').waitFor();
}

async function show(shot: Shot): Promise<void> {
  const { page } = window.browser;
  await openShot(page, shot).catch((error: unknown) => console.log(`${shot.name}: ${String(error).slice(0, 300)}`));
  await settled(page);
}

/** Animations have ended and nothing loads any more. */
async function settled(page: Page): Promise<void> {
  await page.mouse.move(0, 0);
  await page.waitForTimeout(350);
  await page
    .locator('.animate-spin')
    .first()
    .waitFor({ state: 'detached', timeout: 3_000 })
    .catch(() => {});
}
