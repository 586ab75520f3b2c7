import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import type { Testbed } from './testbed.ts';

export const REGISTRY = '127.0.0.1:5000';

/** Debian's docker-registry on the engine's own loopback; nobody else has that port there. */
export async function registryBeside(bed: Testbed): Promise<{ close(): void }> {
  const folder = mkdtempSync(join(tmpdir(), 'skiff-registry-'));
  const config = join(folder, 'config.yml');
  writeFileSync(
    config,
    `version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: ${folder}/data}}\nhttp: {addr: "${REGISTRY}", secret: test}\n`,
  );
  const child = spawn('nsenter', [`--target=${bed.pid}`, '--net', 'docker-registry', 'serve', config], {
    stdio: 'ignore',
  });
  const body = { serveraddress: REGISTRY, username: 'a', password: 'b' };
  const answers = async () => (await bed.request('POST', '/auth', body)).status;
  const deadline = Date.now() + 30_000;
  while ((await answers()) !== 200) {
    if (Date.now() > deadline) throw new Error('docker-registry does not answer');
    await delay(50);
  }
  return {
    close() {
      child.kill('SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
