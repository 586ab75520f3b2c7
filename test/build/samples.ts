import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { TAR_END, tarHeader, tarPadding } from '../../engine/snapshots/tar/write.ts';
import type { ContextFile, Sample } from './corpus.ts';

/** The classic builder is asked for by name: the CLI would look for buildx otherwise. */
process.env.DOCKER_BUILDKIT = '0';

function tarOf(files: Readonly<Record<string, string>>): Buffer {
  const pieces = Object.entries(files).flatMap(([name, text]) => {
    const { length: size } = Buffer.from(text);
    const header = tarHeader({
      name,
      type: name.endsWith('/') ? 'directory' : 'file',
      mode: 0o750,
      uid: 11,
      gid: 12,
      size,
    });
    return [header, Buffer.from(text), tarPadding(size)];
  });
  return Buffer.concat([...pieces, TAR_END]);
}

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
    if (typeof file !== 'string' && file.archive) writeFileSync(path, tarOf(file.archive));
    else writeFileSync(path, typeof file === 'string' ? file : (file.content ?? ''));
    chmodSync(path, typeof file === 'string' ? 0o644 : (file.mode ?? 0o644));
  }

  touch(name: string, seconds: number): void {
    utimesSync(join(this.path, name), seconds, seconds);
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}
