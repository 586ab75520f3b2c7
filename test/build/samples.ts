import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import type { ContextFile, Sample } from './corpus.ts';

/** The classic builder is asked for by name: the CLI would look for buildx otherwise. */
process.env.DOCKER_BUILDKIT = '0';

/** A build context in a folder of its own, which goes at the end. */
export class ContextFolder implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), 'skiff-context-'));

  constructor(files: Readonly<Record<string, ContextFile>>) {
    for (const [name, file] of Object.entries(files)) this.write(name, file);
  }

  static of({ dockerfile, files = {} }: Pick<Sample, 'dockerfile' | 'files'>): ContextFolder {
    return new ContextFolder({ Dockerfile: dockerfile, ...files });
  }

  write(name: string, file: ContextFile): void {
    const path = join(this.path, name);
    mkdirSync(dirname(path), { recursive: true });
    if (typeof file !== 'string' && file.link !== undefined) {
      symlinkSync(file.link, path);
      return;
    }
    writeFileSync(path, typeof file === 'string' ? file : (file.content ?? ''));
    chmodSync(path, typeof file === 'string' ? 0o644 : (file.mode ?? 0o644));
  }

  touch(name: string, seconds: number): void {
    utimesSync(join(this.path, name), seconds, seconds);
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}
