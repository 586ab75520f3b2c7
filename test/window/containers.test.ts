import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { seriousViolations } from './axe.ts';
import { type EngineWindow, engineMissing, openEngineWindow } from './engine.ts';

const skip = engineMissing();
const IMAGE = 'skiff/welcome';
const LIMIT = 20_000;
const soon = { timeout: LIMIT, interval: 50 };

describe.skipIf(skip)(`containers in the window${skip ? `, skipped: ${skip}` : ''}`, () => {
  let open: EngineWindow;
  let page: Page;
  let origin: string;
  beforeAll(async () => {
    open = await openEngineWindow();
    page = open.browser.page;
    page.setDefaultTimeout(LIMIT);
    origin = new URL(page.url()).origin;
  });
  afterAll(() => open?.[Symbol.asyncDispose]());
  beforeEach(() => go('/containers'));

  const go = (path: string) => page.goto(`${origin}/#${path}`);
  const button = (name: string) => page.getByRole('button', { name, exact: true });
  const menu = async (of: string, item: string) => {
    await button(`More actions of ${of}`).click();
    await page.getByRole('menuitem', { name: item, exact: true }).click();
  };
  /** A container made afresh, whatever an earlier try has left. */
  async function run(name: string, options: string[] = [], command: string[] = []): Promise<string> {
    await open.bed.docker(['rm', '-f', name]);
    return open.bed.ok('run', '-d', '--init', '--name', name, ...options, IMAGE, ...command);
  }
  const state = (name: string) => open.bed.ok('inspect', '-f', '{{.State.Status}}', name);
  const is = (name: string, wanted: string) => vi.waitFor(async () => expect(await state(name)).toBe(wanted), soon);
  const gone = (name: string) =>
    vi.waitFor(async () => expect(await open.bed.ok('ps', '-aq', '--filter', `name=^${name}$`)).toBe(''), soon);
  const copied = () => page.evaluate<string>('navigator.clipboard.readText()');

  test('a row stops, starts, pauses, resumes, restarts and kills its container', async () => {
    await run('web', ['-p', '8080:80']);
    await button('Stop: web').click();
    await is('web', 'exited');
    await button('Start: web').click();
    await is('web', 'running');
    await menu('web', 'Pause');
    await is('web', 'paused');
    await button('Resume: web').click();
    await is('web', 'running');
    const before = await open.bed.ok('inspect', '-f', '{{.State.StartedAt}}', 'web');
    await menu('web', 'Restart');
    await vi.waitFor(
      async () => expect(await open.bed.ok('inspect', '-f', '{{.State.StartedAt}}', 'web')).not.toBe(before),
      soon,
    );
    await is('web', 'running');
    await menu('web', 'Kill');
    await is('web', 'exited');
    expect(await open.bed.ok('inspect', '-f', '{{.State.ExitCode}}', 'web')).toBe('137');
  });

  test('a row shows what its container uses, links its port and copies how it was run', async () => {
    const id = await run('figures', ['-p', '8090:80', '-e', 'MODE=a b', '--memory', '64m']);
    const row = page.getByRole('listitem').filter({ hasText: 'figures' });
    await row.getByText(/^\d+(\.\d+)? ?[kM]B$/).waitFor();
    expect(await row.getByRole('link', { name: 'Open port 8090 in the browser' }).getAttribute('href')).toBe(
      'http://localhost:8090',
    );
    await menu('figures', 'Copy id');
    await vi.waitFor(async () => expect(await copied()).toBe(id), soon);
    await menu('figures', 'Copy as docker run');
    await vi.waitFor(
      async () =>
        expect(await copied()).toBe(
          `docker run -d --name figures -e 'MODE=a b' -p 8090:80 --memory 64m --init ${IMAGE}`,
        ),
      soon,
    );
  });

  test('asks once before it removes, and says what goes', async () => {
    await run('doomed');
    await button('Stop: doomed').waitFor();
    await button('Remove: doomed').click();
    await page.getByText('Remove doomed?').waitFor();
    await page.getByText('It is running and will be killed.').waitFor();
    await page.locator('[data-confirm]').click();
    await gone('doomed');
    await page.getByText('doomed', { exact: true }).waitFor({ state: 'detached' });
  });

  test('a compose project is stopped, started and removed as one', async () => {
    const label = (service: string) => [
      ...['--label', 'com.docker.compose.project=shop'],
      ...['--label', `com.docker.compose.service=${service}`],
    ];
    await run('shop-web-1', label('web'));
    await run('shop-db-1', label('db'));
    await page.getByText('2 of 2 running').waitFor();
    await button('Stop: shop').click();
    await is('shop-web-1', 'exited');
    await is('shop-db-1', 'exited');
    await page.getByText('0 of 2 running').waitFor();
    await button('Start: shop').click();
    await is('shop-web-1', 'running');
    await is('shop-db-1', 'running');
    await page.getByText('2 of 2 running').waitFor();
    await button('Remove: shop').click();
    await page.getByText('Remove all containers of shop?').waitFor();
    await page.locator('[data-confirm]').click();
    await gone('shop-web-1');
    await gone('shop-db-1');
  });

  test('several are chosen with the keyboard and stopped and removed together', async () => {
    await run('many-1');
    await run('many-2');
    await page.getByPlaceholder('Filter by name').fill('many-');
    await page.locator('[data-row="1"]').waitFor();
    await button('Stop: many-1').waitFor();
    await button('Stop: many-2').waitFor();
    await page.locator('[data-row="0"]').focus();
    await page.keyboard.press('Space');
    await page.keyboard.press('ArrowDown');
    await page.locator('[data-row="1"]:focus').waitFor();
    await page.keyboard.press('Space');
    await page.getByText('2 selected').waitFor();
    const bar = page.getByRole('group', { name: 'Selected containers' });
    await bar.getByRole('button', { name: 'Stop' }).click();
    await is('many-1', 'exited');
    await is('many-2', 'exited');
    await page.getByLabel('Select all').click();
    await bar.getByRole('button', { name: 'Remove' }).click();
    await page.getByText('Remove 2 containers?').waitFor();
    await page.locator('[data-confirm]').click();
    await gone('many-1');
    await gone('many-2');
    await page.getByPlaceholder('Filter by name').fill('');
  });

  test('order and columns are remembered', async () => {
    await run('web');
    await button('Columns').click();
    await page.getByRole('menuitemcheckbox', { name: 'Image' }).click();
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Sort by Memory' }).click();
    await page.reload();
    await page.getByRole('button', { name: 'Sort by Memory descending' }).waitFor();
    expect(await page.getByRole('button', { name: 'Sort by Image' }).count()).toBe(0);
    await page.evaluate('localStorage.removeItem("skiff.containers.view")');
    await page.reload();
    await page.getByRole('button', { name: 'Sort by Image' }).waitFor();
  });

  test('logs are followed, searched, with times, and hostile lines stay text', async () => {
    const script = [
      'echo plain; printf "\\033[31mred\\033[0m\\n"; echo "<img src=x onerror=window.hacked=1>"; echo broken >&2',
      'while :; do echo tick; sleep 1; done',
    ];
    const id = await run('talker', [], ['sh', '-c', script.join('; ')]);
    await go(`/containers/${id}/logs`);
    const log = page.getByRole('log');
    await log.getByText('<img src=x onerror=window.hacked=1>').waitFor();
    expect(await log.getByText('red', { exact: true }).getAttribute('class')).toContain('ansi-fg-1');
    expect(await log.locator('img').count()).toBe(0);
    expect(await log.locator('.log-stderr').getByText('broken').count()).toBe(1);
    await page.getByLabel('Search the log').fill('bro.en|plain');
    await page.getByText('no line').waitFor();
    await button('Regular expression').click();
    await page.getByText('2 lines').waitFor();
    expect(await log.locator('mark').allTextContents()).toEqual(['plain', 'broken']);
    await page.getByLabel('Search the log').fill('(');
    await page.getByText('not a regular expression').waitFor();
    await page.getByLabel('Search the log').fill('');
    await button('Regular expression').click();
    await page.getByLabel('Timestamps').click();
    await log
      .getByText(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}$/)
      .first()
      .waitFor();
    await page.getByLabel('Timestamps').click();
    expect(await page.evaluate("'hacked' in window")).toBe(false);
  });

  test('a pattern that would take for ever is given up, and the page goes on', async () => {
    const id = await run('evil', [], ['sh', '-c', `echo ${'a'.repeat(60)}b; sleep 1000`]);
    await go(`/containers/${id}/logs`);
    await page.getByRole('log').waitFor();
    await button('Regular expression').click();
    await page.getByLabel('Search the log').fill('(a+)+$');
    await page.getByText('this expression takes too long').waitFor();
    await page.getByLabel('Search the log').fill('');
    await button('Regular expression').click();
  });

  test('a log is saved whole and its view cleared', async () => {
    const id = await run('writer', [], ['sh', '-c', 'for n in $(seq 1 300); do echo line $n; done; sleep 1000']);
    await go(`/containers/${id}/logs`);
    await page.getByRole('log').getByText('line 300').waitFor();
    const folder = mkdtempSync(join(tmpdir(), 'skiff-saved-'));
    const download = page.waitForEvent('download');
    await button('Save the whole log').click();
    await (await download).saveAs(join(folder, 'log'));
    expect(readFileSync(join(folder, 'log'), 'utf8').trim().split('\n')).toHaveLength(300);
    rmSync(folder, { recursive: true });
    await button('Clear view').click();
    await page.getByText('line 300').waitFor({ state: 'detached' });
  });

  test("a project's logs are merged, and one of them can be left out", async () => {
    const label = (service: string) => [
      ...['--label', 'com.docker.compose.project=duo'],
      ...['--label', `com.docker.compose.service=${service}`],
    ];
    await run('duo-a-1', label('a'), ['sh', '-c', 'echo from-a; sleep 1000']);
    await run('duo-b-1', label('b'), ['sh', '-c', 'echo from-b; sleep 1000']);
    await page.getByText('2 of 2 running').waitFor();
    await button('Logs: duo').click();
    await page.getByRole('log').getByText('from-a').waitFor();
    await page.getByRole('log').getByText('from-b').waitFor();
    await page.getByRole('checkbox', { name: 'b', exact: true }).click();
    await page.getByRole('log').getByText('from-b').waitFor({ state: 'detached' });
    await page.getByRole('log').getByText('from-a').waitFor();
  });

  const screen = (text: string) =>
    vi.waitFor(async () => expect(await page.locator('.xterm-rows').textContent()).toContain(text), soon);

  test('a terminal has its size from the start, lives on behind other tabs, and there can be several', async () => {
    const id = await run('shell');
    await go(`/containers/${id}/terminal`);
    await screen('#');
    await page.locator('.xterm-helper-textarea:focus').waitFor({ state: 'attached' });
    await page.keyboard.type('stty size; echo $((6*7))-done\n');
    await screen('42-done');
    const text = await page.locator('.xterm-rows').textContent();
    const [rows = 0, columns = 0] = (/(\d+) (\d+)/.exec(text?.replaceAll('\u00a0', ' ') ?? '') ?? [])
      .slice(1)
      .map(Number);
    expect(rows).toBeGreaterThan(15);
    expect(columns).toBeGreaterThan(60);
    await page.getByRole('tab', { name: 'Inspect' }).click();
    await page.getByText('HostConfig').waitFor();
    await page.getByRole('tab', { name: 'Terminal' }).click();
    await screen('42-done');
    await button('New terminal').click();
    await page.getByRole('menuitem', { name: 'sh', exact: true }).click();
    await page.getByRole('menu').waitFor({ state: 'detached' });
    await page.getByRole('button', { name: 'sh', exact: true, pressed: true }).waitFor();
    await page.locator('.xterm-helper-textarea:focus').waitFor();
    await screen('#');
    await page.keyboard.type('exit 3\n');
    await page.getByText('The program has ended with code 3.').waitFor();
    await page.getByRole('list', { name: 'Terminals' }).getByRole('button').first().click();
    await screen('42-done');
  });

  test('files are browsed, edited, uploaded, downloaded and deleted', async () => {
    const id = await run('files', [], ['sh', '-c', "mkdir -p /work/sub; echo hello > '/work/a <b>.txt'; sleep 1000"]);
    await go(`/containers/${id}/files`);
    const list = page.getByRole('tabpanel');
    await list.getByRole('button', { name: 'work', exact: true }).click();
    await list.getByRole('button', { name: 'a <b>.txt', exact: true }).click();
    await page.locator('.cm-content').getByText('hello').waitFor();
    await page.locator('.cm-content').click();
    await page.keyboard.press('Control+End');
    await page.keyboard.type('world');
    await button('Save').click();
    await button('Saved').waitFor();
    expect(await open.bed.ok('exec', 'files', 'cat', '/work/a <b>.txt')).toBe('hello\nworld');
    await button('Back to the folder').click();
    const large = Buffer.alloc(700_000, 'x');
    await page.locator('input[type=file]').setInputFiles({ name: 'large.bin', mimeType: 'text/plain', buffer: large });
    await list.getByRole('button', { name: 'large.bin', exact: true }).waitFor();
    expect(await open.bed.ok('exec', 'files', 'wc', '-c', '/work/large.bin')).toBe('700000 /work/large.bin');
    const download = page.waitForEvent('download');
    await menu('large.bin', 'Download');
    const path = await (await download).path();
    expect(readFileSync(path).equals(large)).toBe(true);
    await menu('large.bin', 'Delete');
    await page.getByText('Delete /work/large.bin?').waitFor();
    await page.locator('[data-confirm]').click();
    await list.getByRole('button', { name: 'large.bin', exact: true }).waitFor({ state: 'detached' });
    expect((await open.bed.docker(['exec', 'files', 'test', '-e', '/work/large.bin'])).code).toBe(1);
  });

  test('changes of the file system and details are shown', async () => {
    const id = await run('changed', [], ['sh', '-c', 'touch /made; rm /etc/motd 2>/dev/null; sleep 1000']);
    await vi.waitFor(async () => expect(await open.bed.ok('diff', 'changed')).toContain('A /made'), soon);
    await go(`/containers/${id}/changes`);
    await page.getByText('/made', { exact: true }).waitFor();
    await page.getByRole('tab', { name: 'Inspect' }).click();
    await page.getByLabel('Search keys and values').fill('restartpolicy');
    await page
      .getByRole('button', { name: /RestartPolicy/ })
      .first()
      .waitFor();
    await button('Copy the path .HostConfig.RestartPolicy').click();
    await vi.waitFor(async () => expect(await copied()).toBe('.HostConfig.RestartPolicy'), soon);
  });

  test('figures and processes of a container are live', async () => {
    const id = await run('busy', [], ['sh', '-c', 'while :; do :; done']);
    await go(`/containers/${id}/stats`);
    await vi.waitFor(
      async () =>
        expect(Number.parseFloat((await page.locator('[data-figure=cpu]').textContent()) ?? '')).toBeGreaterThan(5),
      soon,
    );
    await page.locator('.uplot canvas').first().waitFor();
    await page
      .getByRole('cell', { name: /while :/ })
      .first()
      .waitFor();
    await open.bed.ok('rm', '-f', 'busy');
  });

  test('a container is created as the form and its preview say', async () => {
    await open.bed.docker(['rm', '-f', 'formed']);
    await page.getByRole('link', { name: 'Create' }).click();
    await page.getByRole('heading', { name: 'Create a container' }).waitFor();
    await page.getByRole('main').getByLabel('Image').fill(IMAGE);
    await page.getByLabel('Name', { exact: true }).fill('formed');
    await page.getByRole('main').getByLabel('Command').fill("sh -c 'echo $GREETING; sleep 1000'");
    await page.getByRole('main').getByLabel('Port on this computer').fill('8099');
    await page.getByRole('main').getByLabel('Port in the container').fill('80');
    await page.getByRole('main').getByLabel('Variable').fill('GREETING');
    await page.getByRole('main').getByLabel('Value').fill('hi there');
    await page.getByRole('main').getByLabel('Volume or folder').fill('formed-data');
    await page.getByRole('main').getByLabel('Path in the container').fill('/data');
    await page.getByRole('main').getByLabel('Memory in MB').fill('64');
    const line = `docker run -d --name formed -e 'GREETING=hi there' -p 8099:80 -v formed-data:/data --memory 64m ${IMAGE} sh -c 'echo $GREETING; sleep 1000'`;
    await page.locator('[data-preview]').getByText(line, { exact: true }).waitFor();
    expect(await seriousViolations(page)).toEqual([]);
    await button('Create and start').click();
    await page.getByRole('log').getByText('hi there').waitFor();
    const format = '{{.HostConfig.Memory}} {{.HostConfig.Binds}} {{json .HostConfig.PortBindings}}';
    expect(await open.bed.ok('inspect', '-f', format, 'formed')).toBe(
      '67108864 [formed-data:/data] {"80/tcp":[{"HostIp":"","HostPort":"8099"}]}',
    );
    await go('/containers/new');
    await page.getByRole('main').getByLabel('Image').fill(IMAGE);
    await page.getByLabel('Name', { exact: true }).fill('formed');
    await button('Create only').click();
    await page.getByRole('alert').getByText('The container name "/formed" is already in use').waitFor();
  });

  test('no page of a container has a serious fault for assistive technology, light or dark', async () => {
    const id = await run('seen', [], ['sh', '-c', 'echo out; echo err >&2; touch /made; sleep 1000']);
    for (const theme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme: theme });
      for (const tab of ['logs', 'terminal', 'files', 'stats', 'inspect', 'changes']) {
        await go(`/containers/${id}/${tab}`);
        await page.getByRole('tab', { selected: true }).waitFor();
        await page.getByText('Loading …').waitFor({ state: 'detached' });
        expect(await seriousViolations(page), `${tab}, ${theme}`).toEqual([]);
      }
      await go('/containers');
      await page.locator('[data-row]').first().waitFor();
      expect(await seriousViolations(page), `list, ${theme}`).toEqual([]);
    }
    await page.emulateMedia({ colorScheme: 'light' });
  });

  test('nothing was complained about', () => expect(open.browser.complaints).toEqual([]));
});
