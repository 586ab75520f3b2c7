import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { whenReady } from '../../scripts/testbed.ts';

/** The root tree of a dockerd to compare with: DOCKERD_ROOT=/path; undefined where there is none. */
export const dockerdRoot = (): string | undefined => {
  const root = process.env.DOCKERD_ROOT;
  return root && existsSync(join(root, 'usr/sbin/dockerd')) ? root : undefined;
};

const SCRIPT = `set -e
root=$1 data=$2
mount --bind $root $root
for d in proc sys dev; do mount --rbind /$d $root/$d; done
mkdir -p $root/run $root/bench $root/mnt
mount -t tmpfs tmpfs $root/run
mount --bind $data $root/bench
ip link set lo up
cd $root; pivot_root . mnt
exec /usr/sbin/dockerd --data-root /bench/lib --exec-root /bench/run --pidfile /bench/dockerd.pid -H unix:///bench/docker.sock`;

/** Starts the dockerd of a root tree, entered by pivot_root, with mounts and a network namespace of its own; its socket is `<data>/docker.sock`. */
export function spawnDockerd(root: string, data: string, stdio: StdioOptions): ChildProcess {
  mkdirSync(data, { recursive: true });
  const argv = ['--mount', '--propagation=private', '--net', '/bin/sh', '-c', SCRIPT, 'sh', root, data];
  return spawn('unshare', argv, { stdio });
}

/** A dockerd of its own: data, socket, mounts and network namespace. */
export class Dockerd implements AsyncDisposable {
  readonly data = mkdtempSync(join(tmpdir(), 'skiff-dockerd-'));
  readonly socket = join(this.data, 'docker.sock');
  #daemon: ChildProcess | undefined;

  async start(root: string): Promise<void> {
    this.#daemon = spawnDockerd(root, this.data, 'ignore');
    await whenReady(this.#daemon, this.socket, 60_000);
    await delay(1000);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const daemon = this.#daemon;
    if (daemon && daemon.exitCode === null && daemon.signalCode === null) {
      const exit = new Promise((resolve) => daemon.once('exit', resolve));
      daemon.kill('SIGTERM');
      await exit;
    }
    rmSync(this.data, { recursive: true, force: true, maxRetries: 5 });
  }
}
