import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openMachine } from './machine.ts';
import { thisHost } from './platform.ts';
import type { BootImage, MachineState } from './types.ts';

let dir: string;
let image: BootImage;

/** A home, an image of three small files, and a folder for programs that stand for QEMU. */
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'skiff-machine-'));
  mkdirSync(join(dir, 'bin'));
  const files = Object.fromEntries(
    ['kernel', 'initramfs', 'root.erofs'].map((name) => {
      writeFileSync(join(dir, name), name);
      return [name, { size: name.length, sha256: createHash('sha256').update(name).digest('hex') }];
    }),
  );
  writeFileSync(join(dir, 'manifest.json'), JSON.stringify({ version: 'v1', files }));
  const path = (name: string) => join(dir, name);
  image = {
    version: 'v1',
    arch: 'x64',
    dir,
    kernel: path('kernel'),
    initramfs: path('initramfs'),
    rootfs: path('root.erofs'),
  };
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function program(name: string, script: string) {
  writeFileSync(join(dir, 'bin', name), `#!/bin/sh\n${script}\n`);
  chmodSync(join(dir, 'bin', name), 0o755);
}

function machine() {
  const host = {
    ...thisHost(),
    env: { PATH: join(dir, 'bin') },
    exists: (path: string) => path.startsWith(dir) && thisHost().exists(path),
  };
  const opened = openMachine({ home: join(dir, 'home'), image }, host);
  const states: MachineState[] = [];
  opened.onState((state) => states.push(state));
  return { opened, states };
}

describe('a machine that cannot start says at which step, why, and what to do', () => {
  it('when QEMU is not installed', async () => {
    const { opened, states } = machine();
    await expect(opened.start()).rejects.toMatchObject({ kind: 'qemu-missing', step: 'image' });
    expect(states.at(-1)).toMatchObject({ kind: 'failed', step: 'image', hint: expect.stringMatching(/install/i) });
  });

  it('when the image is damaged', async () => {
    writeFileSync(image.rootfs, 'ROOT.erofs');
    const { opened, states } = machine();
    await expect(opened.start()).rejects.toMatchObject({ kind: 'image-corrupt', step: 'image' });
    expect(states.at(-1)).toMatchObject({ kind: 'failed', step: 'image' });
  });

  it('when QEMU refuses to run, in its own words', async () => {
    program('qemu-img', ': >"$5"');
    program('qemu-system-x86_64', 'echo "qemu-system-x86_64: no such machine" >&2; exit 1');
    const { opened, states } = machine();
    await expect(opened.start()).rejects.toMatchObject({ kind: 'qemu-failed', step: 'qemu' });
    expect(states.at(-1)).toMatchObject({
      kind: 'failed',
      step: 'qemu',
      reason: expect.stringContaining('no such machine'),
      log: ['qemu-system-x86_64: no such machine'],
    });
  });

  it('when the disk of the host is full', async () => {
    program('qemu-img', 'echo "qemu-img: data.qcow2: No space left on device" >&2; exit 1');
    program('qemu-system-x86_64', 'exit 1');
    const { opened } = machine();
    await expect(opened.start()).rejects.toMatchObject({ kind: 'disk-full', step: 'disk' });
  });

  it('when another QEMU has the disk', async () => {
    program('qemu-img', ': >"$5"');
    program('qemu-system-x86_64', 'echo "qemu: Failed to get \\"write\\" lock" >&2; exit 1');
    await expect(machine().opened.start()).rejects.toMatchObject({ kind: 'in-use' });
  });
});

describe('a machine', () => {
  it('excludes a second one on the same folder while it runs or starts', async () => {
    program('qemu-img', ': >"$5"');
    program('qemu-system-x86_64', 'exec sleep 60');
    const first = machine().opened;
    const starting = first.start();
    starting.catch(() => {});
    await expect(machine().opened.start()).rejects.toMatchObject({ kind: 'in-use' });
    await first.stop();
    await expect(starting).rejects.toMatchObject({ kind: 'aborted' });
  });

  it('can be started again after a failure', async () => {
    const { opened } = machine();
    await expect(opened.start()).rejects.toMatchObject({ kind: 'qemu-missing' });
    await expect(opened.start()).rejects.toMatchObject({ kind: 'qemu-missing' });
    await opened.stop();
    expect(opened.state).toEqual({ kind: 'stopped' });
  });

  it('goes back to stopped, and its QEMU ends, when the only one who waits for the start gives up', async () => {
    program('qemu-img', ': >"$5"');
    program('qemu-system-x86_64', `echo $$ >${join(dir, 'pid')}; exec sleep 60`);
    const { opened, states } = machine();
    const abort = new AbortController();
    opened.onState((state) => {
      if (state.kind === 'starting' && state.step === 'qemu') setTimeout(() => abort.abort(), 100);
    });
    await expect(opened.start(abort.signal)).rejects.toMatchObject({ kind: 'aborted' });
    await expect.poll(() => states.at(-1)).toEqual({ kind: 'stopped' });
    const pid = Number(readFileSync(join(dir, 'pid'), 'utf8'));
    expect(() => process.kill(pid, 0)).toThrow();
  });

  it('answers questions about a running one with not-running', async () => {
    const { opened } = machine();
    expect(() => opened.endpoint()).toThrow(expect.objectContaining({ kind: 'not-running' }));
    await expect(opened.stats()).rejects.toMatchObject({ kind: 'not-running' });
    await expect(opened.expose({ proto: 'tcp', hostIp: '', hostPort: 1, guestPort: 1 })).rejects.toMatchObject({
      kind: 'not-running',
    });
    await opened.unexpose({ proto: 'tcp', hostIp: '', hostPort: 1, guestPort: 1 });
    await opened.stop();
  });
});
