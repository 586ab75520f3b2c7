import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { chromium, type Page } from 'playwright-core';
import type { ControlMessage, Records } from './control.ts';

const project = join(import.meta.dirname, '..', '..');

/** The desktop shell, built (or packed: `root` is where its archive was unpacked) main and preload, on the stand-in; `page` is its window in a real Chromium. */
export interface Desktop {
  page: Page;
  /** what the page wrote as errors */
  complaints: string[];
  records(): Promise<Records>;
  do(action: string, ...args: string[]): Promise<unknown>;
  /** resolves with the exit code */
  exited: Promise<number | null>;
  close(): Promise<void>;
}

export async function launchDesktop(
  home: string,
  env: Record<string, string> = {},
  root: string = project,
): Promise<Desktop> {
  const register = join(import.meta.dirname, 'register.ts');
  const child = spawn(process.execPath, ['--import', register, join(root, 'dist', 'electron', 'main.js')], {
    env: { ...process.env, SKIFF_HOME: home, ...env },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const exited = once(child, 'exit').then(([code]) => code as number | null);
  let next = 0;
  const waiting = new Map<number, (answer: { value?: unknown; error?: string }) => void>();
  child.on('message', (answer: { id: number; value?: unknown; error?: string }) => waiting.get(answer.id)?.(answer));
  const act = async (action: string, ...args: string[]) => {
    const id = ++next;
    const message: ControlMessage = { id, action, args };
    const answered = new Promise<{ value?: unknown; error?: string }>((done) => waiting.set(id, done));
    child.send(message);
    const { value, error } = await Promise.race([
      answered,
      exited.then(() => ({ value: undefined, error: 'the app has ended' })),
    ]);
    if (error) throw new Error(error);
    return value;
  };
  const browser = await chromium.connectOverCDP((await act('cdp')) as string);
  let page: Page | undefined;
  while (!page) {
    page = browser
      .contexts()[0]
      ?.pages()
      .find((open) => open.url().startsWith('http://skiff.localhost'));
    await sleep(20);
  }
  const complaints: string[] = [];
  page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
  page.on('pageerror', (error) => complaints.push(String(error)));
  return {
    page,
    complaints,
    records: () => act('records') as Promise<Records>,
    do: act,
    exited,
    close: async () => {
      await browser.close().catch(() => {});
      if (child.exitCode === null) child.kill('SIGKILL');
      await exited;
    },
  };
}
