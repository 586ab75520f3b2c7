import { describe, expect, it } from 'vitest';
import { accelerators, defaultResources, findQemu, folderTransport, type Host, qemuInstallHint } from './platform.ts';

function host(overrides: Partial<Host>): Host {
  return {
    platform: 'linux',
    arch: 'x64',
    env: { PATH: '/usr/bin' },
    cpuCount: 8,
    memoryBytes: 16 * 1024 ** 3,
    exists: () => false,
    canOpen: () => false,
    ...overrides,
  };
}

it('takes 9p for shared folders, and SFTP on Windows, where QEMU has none, or when told to', () => {
  expect(folderTransport(host({}))).toBe('9p');
  expect(folderTransport(host({ platform: 'darwin' }))).toBe('9p');
  expect(folderTransport(host({ platform: 'win32' }))).toBe('sftp');
  expect(folderTransport(host({ env: { SKIFF_FOLDERS: 'sftp' } }))).toBe('sftp');
});

describe('the accelerator', () => {
  it('is KVM on Linux when /dev/kvm may be opened, and emulation when not', () => {
    expect(accelerators(host({ canOpen: (path) => path === '/dev/kvm' }), 'x64')).toEqual(['kvm', 'tcg']);
    expect(accelerators(host({}), 'x64')).toEqual(['tcg']);
  });

  it('is HVF on macOS and WHPX on Windows, with emulation to fall back to', () => {
    expect(accelerators(host({ platform: 'darwin', arch: 'arm64' }), 'arm64')).toEqual(['hvf', 'tcg']);
    expect(accelerators(host({ platform: 'win32' }), 'x64')).toEqual(['whpx', 'tcg']);
  });

  it('is emulation for a guest of another architecture', () => {
    expect(accelerators(host({ platform: 'darwin', arch: 'arm64' }), 'x64')).toEqual(['tcg']);
  });
});

describe('QEMU is looked for', () => {
  it('on the PATH of Linux', () => {
    const found = findQemu(host({ exists: (path) => path.startsWith('/usr/bin/') }), 'x64');
    expect(found).toEqual({ system: '/usr/bin/qemu-system-x86_64', img: '/usr/bin/qemu-img' });
  });

  it("in Homebrew's folder on macOS, which an app's PATH lacks", () => {
    const mac = host({ platform: 'darwin', arch: 'arm64', exists: (path) => path.startsWith('/opt/homebrew/bin/') });
    expect(findQemu(mac, 'arm64').system).toBe('/opt/homebrew/bin/qemu-system-aarch64');
  });

  it("in the installer's folder on Windows", () => {
    const windows = host({
      platform: 'win32',
      env: { Path: 'C:\\Windows', ProgramFiles: 'C:\\Program Files' },
      exists: (path) => path.startsWith('C:\\Program Files\\qemu\\'),
    });
    expect(findQemu(windows, 'x64').system).toBe('C:\\Program Files\\qemu\\qemu-system-x86_64.exe');
  });

  it('in the bundled folder first', () => {
    const bundled = host({ env: { PATH: '/usr/bin', SKIFF_QEMU_DIR: '/app/qemu' }, exists: () => true });
    expect(findQemu(bundled, 'x64').system).toBe('/app/qemu/qemu-system-x86_64');
  });

  it('and when it is missing, the hint is a line to run', () => {
    expect(findQemu(host({}), 'x64')).toEqual({ system: undefined, img: undefined });
    expect(qemuInstallHint(host({}), 'arm64')).toContain('apt-get install qemu-system-arm');
    expect(qemuInstallHint(host({ platform: 'darwin' }), 'arm64')).toContain('brew install qemu');
    expect(qemuInstallHint(host({ platform: 'win32' }), 'x64')).toContain('winget install');
  });
});

describe('default resources', () => {
  it('leave most of the host to the host', () => {
    expect(defaultResources(host({}))).toEqual({ cpus: 4, memoryMb: 4096, diskGb: 64 });
    expect(defaultResources(host({ cpuCount: 64, memoryBytes: 256 * 1024 ** 3 }))).toMatchObject({
      cpus: 8,
      memoryMb: 8192,
    });
  });

  it('fit on a small host', () => {
    expect(defaultResources(host({ cpuCount: 1, memoryBytes: 2 * 1024 ** 3 }))).toMatchObject({
      cpus: 1,
      memoryMb: 1024,
    });
  });
});
