/** `node resources/vm/fetch-package.ts NAME DIR`: unpacks one Debian package of the VM's suite into DIR, for this machine. */
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PrivateApt } from './apt.ts';
import { fetchDebs } from './fetch.ts';
import { ARCH_NAMES } from './packages.ts';

const [name, into] = process.argv.slice(2);
if (!name || !into) {
  console.error('usage: fetch-package.ts NAME DIR');
  process.exit(2);
}
const arch = process.arch === 'arm64' ? 'arm64' : 'x64';
const dir = await mkdtemp(join(tmpdir(), 'skiff-apt-'));
try {
  const apt = new PrivateApt(dir, ARCH_NAMES[arch].debian);
  await apt.update();
  const [deb] = await fetchDebs(arch, await apt.show([name]), { log: (line) => console.error(line) });
  execFileSync('dpkg-deb', ['-x', deb!.path, into]);
} finally {
  await rm(dir, { recursive: true, force: true });
}
