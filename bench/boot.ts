import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { findQemu, thisHost } from '../electron/machine/platform.ts';
import { cpio } from '../resources/vm/cpio.ts';
import { ensureVmImage } from '../resources/vm/image.ts';
import { buildEngine } from '../scripts/build-engine.ts';

/**
 * `node bench/boot.ts`: from QEMU's start to `/_ping` through the local socket, beside the boot of the same kernel with an
 * initramfs that only powers off: what no start on this machine can be faster than. Emulated (TCG), so that runs compare.
 */
const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 3);
const root = join(import.meta.dirname, '..');
const scratch = mkdtempSync(join(tmpdir(), 'skiff-bench-boot-'));

const median = (values: number[]): number => values.sort((a, b) => a - b)[Math.floor(values.length / 2)]!;

async function bareKernel(qemu: string, kernel: string, initramfs: string): Promise<number> {
  const start = performance.now();
  const argv = ['-nodefaults', '-no-user-config', '-display', 'none', '-machine', 'q35', '-accel', 'tcg,thread=multi'];
  argv.push(
    '-cpu',
    'max',
    '-smp',
    '2',
    '-m',
    '2048',
    '-kernel',
    kernel,
    '-initrd',
    initramfs,
    '-append',
    'quiet panic=-1',
  );
  const vm = spawn(qemu, argv, { stdio: 'ignore' });
  await new Promise((resolve) => vm.once('exit', resolve));
  return performance.now() - start;
}

/** One start and stop of the whole by the `skiff` command. Milliseconds, as it prints them. */
function wholeStart(home: string): number {
  const skiff = (...args: string[]): string =>
    execFileSync(process.execPath, ['electron/cli/main.ts', ...args], {
      cwd: root,
      env: { ...process.env, SKIFF_HOME: home },
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    });
  try {
    const printed = skiff('start');
    const seconds = /through the local socket: ([\d.]+) s/.exec(printed)?.[1];
    if (!seconds) throw new Error(`no time in:\n${printed}`);
    return Number(seconds) * 1000;
  } finally {
    skiff('stop');
  }
}

try {
  await buildEngine();
  const image = await ensureVmImage();
  const { system } = findQemu(thisHost(), image.arch);
  if (!system || image.arch !== 'x64') throw new Error('this bench needs qemu-system-x86_64');
  const initramfs = join(scratch, 'bare.cpio');
  const busybox = readFileSync(join(image.rootTree, 'usr/bin/busybox'));
  const init = Buffer.from('#!/bin/busybox sh\n/bin/busybox poweroff -f\n');
  writeFileSync(
    initramfs,
    cpio([
      { path: 'bin', kind: 'dir' },
      { path: 'bin/busybox', kind: 'file', data: busybox, mode: 0o755 },
      { path: 'init', kind: 'file', data: init, mode: 0o755 },
    ]),
  );
  const home = join(scratch, 'home');
  const bare: number[] = [];
  const whole: number[] = [];
  // The first start makes the disk; it isn't counted.
  wholeStart(home);
  for (let round = 0; round < ROUNDS; round++) {
    bare.push(await bareKernel(system, image.kernel, initramfs));
    whole.push(wholeStart(home));
  }
  const [floor, start] = [median(bare), median(whole)];
  console.log(`medians of ${ROUNDS}, seconds`);
  console.log(`bare kernel, to power-off       ${(floor / 1000).toFixed(2)}`);
  console.log(`QEMU → /_ping, local socket     ${(start / 1000).toFixed(2)}   ratio ${(start / floor).toFixed(2)}`);
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
