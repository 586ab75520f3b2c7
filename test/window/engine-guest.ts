import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Testbed } from '../engine/testbed.ts';

const project = join(import.meta.dirname, '..', '..');
const SCRIPT = join(project, 'resources/vm/guest/usr/lib/skiff/engine-config');

/** What the VM's init does around the engine: the configuration's program, and a new start when the engine has ended. */
export class EngineGuest {
  /** how the guest's program is called here */
  readonly command: string;
  readonly #bed: Testbed;
  #over = false;
  #loop: Promise<void> | undefined;

  constructor(bed: Testbed) {
    this.#bed = bed;
    const skiffd = `${process.execPath} --disable-warning=ExperimentalWarning ${join(project, 'dist/engine/skiffd.mjs')}`;
    this.command = `env SKIFF_DATA=${bed.shared} SKIFF_RUN=${bed.shared} SKIFF_SKIFFD='${skiffd}' sh ${SCRIPT}`;
  }

  async start(): Promise<void> {
    this.#bed.configure('{}');
    await this.#bed.start();
    this.#say('started');
    this.#loop = this.#keepUp();
  }

  /** From now on an engine that ends stays down. */
  async close(): Promise<void> {
    this.#over = true;
    await this.#loop;
  }

  async #keepUp(): Promise<void> {
    while (!this.#over) {
      await sleep(50);
      if (alive(this.#bed.pid)) continue;
      this.#say('ended');
      const before = this.#listenings();
      await this.#bed.start().catch(() => {});
      // Its socket is there before its other addresses are: it may still end.
      while (alive(this.#bed.pid) && this.#listenings() === before) await sleep(20);
      if (this.#listenings() > before) this.#say('started');
    }
  }

  #listenings(): number {
    return this.#bed.log.split('API listening').length;
  }

  #say(word: 'started' | 'ended'): void {
    writeFileSync(join(this.#bed.shared, 'skiffd.pid'), `${this.#bed.pid}\n`);
    execFileSync('sh', ['-c', `${this.command} ${word}`], { stdio: 'inherit' });
  }
}

function alive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
