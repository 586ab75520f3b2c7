import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { seriousViolations } from './axe.ts';
import { type EngineWindow, engineMissing, openEngineWindow } from './engine.ts';
import { furnishEngine } from './furnished.ts';
import { emptyShots, openShot, pageShots, type Shot, stateShots } from './shot-list.ts';

const skip = engineMissing();

/** The same pages, dialogs and states that the pictures are of. */
describe.skipIf(skip)(`every page and state${skip ? `, skipped: ${skip}` : ''}`, { timeout: 300_000 }, () => {
  let window: EngineWindow;
  beforeAll(async () => {
    window = await openEngineWindow({ width: 1000, height: 640 });
    window.browser.page.setDefaultTimeout(20_000);
  }, 180_000);
  afterAll(() => window?.[Symbol.asyncDispose]());

  async function faults(shots: Shot[]): Promise<string[]> {
    const { page } = window.browser;
    const found: string[] = [];
    for (const shot of shots) {
      await openShot(page, shot);
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
        await page.locator(colorScheme === 'dark' ? 'html.dark' : 'html:not(.dark)').waitFor();
        for (const fault of await seriousViolations(page, 'body')) found.push(`${shot.name}, ${colorScheme}: ${fault}`);
      }
    }
    return found;
  }

  test('has no serious fault of accessibility while the engine is empty', async () => {
    expect(await faults(emptyShots)).toEqual([]);
  });

  test('has none with a week of work in the engine', async () => {
    await furnishEngine(window.bed);
    expect(await faults(await pageShots(window))).toEqual([]);
  });

  test('has none while the machine is stopped, starts or has failed', async () => {
    expect(await faults(stateShots(window))).toEqual([]);
  });

  test('complains about nothing', () => expect(window.browser.complaints).toEqual([]));
});
