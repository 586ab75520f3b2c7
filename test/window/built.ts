import { execFileSync } from 'node:child_process';
import { mkdirSync, rmdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const project = join(import.meta.dirname, '..', '..');
/** Test files run side by side; one of them builds. */
const lock = join(project, 'dist', '.building');
const STALE_MS = 120_000;

/** The tests show the built window: it is built when its sources have changed. */
export async function built(): Promise<void> {
  await takeLock();
  try {
    const code = "const { buildIfChanged } = await import('./scripts/build.ts'); await buildIfChanged(() => {});";
    // Not under vitest's environment, in which Vite's configuration is another one.
    const { VITEST: _, NODE_ENV: __, ...env } = process.env;
    const stdio = ['ignore', 'ignore', 'inherit'] as const;
    execFileSync(process.execPath, ['--input-type=module', '-e', code], { cwd: project, env, stdio: [...stdio] });
  } finally {
    rmdirSync(lock);
  }
}

async function takeLock(): Promise<void> {
  mkdirSync(join(project, 'dist'), { recursive: true });
  for (;;) {
    try {
      mkdirSync(lock);
      return;
    } catch {
      const age = Date.now() - (statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
      if (age > STALE_MS) rmdirSync(lock);
      await sleep(100);
    }
  }
}
