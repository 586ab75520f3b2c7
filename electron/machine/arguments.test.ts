import { describe, expect, it } from 'vitest';
import { qemuArguments, type VmSpec } from './arguments.ts';

const spec: VmSpec = {
  arch: 'x64',
  accelerators: ['kvm', 'tcg'],
  cpus: 4,
  memoryMb: 4096,
  kernel: '/image/kernel',
  initramfs: '/image/initramfs',
  rootfs: '/image/root.erofs',
  dataDisk: '/home/a/.skiff/machine/data.qcow2',
  qmp: '/home/a/.skiff/machine/qmp.sock',
  control: '/home/a/.skiff/machine/control.sock',
  pipes: false,
  consoleLog: '/home/a/.skiff/machine/console.log',
  engineLog: '/home/a/.skiff/machine/engine.log',
  sharedFolders: [],
  folderTransport: '9p',
  authorizedKey: 'AAAAC3Nz',
  timeZone: 'Europe/Berlin',
};

/** the values that follow an option, in order */
function values(args: string[], option: string): string[] {
  return args.flatMap((arg, i) => (arg === option ? [args[i + 1]!] : []));
}

describe("QEMU's command line", () => {
  it('boots the kernel directly, with the key for sshd on its command line', () => {
    const args = qemuArguments(spec);
    expect(values(args, '-kernel')).toEqual(['/image/kernel']);
    expect(values(args, '-append')[0]).toContain('skiff.authkey=AAAAC3Nz skiff.zone=Europe/Berlin');
    expect(values(args, '-append')[0]).toContain('console=ttyS0');
  });

  it('tries the accelerators in order, and keeps the translation cache of emulation small', () => {
    expect(values(qemuArguments(spec), '-accel')).toEqual(['kvm', 'tcg,thread=multi,tb-size=128']);
  });

  it('gives freed blocks and freed memory back to the host', () => {
    const args = qemuArguments(spec).join(' ');
    expect(args).toContain('discard=unmap,detect-zeroes=unmap');
    expect(args).toContain('free-page-reporting=on');
  });

  it('opens sshd on 127.0.0.1 only, on a port that QEMU chooses', () => {
    expect(values(qemuArguments(spec), '-netdev')[0]).toMatch(/hostfwd=tcp:127\.0\.0\.1:0-:\d+$/);
  });

  it('mounts the root read-only before the data disk, since the guest knows them by their order', () => {
    const drives = values(qemuArguments(spec), '-drive');
    expect(drives[0]).toContain('id=root,format=raw,readonly=on');
    expect(drives[1]).toContain('id=data');
  });

  it("keeps the CPU's side-channel mitigations where there is a real CPU", () => {
    expect(values(qemuArguments(spec), '-append')[0]).not.toContain('mitigations');
    expect(values(qemuArguments({ ...spec, accelerators: ['tcg'] }), '-append')[0]).toContain('mitigations=off');
  });

  it('uses the virt machine and its console on arm64', () => {
    const args = qemuArguments({ ...spec, arch: 'arm64', accelerators: ['hvf', 'tcg'] });
    expect(values(args, '-machine')).toEqual(['virt']);
    expect(values(args, '-append')[0]).toContain('console=ttyAMA0');
    expect(values(qemuArguments({ ...spec, arch: 'arm64', accelerators: ['tcg'] }), '-cpu')).toEqual([
      'max,pauth-impdef=on',
    ]);
  });

  it('talks over named pipes on Windows', () => {
    const args = qemuArguments({ ...spec, pipes: true, qmp: 'skiff-1-qmp', control: 'skiff-1-control' });
    expect(values(args, '-chardev')).toContain('pipe,id=qmp,path=skiff-1-qmp');
  });

  it('doubles commas in paths, which would end an option', () => {
    expect(values(qemuArguments({ ...spec, dataDisk: '/a,b/data.qcow2' }), '-drive')[1]).toContain(
      'file=/a,,b/data.qcow2',
    );
  });

  it('give the guest each folder by its number, and their paths on its command line', () => {
    const args = qemuArguments({ ...spec, sharedFolders: ['/home/a,b', '/srv'] }).join(' ');
    expect(args).toContain('local,id=folder0,path=/home/a,,b,security_model=none');
    expect(args).toContain('virtio-9p-pci,fsdev=folder1,mount_tag=folder1');
    const encoded = /skiff\.folders=(\S+)/.exec(args)?.[1] ?? '';
    expect(Buffer.from(encoded, 'base64').toString()).toBe('/home/a,b\n/srv');
  });
});

it('folders that the app serves by SFTP are told to the guest, and are no devices', () => {
  const args = qemuArguments({ ...spec, sharedFolders: ['C:\\Users\\me'], folderTransport: 'sftp' }).join(' ');
  expect(args).not.toContain('9p');
  expect(args).toContain('skiff.sftp');
  const encoded = /skiff\.folders=(\S+)/.exec(args)?.[1] ?? '';
  expect(Buffer.from(encoded, 'base64').toString()).toBe('C:\\Users\\me');
});
