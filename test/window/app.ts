import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SshEndpoint } from '../../electron/machine/types.ts';
import type { App, AppOptions } from '../../electron/services/app.ts';
import { openHost } from '../../electron/services/host.ts';
import { webShell } from '../../electron/web/shell.ts';
import { Sshd } from '../tunnel/sshd.ts';
import { FakeEngine } from './fake-engine.ts';
import { WindowMachine } from './fake-machine.ts';

/**
 * Everything between the window and the engine for real, the tunnel with a real sshd included; only QEMU is left out.
 * `engineSocket` is where the engine listens: a real one's, or by default a stand-in's (`fake`).
 */
export interface TestApp {
  app: App;
  home: string;
  machine: WindowMachine;
  fake: FakeEngine | undefined;
  link(): Promise<string>;
  close(): Promise<void>;
}

/** The real engine's socket, when the tests are to run on one. */
export const ENGINE_SOCKET: string | undefined = process.env.SKIFF_TEST_ENGINE;

export async function openTestApp(
  engineSocket: string | undefined = ENGINE_SOCKET,
  guest: Partial<SshEndpoint> = {},
  options: Partial<AppOptions> = {},
): Promise<TestApp> {
  const home = mkdtempSync(join(tmpdir(), 'skiff-window-'));
  const fake = engineSocket ? undefined : await FakeEngine.open(join(home, 'engine.sock'));
  const sshd = new Sshd(join(home, 'sshd'));
  await sshd.start();
  const machine = new WindowMachine(() => ({ ...sshd.endpoint(engineSocket ?? join(home, 'engine.sock')), ...guest }));
  const web = webShell();
  // The app's own socket listens as well: the desktop shell and the command join this app.
  const host = await openHost({ home, version: '0.1.0', machine: () => machine, openWeb: web.openWeb, ...options });
  const { app } = host;
  if (!app) throw new Error('a new folder has no app yet');
  return {
    app,
    home,
    machine,
    fake,
    link: async () => (await web.openWeb(app)).url,
    close: async () => {
      await web.close();
      await host.close();
      await fake?.close();
      await sshd.stop();
      rmSync(home, { recursive: true, force: true });
    },
  };
}
