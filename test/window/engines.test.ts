import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { dockerCli } from '../../scripts/setup.mjs';
import { Testbed } from '../engine/testbed.ts';
import { Sshd } from '../tunnel/sshd.ts';
import { seriousViolations } from './axe.ts';
import { type EngineWindow, engineMissing, openEngineWindow } from './engine.ts';

const skip = engineMissing();
const soon = { timeout: 30_000, interval: 100 };

describe.skipIf(skip)(`a window for several engines${skip ? `, skipped: ${skip}` : ''}`, { timeout: 90_000 }, () => {
  let window: EngineWindow;
  let far: Testbed;
  let sshd: Sshd;
  let folder: string;
  const page = () => window.browser.page;
  const go = async (name: string) => {
    await page().getByRole('navigation').getByRole('link', { name, exact: false }).click();
    await page().getByRole('heading', { name, exact: true }).waitFor();
  };
  const switcher = () => page().locator('[data-engine-shown]');
  const look = async (name: string) => {
    await switcher().click();
    await page().getByRole('menuitemcheckbox', { name, exact: true }).click();
    await page()
      .getByRole('button', { name: `Engine: ${name}. Choose another.` })
      .waitFor();
  };
  const row = (name: string) => page().getByRole('link', { name, exact: true });
  const field = (label: string) => page().getByRole('dialog').getByLabel(label, { exact: true });
  const press = (name: string) => page().getByRole('dialog').getByRole('button', { name, exact: true }).click();
  const run = (bed: Testbed, name: string, ...options: string[]) =>
    bed.ok('run', '-d', '--name', name, ...options, 'skiff/welcome', 'sleep', '3600');

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'skiff-far-'));
    far = new Testbed();
    await far.start();
    const home = join(folder, 'home');
    mkdirSync(home);
    const docker = dockerCli() ?? 'docker';
    const path = isAbsolute(docker) ? `${dirname(docker)}:${process.env.PATH}` : process.env.PATH;
    sshd = new Sshd(join(folder, 'sshd'), [`SetEnv HOME=${home} DOCKER_HOST=unix://${far.socket} PATH=${path}`]);
    await sshd.start();
    window = await openEngineWindow({ width: 1300, height: 800 });
    page().setDefaultTimeout(20_000);
    await run(window.bed, 'near-1');
    await window.bed.ok('volume', 'create', 'data');
    await run(far, 'far-1', '-p', '8099:80');
    await far.ok('volume', 'create', 'data');
    await far.ok('volume', 'create', 'data-2');
  }, 180_000);
  afterAll(async () => {
    await window?.[Symbol.asyncDispose]();
    await sshd?.stop();
    const left = (await far?.docker(['ps', '-aq']))?.stdout.split('\n').filter(Boolean) ?? [];
    if (left.length > 0) await far.docker(['rm', '-f', ...left]);
    await far?.[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  test('begins with its own engine', async () => {
    await row('near-1').waitFor();
    await page().getByRole('button', { name: 'Engine: Skiff. Choose another.' }).waitFor();
  });

  test('adds an engine behind SSH, once its host is trusted', async () => {
    const { port } = sshd.endpoint('');
    await switcher().click();
    await page().getByRole('menuitem', { name: 'Manage engines …' }).click();
    await page().getByRole('button', { name: 'Add an engine' }).click();
    await field('Name').fill('far away');
    await field('User').fill(userInfo().username);
    await field('Host').fill('127.0.0.1');
    await field('Port').fill(String(port));
    await field('Key file').fill(join(folder, 'sshd', 'user'));
    await press('Test the connection');
    await page()
      .getByRole('dialog')
      .getByText(/has the fingerprint SHA256:/)
      .waitFor();
    await press('Trust this host');
    await page().locator('[data-tested]').waitFor();
    await press('Save');
    await page().getByRole('dialog').waitFor({ state: 'detached' });
    await page().getByText(`ssh://${userInfo().username}@127.0.0.1:${port}`).waitFor();
  });

  test('shows the other engine’s containers and none of its own, with ports at that engine’s host', async () => {
    await go('Containers');
    await look('far away');
    await row('far-1').waitFor();
    expect(await row('near-1').count()).toBe(0);
    const link = page().getByRole('link', { name: /Open port 8099/ });
    expect(await link.getAttribute('href')).toBe('http://127.0.0.1:8099');
  });

  test('does there what is asked for, and nothing at home', async () => {
    await page().getByRole('button', { name: 'Stop: far-1' }).click();
    await page().getByRole('button', { name: 'Start: far-1' }).waitFor();
    expect(await far.ok('inspect', '-f', '{{.State.Running}}', 'far-1')).toBe('false');
    expect(await window.bed.ok('inspect', '-f', '{{.State.Running}}', 'near-1')).toBe('true');
    await page().getByRole('button', { name: 'Start: far-1' }).click();
    await page().getByRole('button', { name: 'Stop: far-1' }).waitFor();
    await go('Volumes');
    await page().getByRole('button', { name: 'Remove: data', exact: true }).click();
    await page().locator('[data-confirm]').click();
    await page()
      .getByRole('row', { name: /^data / })
      .waitFor({ state: 'detached' });
    expect(await far.ok('volume', 'ls', '-q')).toBe('data-2');
    expect(await window.bed.ok('volume', 'ls', '-q')).toBe('data');
  });

  test('hears nothing of its own engine meanwhile', async () => {
    await go('Activity');
    await window.bed.ok('volume', 'create', 'whisper-near');
    await far.ok('volume', 'create', 'whisper-far');
    await page().locator('[data-event]').filter({ hasText: 'whisper-far' }).waitFor();
    expect(await page().locator('[data-event]').filter({ hasText: /near/ }).count()).toBe(0);
    await go('Volumes');
    await page()
      .getByRole('row', { name: /whisper-far/ })
      .waitFor();
    expect(
      await page()
        .getByRole('row', { name: /whisper-near/ })
        .count(),
    ).toBe(0);
  });

  test('says which engine a task is for', async () => {
    await go('Images');
    await page().getByRole('button', { name: 'More actions of skiff/welcome:latest' }).click();
    await page().getByRole('menuitem', { name: 'Save to a file' }).click();
    await field('File to write').fill(join(folder, 'far.tar'));
    await press('Save to a file');
    await go('Activity');
    await page().locator('[data-task=done] [data-engine]').getByText('on far away').waitFor();
  });

  test('a terminal and the files of a container are there', async () => {
    await go('Containers');
    await row('far-1').click();
    await page().getByRole('tab', { name: 'Terminal' }).click();
    // What is typed before there is a prompt is typed to nobody.
    await vi.waitFor(async () => expect(await page().locator('.xterm-rows').textContent()).toContain('#'), soon);
    await page().locator('.xterm').click();
    await page().keyboard.type('echo at-$((40 + 2)) >/tmp/typed\n');
    const typed = async () => (await far.docker(['exec', 'far-1', 'cat', '/tmp/typed'])).stdout.trim();
    await vi.waitFor(async () => expect(await typed()).toBe('at-42'), soon);
    await page().getByRole('tab', { name: 'Files' }).click();
    await page().getByRole('button', { name: /^tmp/ }).waitFor();
  });

  test('leaves a page of one engine when another is looked at, and comes back', async () => {
    await look('Skiff');
    await row('near-1').waitFor();
    expect(new URL(page().url()).hash).toBe('#/containers');
    expect(await row('far-1').count()).toBe(0);
    await look('far away');
    await row('far-1').waitFor();
  });

  test('leads to its own engine when the tray asks for one of its containers', async () => {
    const id = await window.bed.ok('inspect', '-f', '{{.Id}}', 'near-1');
    await page().evaluate(`location.hash = '/containers/${id}/logs?of=skiff'`);
    await page().getByRole('heading', { name: 'near-1', exact: true }).waitFor();
    await page().getByRole('button', { name: 'Engine: Skiff. Choose another.' }).waitFor();
    await page().waitForURL(`**/#/containers/${id}/logs`);
    await go('Containers');
    await look('far away');
    await row('far-1').waitFor();
  });

  test('remembers the engine for the next window, and tells about its own machine on its own pages', async () => {
    await page().reload();
    await row('far-1').waitFor();
    await go('Settings');
    await page().getByText('You look at far away.').waitFor();
    for (const light of ['machine', 'tunnel', 'engine']) await page().locator(`[data-light=${light}]`).waitFor();
    await go('Builds');
    await page().getByRole('heading', { name: 'Builds', exact: true }).waitFor();
  });

  test('an engine that goes away is said to be lost, with the reason, and comes back by itself', async () => {
    await go('Containers');
    await far.kill();
    await page().getByText('far away can’t be reached').waitFor({ timeout: 60_000 });
    await page().locator('[data-problem=ssh-docker]').waitFor();
    expect(await row('far-1').count()).toBe(0);
    for (const colorScheme of ['light', 'dark'] as const) {
      await page().emulateMedia({ colorScheme });
      expect(await seriousViolations(page())).toEqual([]);
    }
    await far.start();
    await row('far-1').waitFor({ timeout: 60_000 });
  });

  test('needs no machine for it', async () => {
    await window.app.machine.stop();
    await page().locator('[data-light=machine]').getByText('stopped').waitFor();
    await page().getByRole('button', { name: 'Stop: far-1' }).waitFor();
    await run(far, 'far-2');
    await row('far-2').waitFor();
    await look('Skiff');
    await page().getByText('The machine is resting').waitFor();
    await window.app.machine.start();
    await row('near-1').waitFor({ timeout: 60_000 });
  });

  test('is switched from the keyboard alone', async () => {
    await page().keyboard.press('Control+k');
    await page()
      .getByPlaceholder(/Find pages/)
      .fill('engine far away');
    await page().getByRole('option', { name: 'Look at the engine far away' }).waitFor();
    await page().keyboard.press('Enter');
    await row('far-2').waitFor();
    await switcher().focus();
    await page().keyboard.press('Enter');
    await page().getByRole('menuitemcheckbox', { name: 'Skiff' }).waitFor();
    await page().keyboard.press('Home');
    await page().keyboard.press('Enter');
    await row('near-1').waitFor();
  });

  test('a wrong address is explained where it is typed', { timeout: 240_000 }, async () => {
    await go('Settings');
    await page().getByRole('button', { name: 'Add an engine' }).click();
    await field('Name').fill('skiff');
    await page().getByRole('dialog').getByRole('radio', { name: 'Socket' }).click();
    await field('Path of the socket').fill(join(folder, 'none.sock'));
    await press('Test the connection');
    await page().locator('[data-problem=no-socket]').waitFor();
    await press('Save');
    await page().getByRole('alert').getByText('There is an engine “skiff” already.').waitFor();
    for (const kind of ['Socket', 'TCP', 'TCP with TLS', 'SSH']) {
      await page().getByRole('dialog').getByRole('radio', { name: kind, exact: true }).click();
      await page().emulateMedia({ colorScheme: kind === 'TCP' || kind === 'SSH' ? 'dark' : 'light' });
      expect(await seriousViolations(page(), '[role=dialog]')).toEqual([]);
    }
    await page().keyboard.press('Escape');
    await page().getByRole('dialog').waitFor({ state: 'detached' });
    for (const colorScheme of ['light', 'dark'] as const) {
      await page().emulateMedia({ colorScheme });
      expect(await seriousViolations(page())).toEqual([]);
    }
  });

  test('an engine that is removed while it is looked at leaves the window at its own', async () => {
    await go('Containers');
    await look('far away');
    await row('far-2').waitFor();
    await go('Settings');
    await page().getByRole('button', { name: 'Remove: far away' }).click();
    await page().locator('[data-confirm]').click();
    await page().getByRole('button', { name: 'Engine: Skiff. Choose another.' }).waitFor();
    await go('Containers');
    await row('near-1').waitFor();
    expect(await far.ok('ps', '-q')).not.toBe('');
  });

  test('complains about nothing', () => expect(window.browser.complaints).toEqual([]));
});
