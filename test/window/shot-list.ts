import type { Page } from 'playwright-core';
import { en } from '../../renderer/locales/en.ts';
import { zhCN } from '../../renderer/locales/zh-CN.ts';
import type { EngineWindow } from './engine.ts';

/** A page or a state of the window, as it is after `furnishEngine`. */
export interface Shot {
  name: string;
  /** of the window's router */
  path: string;
  /** what to wait for or to do before the picture is taken */
  ready?: (page: Page) => Promise<unknown>;
}

/** A button by its words in either language. */
const button = (page: Page, noun: 'images' | 'volumes' | 'networks' | 'builds', action: string) => {
  const words = [en, zhCN].map((locale) => (locale[noun] as Record<string, unknown>)[action]);
  return page.locator('main').getByRole('button', { name: new RegExp(`^(${words.join('|')})(:|$)`) });
};
const dialog = (noun: Parameters<typeof button>[1], action: string) => async (page: Page) => {
  await button(page, noun, action).first().click();
  await page.getByRole('dialog').waitFor();
};
/** Goes there, out of whatever dialog is open. */
export async function openShot(page: Page, { path, ready }: Shot): Promise<void> {
  for (const open = page.getByRole('dialog'); (await open.count()) > 0; ) {
    await page.keyboard.press('Escape');
    await open.first().waitFor({ state: 'detached' });
  }
  await page.evaluate(`location.hash = ${JSON.stringify(path)}`);
  await page.locator('h1').first().waitFor();
  await ready?.(page);
}

export const emptyShots: Shot[] = [
  { name: 'empty-containers', path: '/containers' },
  { name: 'empty-volumes', path: '/volumes' },
  { name: 'empty-builds', path: '/builds' },
  { name: 'empty-activity', path: '/activity' },
];

export async function pageShots({ bed }: EngineWindow): Promise<Shot[]> {
  const id = (name: string) => bed.ok('inspect', '-f', '{{.Id}}', name);
  const web = await id('shop-web-1');
  const welcome = await id('welcome');
  const db = await id('shop-db-1');
  const image = await id('shop/web:2.4');
  const network = await id('shop_front');
  const back = await id('shop_back');
  const builds = (await bed.request('GET', '/skiff/builds')).body as { id: string; status: string }[];
  const build = (status: string) => builds.find((one) => one.status === status)?.id ?? '';
  return [
    { name: 'containers', path: '/containers', ready: (page) => page.getByText('shop-web-1').first().waitFor() },
    { name: 'create', path: '/containers/new' },
    { name: 'logs', path: `/containers/${web}/logs`, ready: (page) => page.getByText('connection to redis').waitFor() },
    { name: 'terminal', path: `/containers/${welcome}/terminal`, ready: (page) => page.waitForTimeout(1500) },
    { name: 'files', path: `/containers/${db}/files`, ready: (page) => page.getByText('etc').first().waitFor() },
    { name: 'stats', path: `/containers/${db}/stats`, ready: (page) => page.waitForTimeout(4000) },
    { name: 'inspect', path: `/containers/${web}/inspect`, ready: (page) => page.waitForTimeout(500) },
    {
      name: 'changes',
      path: `/containers/${welcome}/changes`,
      ready: (page) => page.getByText('/data').first().waitFor(),
    },
    {
      name: 'project',
      path: '/projects/shop',
      ready: (page) => page.getByText('connection to redis').first().waitFor(),
    },
    { name: 'images', path: '/images', ready: (page) => page.getByText('shop/web').first().waitFor() },
    { name: 'image', path: `/images/${image}`, ready: (page) => page.waitForTimeout(500) },
    { name: 'image-pull', path: '/images', ready: dialog('images', 'pull') },
    { name: 'image-prune', path: '/images', ready: dialog('images', 'prune') },
    { name: 'volumes', path: '/volumes', ready: (page) => page.getByText('shop_db-data').first().waitFor() },
    { name: 'volume', path: '/volumes/shop_db-data', ready: (page) => page.getByText('db.conf').first().waitFor() },
    { name: 'volume-create', path: '/volumes', ready: dialog('volumes', 'create') },
    { name: 'volume-prune', path: '/volumes', ready: dialog('volumes', 'prune') },
    { name: 'networks', path: '/networks', ready: (page) => page.getByText('shop_front').first().waitFor() },
    { name: 'network', path: `/networks/${network}`, ready: (page) => page.getByText('10.77.0').first().waitFor() },
    { name: 'network-internal', path: `/networks/${back}`, ready: (page) => page.waitForTimeout(300) },
    { name: 'network-create', path: '/networks', ready: dialog('networks', 'create') },
    { name: 'builds', path: '/builds', ready: (page) => page.getByText('shop/web').first().waitFor() },
    {
      name: 'build',
      path: `/builds/${build('completed')}`,
      ready: (page) => page.locator('main ol li').first().waitFor(),
    },
    {
      name: 'build-failed',
      path: `/builds/${build('failed')}`,
      ready: (page) => page.getByRole('alert').first().waitFor(),
    },
    { name: 'build-dialog', path: '/builds', ready: dialog('builds', 'build') },
    { name: 'activity', path: '/activity', ready: (page) => page.waitForTimeout(500) },
    { name: 'settings', path: '/settings', ready: (page) => page.locator('[data-setting]').first().waitFor() },
    {
      name: 'settings-engine',
      path: '/settings',
      ready: (page) => page.locator('.cm-editor').scrollIntoViewIfNeeded(),
    },
    {
      name: 'settings-end',
      path: '/settings',
      ready: (page) => page.locator('[data-setting]').last().scrollIntoViewIfNeeded(),
    },
    { name: 'troubleshoot', path: '/troubleshoot', ready: (page) => page.locator('[data-check=socket]').waitFor() },
    {
      name: 'palette',
      path: '/containers',
      ready: async (page) => {
        await page.keyboard.press('Control+k');
        await page.getByRole('dialog').waitFor();
      },
    },
    { name: 'confirm', path: '/volumes', ready: dialog('volumes', 'remove') },
  ];
}

/** The machine's other states: there are no containers to see in them. */
export function stateShots({ app: { machine } }: EngineWindow): Shot[] {
  const seen = (kind: 'stopped' | 'starting' | 'failed') => async (page: Page) => {
    if (kind === 'stopped') machine.set({ kind });
    else if (kind === 'starting') machine.set({ kind, step: 'kernel', since: Date.now() });
    else
      machine.set({
        kind,
        step: 'qemu',
        reason: 'QEMU ended at once: Could not access KVM kernel module',
        hint: 'Add yourself to the group kvm: sudo usermod -aG kvm $USER',
        log: ['qemu-system-x86_64: Could not access KVM kernel module: Permission denied'],
      });
    await page.waitForTimeout(300);
  };
  return [
    { name: 'stopped', path: '/containers', ready: seen('stopped') },
    { name: 'starting', path: '/containers', ready: seen('starting') },
    { name: 'failed', path: '/containers', ready: seen('failed') },
  ];
}
