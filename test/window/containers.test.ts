import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { seriousViolations } from './axe.ts';
import { type EngineWindow, engineMissing, openEngineWindow } from './engine.ts';
import { see } from './scenarios.ts';

const skip = engineMissing();
const IMAGE = 'skiff/welcome';

describe.skipIf(skip)(`containers in the window${skip ? `, skipped: ${skip}` : ''}`, () => {
  let open: EngineWindow;
  beforeAll(async () => {
    open = await openEngineWindow();
  });
  afterAll(() => open?.[Symbol.asyncDispose]());

  test('a container that docker runs is shown at once', async () => {
    const { bed, browser } = open;
    await bed.ok('run', '-d', '--name', 'web', IMAGE);
    await see(browser.page, 'web');
    expect(await seriousViolations(browser.page)).toEqual([]);
    expect(browser.complaints).toEqual([]);
  });
});
