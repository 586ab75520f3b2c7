import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { Web } from '../build/web.ts';
import { seriousViolations } from './axe.ts';
import { type EngineWindow, engineMissing, openEngineWindow } from './engine.ts';

const skip = engineMissing();
const soon = { timeout: 20_000, interval: 100 };

describe.skipIf(skip)(
  `images, volumes, networks and builds${skip ? `, skipped: ${skip}` : ''}`,
  { timeout: 60_000 },
  () => {
    let window: EngineWindow;
    let folder: string;
    const page = () => window.browser.page;
    const go = async (name: string) => {
      await page().getByRole('navigation').getByRole('link', { name, exact: false }).click();
      await page().getByRole('heading', { name, exact: true }).waitFor();
    };
    const field = (label: string) => page().getByRole('dialog').getByLabel(label, { exact: true });
    const press = (name: string) => page().getByRole('dialog').getByRole('button', { name, exact: true }).click();
    const menu = async (of: string, item: string) => {
      await page()
        .getByRole('button', { name: `More actions of ${of}` })
        .click();
      await page().getByRole('menuitem', { name: item }).click();
    };

    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), 'skiff-nouns-'));
      window = await openEngineWindow({ width: 1300, height: 800 });
      page().setDefaultTimeout(20_000);
    }, 120_000);
    afterAll(async () => {
      await window?.[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    });

    test('an image gets another name, is saved, loses the name, and is loaded again', async () => {
      await go('Images');
      await menu('skiff/welcome:latest', 'Tag');
      await field('New name').fill('mine:1');
      await press('Tag');
      await page().getByRole('row', { name: 'mine:1' }).waitFor();
      const file = join(folder, 'mine.tar');
      await menu('mine:1', 'Save to a file');
      await field('File to write').fill(file);
      await press('Save to a file');
      await vi.waitFor(() => expect(existsSync(file)).toBe(true), soon);
      await page().getByRole('button', { name: 'Remove: mine:1' }).click();
      await page().locator('[data-confirm]').click();
      await page().getByRole('row', { name: 'mine:1' }).waitFor({ state: 'detached' });
      await page().getByRole('button', { name: 'Load', exact: true }).click();
      await field('Archive').fill(file);
      await press('Load');
      await page().getByRole('row', { name: 'mine:1' }).waitFor();
    });

    test('a volume is made, written to, cloned and removed', async () => {
      await go('Volumes');
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
      await page().getByRole('row', { name: 'notes' }).waitFor();
      await page().getByRole('link', { name: 'notes', exact: true }).click();
      await page().getByRole('button', { name: /^sub/ }).click();
      await page()
        .getByRole('button', { name: /^a\.txt/ })
        .click();
      await page().getByRole('textbox', { name: 'sub/a.txt' }).fill('changed\n');
      await page().getByRole('button', { name: 'Save', exact: true }).click();
      await page().getByText('sub/a.txt is saved.').first().waitFor();
      expect(await window.bed.ok('run', '--rm', '-v', 'notes:/n', 'skiff/welcome', 'cat', '/n/sub/a.txt')).toBe(
        'changed',
      );
      await page().getByRole('button', { name: 'Clone', exact: true }).click();
      await field('Name of the copy').fill('notes-2');
      await press('Clone');
      await vi.waitFor(
        async () =>
          expect(
            await window.bed.ok(
              'run',
              '--rm',
              '-v',
              'notes-2:/n',
              'skiff/welcome',
              'sh',
              '-c',
              'cat /n/sub/a.txt || true',
            ),
          ).toBe('changed'),
        soon,
      );
      await go('Volumes');
      await page().getByRole('button', { name: 'Remove: notes-2' }).click();
      await page().locator('[data-confirm]').click();
      await page().getByRole('row', { name: 'notes-2' }).waitFor({ state: 'detached' });
    });

    test('a volume is exported, and imported into another', async () => {
      const file = join(folder, 'notes.tar');
      await go('Volumes');
      await page().getByRole('link', { name: 'notes', exact: true }).click();
      await page().getByRole('button', { name: 'Export', exact: true }).click();
      await field('Archive to write').fill(file);
      await press('Export');
      await vi.waitFor(() => expect(existsSync(file)).toBe(true), soon);
      await page().getByRole('button', { name: 'Import', exact: true }).click();
      await field('Archive').fill(file);
      await field('Into the volume').fill('notes-3');
      await press('Import');
      const read = ['run', '--rm', '-v', 'notes-3:/n', 'skiff/welcome', 'sh', '-c', 'cat /n/sub/a.txt || true'];
      await vi.waitFor(async () => expect(await window.bed.ok(...read)).toBe('changed'), soon);
    });

    test('a network is made, a container connected to it and disconnected', async () => {
      await window.bed.ok('run', '-d', '--name', 'web', 'skiff/welcome');
      await go('Networks');
      await page().getByRole('button', { name: 'Create', exact: true }).click();
      await field('Name').fill('back');
      await field('Subnet').fill('10.77.0.0/24');
      await press('Create');
      await page().getByRole('link', { name: 'back', exact: true }).click();
      await page().getByRole('button', { name: 'Connect', exact: true }).click();
      await page().getByRole('dialog').getByText('Choose a container').click();
      await page().getByRole('option', { name: 'web' }).click();
      await field('Further names').fill('api');
      await press('Connect');
      await page().getByText('10.77.0.2').first().waitFor();
      await page().getByRole('button', { name: 'Disconnect: web' }).click();
      await page().locator('[data-confirm]').click();
      await page().getByText('No container is on this network yet.').waitFor();
    });

    test('an image is pushed to a registry, and pulled again when it is gone here', async () => {
      await using web = new Web();
      const name = `${await web.startRegistry(window.bed, 5000)}/app:1`;
      const pushed = join(web.folder, 'registry-5000/data/docker/registry/v2/repositories/app/_manifests/tags/1');
      await window.bed.ok('tag', 'skiff/welcome', name);
      await go('Images');
      await menu(name, 'Push');
      await press('Push');
      await vi.waitFor(() => expect(existsSync(pushed)).toBe(true), soon);
      await page()
        .getByRole('button', { name: `Remove: ${name}` })
        .click();
      await page().locator('[data-confirm]').click();
      await page().getByRole('row', { name }).waitFor({ state: 'detached' });
      await page().getByRole('button', { name: 'Pull', exact: true }).click();
      await field('Image').fill(name);
      await press('Pull');
      await page().getByRole('row', { name }).waitFor();
      await window.bed.ok('rmi', name);
    });

    test('images that nothing uses are pruned after a preview of what goes', async () => {
      await go('Images');
      // An image of its own, so that there is something to prune.
      const made = await window.bed.ok('create', 'skiff/welcome', 'true');
      await window.bed.ok('commit', '-m', 'another', made, 'unused:1');
      await window.bed.ok('rm', made);
      await page().getByRole('row', { name: 'unused:1' }).waitFor();
      await page().getByRole('button', { name: 'Prune', exact: true }).click();
      await page().getByRole('dialog').getByText('No image would go.').waitFor();
      await page().getByRole('dialog').getByRole('switch').click();
      await page().getByRole('dialog').getByRole('listitem').filter({ hasText: 'unused:1' }).waitFor();
      await press('Prune');
      await page().getByRole('row', { name: 'unused:1' }).waitFor({ state: 'detached' });
    });

    test('the palette finds volumes, networks, images, settings and what can be done with them', async () => {
      const find = async (typed: string, option: string | RegExp) => {
        await page().keyboard.press('Control+k');
        await page()
          .getByPlaceholder(/Find pages/)
          .fill(typed);
        await page().getByRole('option', { name: option }).first().click();
        await page().getByRole('dialog').waitFor({ state: 'detached' });
      };
      const heading = (name: string) => page().getByRole('heading', { name, exact: true }).waitFor();
      await find('notes', /^notes(?!-)/);
      await heading('notes');
      await find('back', /^back/);
      await heading('back');
      await find('skiff/welcome', /^skiff\/welcome:latest/);
      await page().waitForURL(/#\/images\/sha256/);
      await find('Data disk', /^Data disk/);
      await heading('Settings');
    });

    test('a build that fails shows its error beside its instruction', async () => {
      writeFileSync(join(folder, 'Dockerfile'), 'FROM skiff/welcome\nENV A=1\nRUN echo before && false\n');
      await go('Builds');
      await page().getByRole('button', { name: 'Build', exact: true }).click();
      await field('Folder').fill(folder);
      await field('Names').fill('broken:1');
      await press('Build');
      await page().getByRole('link', { name: 'broken:1' }).click();
      await page().getByText('The build ended here').waitFor();
      await go('Activity');
      await page().locator('[data-task=failed]').first().waitFor();
    });

    test('no page has a serious fault of accessibility, in either theme', async () => {
      const origin = new URL(page().url()).origin;
      const image = await window.bed.ok('image', 'inspect', '-f', '{{.Id}}', 'skiff/welcome');
      const network = await window.bed.ok('network', 'inspect', '-f', '{{.Id}}', 'back');
      const found: string[] = [];
      for (const colorScheme of ['light', 'dark'] as const) {
        await page().emulateMedia({ colorScheme });
        for (const path of [
          'images',
          `images/${image}`,
          'volumes',
          'volumes/notes',
          'networks',
          `networks/${network}`,
          'builds',
          'activity',
        ]) {
          await page().goto(`${origin}/#/${path}`);
          await page().locator('main table, main [role=table], main .panel, main section').first().waitFor();
          for (const fault of await seriousViolations(page())) found.push(`${path} (${colorScheme}): ${fault}`);
        }
      }
      expect(found).toEqual([]);
    });

    test('complains about nothing', () => expect(window.browser.complaints).toEqual([]));
  },
);
