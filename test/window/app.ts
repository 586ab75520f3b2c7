import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { App } from '../../electron/services/app.ts';
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

export async function openTestApp(engineSocket: string | undefined = ENGINE_SOCKET): Promise<TestApp> {
  const home = mkdtempSync(join(tmpdir(), 'skiff-window-'));
  const fake = engineSocket ? undefined : await FakeEngine.open(join(home, 'engine.sock'));
  const sshd = new Sshd(join(home, 'sshd'));
  await sshd.start();
  const machine = new WindowMachine(() => sshd.endpoint(engineSocket ?? join(home, 'engine.sock')));
  const web = webShell();
  const app = await App.open({ home, version: '0.1.0', machine: () => machine, openWeb: web.openWeb });
  return {
    app,
    home,
    machine,
    fake,
    link: async () => (await web.openWeb(app)).url,
    close: async () => {
      await web.close();
      await app.close();
      await fake?.close();
      await sshd.stop();
      rmSync(home, { recursive: true, force: true });
    },
  };
}
