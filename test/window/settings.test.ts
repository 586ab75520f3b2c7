import { execFile, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { findQemu, thisHost } from '../../electron/machine/platform.ts';
import { xdgLogin } from '../../electron/services/system/login.ts';
import { dockerCli } from '../../scripts/setup.mjs';
import { seriousViolations } from './axe.ts';
import { type EngineWindow, engineMissing, openEngineWindow } from './engine.ts';

const run = promisify(execFile);
const skip = engineMissing();
const DOCKERS = ['DOCKER_CONFIG', 'DOCKER_HOST', 'DOCKER_CONTEXT'];
const LIMIT = 20_000;
const soon = { timeout: LIMIT, interval: 50 };

describe.skipIf(skip)(
  `settings, troubleshooting and the first run in the window${skip ? `, skipped: ${skip}` : ''}`,
  () => {
    let open: EngineWindow;
    let page: Page;
    let origin: string;
    let folder: string;
    const before = { ...process.env };
    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), 'skiff-settings-'));
      // Docker's contexts of these tests are not those of whoever runs them.
      for (const name of DOCKERS) delete process.env[name];
      process.env.DOCKER_CONFIG = join(folder, 'docker');
      const login = xdgLogin(['/opt/skiff/skiff desktop', '100%'], { XDG_CONFIG_HOME: folder });
      open = await openEngineWindow({ width: 1280, height: 900 }, { login, systemSocket: join(folder, 'docker.sock') });
      page = open.browser.page;
      page.setDefaultTimeout(LIMIT);
      origin = new URL(page.url()).origin;
    }, 120_000);
    afterAll(async () => {
      await open?.[Symbol.asyncDispose]();
      for (const name of DOCKERS) {
        if (before[name] === undefined) delete process.env[name];
        else process.env[name] = before[name];
      }
      rmSync(folder, { recursive: true, force: true });
    });

    const go = (path: string) => page.goto(`${origin}/#${path}`);
    const button = (name: string) => page.getByRole('button', { name, exact: true });
    const see = (text: string | RegExp) => page.getByText(text).first().waitFor();
    const settings = () => open.app.app.settings.values;
    const line = (label: string) => page.locator('[data-setting]').filter({ hasText: label });

    /** Docker knows nothing of us, and the page has just been opened. */
    async function otherContext(): Promise<void> {
      rmSync(join(folder, 'docker'), { recursive: true, force: true });
      await go('/containers');
      await page.getByRole('heading', { name: 'Containers', exact: true }).waitFor();
      await go('/settings');
      await page.getByRole('heading', { name: 'Settings', exact: true }).waitFor();
    }

    test('a setting says what a change takes before it is saved, and what is wrong beside its field', async () => {
      await go('/settings');
      const memory = page.getByLabel('Memory', { exact: true });
      await memory.fill('100');
      await see('Give at least 512 MB, or leave it empty.');
      // The engine's configuration has a button of that name too.
      const save = line('Memory').getByRole('button', { name: 'Save', exact: true });
      expect(await save.isDisabled()).toBe(true);
      const { memoryMb, diskGb, wakeOnConnect } = settings();
      const other = memoryMb === 2048 ? 3072 : 2048;
      await memory.fill(String(other));
      await line('Memory').locator('[data-effect=restarts-machine]').waitFor();
      expect(settings().memoryMb).toBe(memoryMb);
      await save.click();
      await vi.waitFor(() => expect(settings().memoryMb).toBe(other), soon);
      await see('What was saved applies when the machine is restarted.');
      const idle = page.getByLabel('Stop an unused machine after');
      const minutes = settings().idleStopMinutes + 45;
      await idle.fill(String(minutes));
      await line('Stop an unused machine after').locator('[data-effect=live]').waitFor();
      await idle.press('Enter');
      await vi.waitFor(() => expect(settings().idleStopMinutes).toBe(minutes), soon);
      const disk = page.getByLabel('Size of the data disk');
      await disk.fill('10');
      await see(`Give a whole number from ${diskGb} to 16384: the disk can not shrink.`);
      await disk.fill(String(diskGb + 16));
      await disk.press('Enter');
      await vi.waitFor(() => expect(settings().diskGb).toBe(diskGb + 16), soon);
      await page.getByLabel('Let a docker command start a stopped machine').click();
      await vi.waitFor(() => expect(settings().wakeOnConnect).toBe(!wakeOnConnect), soon);
    });

    test('folders are shared and not shared any more', async () => {
      await go('/settings');
      await page.getByLabel('Folder to share').fill('relative');
      await see('Give absolute paths, 16 at most.');
      await page.getByLabel('Folder to share').fill(folder);
      await button('Add').click();
      await vi.waitFor(() => expect(settings().sharedFolders).toEqual([homedir(), folder]), soon);
      await button(`Do not share ${folder}`).click();
      await vi.waitFor(() => expect(settings().sharedFolders).toEqual([homedir()]), soon);
    });

    test("Docker's context is created, used and removed", async () => {
      const config = () => readFileSync(join(folder, 'docker', 'config.json'), 'utf8');
      await button('Create').click();
      await see('docker uses the context “default” now.');
      await button('Use').click();
      await see('docker uses it now.');
      expect(JSON.parse(config()).currentContext).toBe('skiff');
      await button('Remove').click();
      await see('It does not exist yet.');
      expect(JSON.parse(config()).currentContext).toBe(undefined);
    });

    test('Skiff is started at login, and not any more', async () => {
      const entry = join(folder, 'autostart', 'skiff.desktop');
      await page.getByLabel('Start Skiff when you log in').click();
      await vi.waitFor(
        () => expect(readFileSync(entry, 'utf8')).toContain('Exec="/opt/skiff/skiff desktop" "100%%"'),
        soon,
      );
      await page.locator('#login[aria-checked=true]').waitFor();
      await page.getByLabel('Start Skiff when you log in').click();
      await vi.waitFor(() => expect(existsSync(entry)).toBe(false), soon);
    });

    test('the socket of other tools is linked on request, and given back', async () => {
      const path = join(folder, 'docker.sock');
      const other = join(folder, '.orbstack', 'docker.sock');
      mkdirSync(dirname(other));
      writeFileSync(other, '');
      symlinkSync(other, path);
      await go('/containers');
      await go('/settings');
      await line('Link ').getByText('belongs to OrbStack').waitFor();
      await line('Link ').getByRole('button', { name: 'Link', exact: true }).click();
      await page.locator('[data-confirm]').click();
      await line('Link ').getByText('leads to Skiff.').waitFor();
      // The tunnel's end of the socket is in this process: it must not be blocked meanwhile.
      const version = ['-H', `unix://${path}`, 'version', '-f', '{{.Server.Os}}'];
      expect((await run(dockerCli(), version, { timeout: LIMIT })).stdout.trim()).toBe('linux');
      await button('Take away').click();
      await line('Link ').getByText('belongs to OrbStack').waitFor();
      expect(readlinkSync(path)).toBe(other);
      rmSync(path);
      // A socket itself is never touched.
      const server = createServer().listen(path);
      await once(server, 'listening');
      await line('Link ').getByRole('button', { name: 'Link', exact: true }).click();
      await page.locator('[data-confirm]').click();
      await see(/is another program's own socket/);
      server.close();
    });

    test('says why this way of running Skiff can not update itself', async () => {
      await see(/^Only the desktop app updates itself/);
      await page.getByLabel('Look for updates once a day').click();
      await vi.waitFor(() => expect(settings().updates).toBe('off'), soon);
    });

    test('snapshots are taken, gone back to and deleted, and the disk is moved', async () => {
      const dir = join(folder, 'machine');
      mkdirSync(dir);
      const dataDisk = join(dir, 'data.qcow2');
      const qemuImg = findQemu(thisHost(), 'x64').img ?? '';
      execFileSync(qemuImg, ['create', '-q', '-f', 'qcow2', dataDisk, '1G']);
      open.app.machine.files = { dir, dataDisk, diskFolder: join(dir, 'disk-folder'), qemuImg };
      await page.getByLabel('Name of a new snapshot').fill('before');
      await button('Take').click();
      await page.getByText('The machine and its containers are stopped meanwhile.').waitFor();
      await page.locator('[data-confirm]').click();
      await button('Restore: before').click();
      await page.locator('[data-confirm]').click();
      await see('before');
      await vi.waitFor(() => expect(open.app.machine.state.kind).toBe('running'), soon);
      await button('Delete: before').click();
      await page.locator('[data-confirm]').click();
      await button('Delete: before').waitFor({ state: 'detached' });
      await vi.waitFor(() => expect(open.app.machine.state.kind).toBe('running'), soon);
      const to = join(folder, 'elsewhere');
      mkdirSync(to);
      await page.getByLabel('New folder').fill(to);
      await button('Move').click();
      await page.locator('[data-confirm]').click();
      await see(`The data disk is in ${to} now.`);
      expect(readdirSync(to)).toEqual(['data.qcow2']);
      await page.locator('[data-light=engine]').getByText('ready').waitFor();
    });

    test('the search leaves what it finds', async () => {
      await go('/settings');
      await page.getByLabel('Search settings').fill('socket');
      await page.getByLabel('Stop an unused machine after').waitFor({ state: 'detached' });
      await line('Let a docker command').waitFor();
      await page.getByLabel('Search settings').fill('nothing like it');
      await see('No setting matches “nothing like it”.');
      await page.getByLabel('Search settings').press('Escape');
      await page.getByLabel('Stop an unused machine after').waitFor();
      expect(await seriousViolations(page)).toEqual([]);
    });

    test('the first container is run with one click and opened', async () => {
      await go('/containers');
      await see('docker run -d --name web -p 8081:80 skiff/welcome');
      // The usual port is another program's: whether this computer has it free or not, the welcome container gets another.
      const taken = createServer().listen(8080, '0.0.0.0');
      await Promise.race([once(taken, 'listening'), once(taken, 'error')]);
      const opened = open.browser.context.waitForEvent('page', { timeout: LIMIT });
      await button('Run the welcome container').click();
      const port = page.getByRole('link', { name: /Open port \d+ in the browser$/ });
      await port.waitFor();
      expect(await port.getAttribute('aria-label')).not.toContain(' 8080 ');
      taken.close();
      expect(await open.bed.ok('inspect', '-f', '{{.State.Status}}', 'welcome')).toBe('running');
      await (await opened).close();
    });

    test('checks say what they found, and mend it', async () => {
      await otherContext();
      await page.keyboard.press('Control+8');
      await page.getByRole('heading', { name: 'Troubleshoot', exact: true }).waitFor();
      const check = (name: string) => page.locator(`[data-check=${name}]`);
      await check('connection').getByText('answers.').waitFor();
      await check('clock').getByText('The machine’s clock is right.').waitFor();
      await check('context').getByText('docker uses the context “default”, not Skiff.').waitFor();
      await check('context').getByRole('button', { name: 'Use Skiff' }).click();
      await check('context').getByText('docker uses Skiff.').waitFor();
      open.app.machine.set({ kind: 'degraded', reason: 'sshd is gone', since: Date.now() });
      await check('connection').getByText('sshd is gone').waitFor();
      open.app.machine.set({ kind: 'running', since: Date.now(), bootMs: 1 });
      await page.locator('[data-check=connection][data-level=good]').waitFor();
      expect(await page.getByRole('log').textContent()).toContain('Linux');
      expect(await seriousViolations(page)).toEqual([]);
    });

    test('the disk is compacted and a support bundle made', async () => {
      await go('/troubleshoot');
      await page
        .getByRole('region', { name: 'Maintenance' })
        .getByRole('button', { name: 'Compact', exact: true })
        .click();
      await see(/^The disk took 3[.]1 GB and takes 2[.]4 GB now[.]/);
      await button('Make').click();
      await see(/^It is at /);
      expect(readdirSync(open.app.home).filter((name) => /^diagnose-.*[.]zip$/.test(name))).toHaveLength(1);
    });

    test('a factory reset says what goes, and can keep the images', async () => {
      await go('/troubleshoot');
      await button('Reset …').click();
      const dialog = page.getByRole('dialog');
      await dialog.getByText('Images, your settings and shared folders stay.').waitFor();
      await dialog.getByLabel('Keep the images').click();
      await dialog.getByText('All containers, images, volumes').waitFor();
      await dialog.getByLabel('Keep the images').click();
      await dialog.getByRole('button', { name: 'Delete and reset' }).click();
      await see('The machine is as new.');
      expect(await open.bed.ok('ps', '-aq')).toBe('');
      expect(await open.bed.ok('images', '-q', 'skiff/welcome')).not.toBe('');
    });

    test('complains about nothing', () => expect(open.browser.complaints).toEqual([]));
  },
);
