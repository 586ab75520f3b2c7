/** Draws the icons from the logo: `node build/make-icons.ts`. Its results are committed; Chromium is needed only here. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const here = import.meta.dirname;
const logo = readFileSync(join(here, '..', 'renderer', 'public', 'skiff.svg'), 'utf8');

/** The boat alone; `badge` is the dot that tells the state, missing when all is well. */
function boat(colour: string, badge: string | undefined, hollow: boolean): string {
  const paint = hollow ? `fill="none" stroke="${colour}" stroke-width="4" stroke-linejoin="round"` : `fill="${colour}"`;
  const dot = badge ? `<circle cx="50" cy="14" r="11" fill="${badge}"/>` : '';
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64"><g ${paint}><path d="M31 5v33H11z"/><path d="M37 16l16 22H37z"/><path d="M4 44h56l-7 11a5 5 0 0 1-4 2H15a5 5 0 0 1-4-2z"/></g>${dot}</svg>`;
}

const pictures: [file: string, svg: string, size: number][] = [
  ['icon.png', logo, 512],
  ['tray/running.png', boat('#14b8a6', undefined, false), 16],
  ['tray/stopped.png', boat('#94a3b8', undefined, true), 16],
  ['tray/busy.png', boat('#14b8a6', '#f59e0b', false), 16],
  ['tray/failed.png', boat('#94a3b8', '#f43f5e', false), 16],
  ['tray/runningTemplate.png', boat('#000', undefined, false), 16],
  ['tray/stoppedTemplate.png', boat('#000', undefined, true), 16],
  ['tray/busyTemplate.png', boat('#000', '#000', true), 16],
  ['tray/failedTemplate.png', boat('#000', '#000', false), 16],
];

const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
const page = await browser.newPage();
async function draw(file: string, svg: string, size: number): Promise<void> {
  await page.setViewportSize({ width: size, height: size });
  await page.setContent(`<style>*{margin:0}svg{display:block;width:${size}px;height:${size}px}</style>${svg}`);
  writeFileSync(join(here, file), await page.screenshot({ omitBackground: true }));
}
for (const [file, svg, size] of pictures) {
  await draw(file, svg, size);
  if (file.startsWith('tray/')) await draw(file.replace('.png', '@2x.png'), svg, size * 2);
}
await browser.close();
