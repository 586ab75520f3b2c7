import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { extractAll } from '@electron/asar';
import { build, Platform } from 'electron-builder';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createClient } from '../../electron/rpc/client.ts';
import { joinHost } from '../../electron/services/join-host.ts';
import { launchDesktop } from '../electron/launch.ts';
import { browserMissing } from '../window/browser.ts';
import { built } from '../window/built.ts';
import { fusesIn, standInElectron } from './electron-folder.ts';

const root = join(import.meta.dirname, '../..');
const noBrowser = browserMissing();

/** Electron's own files can't be had everywhere; all the rest of the package is what users get. */
describe('the package', { timeout: 120_000 }, () => {
  const scratch = mkdtempSync(join(tmpdir(), 'skiff-package-'));
  const unpacked = join(scratch, 'out', process.arch === 'arm64' ? 'linux-arm64-unpacked' : 'linux-unpacked');
  const resources = join(unpacked, 'resources');
  const app = join(scratch, 'app');

  beforeAll(async () => {
    await built();
    const image = ['resources/vm/build.ts', '--out', join(scratch, 'vm')];
    execFileSync(process.execPath, image, { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] });
    const electron = join(scratch, 'electron');
    const { electron: version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).devDependencies;
    standInElectron(electron, version);
    // The configuration that users' packages are made with, from a copy whose image lies in our folder.
    const config = readFileSync(join(root, 'electron-builder.yml'), 'utf8').replace(
      'from: dist/vm',
      `from: ${scratch}/vm`,
    );
    writeFileSync(join(scratch, 'electron-builder.yml'), config);
    await build({
      projectDir: root,
      targets: Platform.LINUX.createTarget('dir'),
      publish: 'never',
      config: {
        extends: join(scratch, 'electron-builder.yml'),
        electronDist: electron,
        directories: { output: join(scratch, 'out') },
      },
    });
    extractAll(join(resources, 'app.asar'), app);
  }, 300_000);
  afterAll(() => rmSync(scratch, { recursive: true, force: true }));

  test('holds the app, the window and the VM image, and nothing else', () => {
    expect(readdirSync(app).sort()).toEqual(['build', 'dist', 'package.json']);
    expect(readdirSync(join(app, 'dist')).sort()).toEqual(['electron', 'renderer']);
    expect(readdirSync(join(app, 'dist/electron')).sort()).toEqual(['cli.js', 'host.js', 'main.js', 'preload.cjs']);
    expect(readdirSync(join(resources, 'vm')).sort()).toEqual(['initramfs', 'kernel', 'manifest.json', 'root.erofs']);
  });

  test('takes at most 250 MB beside Electron', () => {
    const size = (path: string): number =>
      statSync(path).isDirectory()
        ? readdirSync(path).reduce((sum, name) => sum + size(join(path, name)), 0)
        : statSync(path).size;
    const ours = size(resources);
    console.log(`the package beside Electron: ${(ours / 1e6).toFixed(0)} MB`);
    expect(ours).toBeLessThan(250e6);
  });

  test("has Electron's fuses as wished: no Node in its place, nothing but our archive is run", () => {
    // In this order: run as node, encrypted cookies, NODE_OPTIONS, inspect, asar integrity, only from asar.
    expect(fusesIn(readFileSync(join(unpacked, 'skiff-desktop'))).slice(0, 6)).toBe('010011');
  });

  test.skipIf(noBrowser)(`starts from its archive${noBrowser ? `, skipped: ${noBrowser}` : ''}`, async () => {
    const home = mkdtempSync(join(tmpdir(), 'skiff-packed-'));
    writeFileSync(join(home, 'settings.json'), JSON.stringify({ startMachineWithApp: false }));
    const desktop = await launchDesktop(home, { SKIFF_VM_IMAGE: join(resources, 'vm') }, app);
    try {
      await desktop.page.getByRole('button').first().waitFor({ timeout: 60_000 });
      expect(desktop.complaints).toEqual([]);
      expect((await desktop.records()).errors).toEqual([]);
      const client = createClient(await (await joinHost(home))!.connect());
      expect(await client.app.info()).toMatchObject({ home, version: expect.stringMatching(/^\d/) });
    } finally {
      await desktop.close();
      rmSync(home, { recursive: true, force: true });
    }
  });
});
