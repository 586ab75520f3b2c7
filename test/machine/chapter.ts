import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { onTestFailed, test } from 'vitest';
import type { RealApp } from './app.ts';

/**
 * A test of a story that one app goes through; a failure prints the app's logs.
 * Before 8.1, QEMU's emulation sometimes kills a guest's kernel (docs/machine.md). The app starts the machine again, but a command that
 * was on its way has failed: from then on what fails is skipped, and says so.
 */
export function chapter(name: string, app: () => RealApp, body: () => Promise<void>): void {
  test(name, async (context) => {
    onTestFailed(() => console.log(app().logs()));
    try {
      await body();
    } catch (error) {
      if (!emulatorDied(app().home)) throw error;
      const why = "QEMU's emulation has killed the guest's kernel (int3, QEMU's issue 404)";
      console.log(`skipped: ${why}; what failed then:`, error);
      context.skip(why);
    }
  });
}

function emulatorDied(home: string): boolean {
  return ['console.log', 'console.log.1'].some((name) => {
    try {
      const said = readFileSync(join(home, 'machine', name), 'latin1');
      return said.includes('int3: 0000') && said.includes('Kernel panic');
    } catch {
      return false; // no such log yet
    }
  });
}
