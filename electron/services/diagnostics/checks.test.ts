import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Host, thisHost } from '../../machine/platform.ts';
import type { MachineState } from '../../machine/types.ts';
import { checkClock } from './clock.ts';
import { checkDisk } from './disk.ts';
import { checkSocket } from './socket.ts';
import { checkVirtualisation } from './virtualisation.ts';

const running: MachineState = { kind: 'running', since: 0, bootMs: 0 };

describe('checks', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'skiff-checks-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test('say why a machine is emulated', () => {
    const host = (platform: NodeJS.Platform, exists: boolean, canOpen: boolean): Host => ({
      ...thisHost(),
      platform,
      exists: () => exists,
      canOpen: () => canOpen,
    });
    const code = (...args: Parameters<typeof checkVirtualisation>) => checkVirtualisation(...args).code;
    expect(code('kvm', host('linux', true, true))).toBe('used');
    expect(code('tcg', host('linux', false, false))).toBe('noKvm');
    expect(code('tcg', host('linux', true, false))).toBe('kvmForbidden');
    expect(code('tcg', host('linux', true, true))).toBe('emulated');
    expect(code('tcg', host('win32', false, false))).toBe('noWhpx');
    expect(code(undefined, host('darwin', false, false))).toBe('notStarted');
  });

  test.skipIf(process.platform === 'win32')('say whose the usual socket is (Windows has none)', async () => {
    const ours = join(folder, 'ours.sock');
    writeFileSync(ours, '');
    const to = async (name: string, target: string) => {
      symlinkSync(target, join(folder, name));
      return checkSocket(ours, join(folder, name));
    };
    expect((await checkSocket(ours, join(folder, 'nothing')))?.code).toBe('none');
    expect((await to('a', ours))?.code).toBe('ours');
    expect((await to('b', join(folder, 'gone')))?.code).toBe('dangling');
    writeFileSync(join(folder, 'podman.sock'), '');
    expect(await to('c', join(folder, 'podman.sock'))).toMatchObject({ code: 'other', values: { product: 'Podman' } });
  });

  test('see a clock that is off, and offer to set it', async () => {
    const at = (ms: number) => checkClock({ state: running }, async () => Date.now() + ms);
    expect((await at(1_000)).code).toBe('right');
    expect(await at(-90_000)).toMatchObject({ code: 'skewed', fixes: ['set-clock'] });
    expect((await checkClock({ state: running }, () => Promise.reject(new Error('no')))).code).toBe('noAnswer');
  });

  test('see a data disk that is nearly full', async () => {
    const machine = (diskRealBytes: number) => ({
      state: running,
      stats: async () => ({
        ...{ cpuPercent: 0, hostRssBytes: 0, guestMemoryBytes: 0, guestUsedBytes: undefined },
        ...{ diskRealBytes, diskVirtualBytes: 100 },
      }),
    });
    const { code } = await checkDisk(machine(10), folder);
    // A computer that is full itself says that first.
    if (code === 'hostFull') return;
    expect(code).toBe('room');
    expect(await checkDisk(machine(90), folder)).toMatchObject({ code: 'full', fixes: ['prune', 'compact', 'grow'] });
  });
});
