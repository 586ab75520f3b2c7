import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseStanzas } from './apt.ts';
import { cpio } from './cpio.ts';
import { isElf, neededLibraries, withoutSections } from './elf.ts';
import { npmPackages, successor } from './fetch.ts';
import { openVmImage } from './image.ts';
import { readLock } from './lock.ts';
import { type KernelModule, moduleIndexes } from './modules.ts';
import { writeWelcomeImage } from './welcome.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'skiff-parts-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const deb = (name: string) => ({ name, version: '1', arch: 'amd64', filename: 'pool/x.deb', size: 1, sha256: 'a' });

describe('the lock', () => {
  it('pins every package of both architectures by SHA-256, and names no host', async () => {
    const lock = await readLock();
    for (const packages of Object.values(lock.packages)) {
      expect(packages.length).toBeGreaterThan(40);
      for (const pkg of packages) {
        expect(pkg.sha256).toMatch(/^[0-9a-f]{64}$/);
        expect(pkg.filename).toMatch(/^pool\//);
      }
    }
  });

  it("takes Node's and koffi's pins from package-lock.json", async () => {
    for (const pkg of await npmPackages('arm64')) expect(pkg.integrity).toMatch(/^sha512-/);
  });

  it("finds the successor of a package that is gone, also of the kernel's, whose name has its version", () => {
    const now = [deb('linux-image-6.12.200+deb13-amd64'), deb('crun')];
    expect(successor(deb('linux-image-6.12.117+deb13-amd64'), now)).toBe(now[0]);
    expect(successor(deb('crun'), now)).toBe(now[1]);
    expect(() => successor(deb('runc'), now)).toThrow(/no package runc/);
  });
});

describe('the parts of the builder', () => {
  it("read apt's stanzas", () => {
    const text =
      'Package: crun\nVersion: 1.21-1\nArchitecture: amd64\nDescription: x\n more: y\nFilename: pool/c.deb\nSize: 368640\nSHA256: ab\n\n';
    expect(parseStanzas(text)).toEqual([
      { name: 'crun', version: '1.21-1', arch: 'amd64', filename: 'pool/c.deb', size: 368640, sha256: 'ab' },
    ]);
  });

  it('write a cpio archive that the cpio format describes, always the same', () => {
    const entries = [
      { path: 'bin', kind: 'dir' },
      { path: 'bin/tool', kind: 'file', data: Buffer.from('hello'), mode: 0o755 },
      { path: 'bin/sh', kind: 'link', target: 'tool' },
    ] as const;
    const archive = cpio([...entries]);
    expect(archive).toEqual(cpio([...entries]));
    expect(archive.toString('latin1', 0, 6)).toBe('070701');
    expect(archive.length % 4).toBe(0);
    expect(archive.toString('latin1').match(/070701/g)).toHaveLength(4);
    expect(archive.includes('TRAILER!!!')).toBe(true);
  });

  it.runIf(process.platform === 'linux')(
    'find what a program needs, and strip it to what the loader reads: it still runs',
    () => {
      const node = readFileSync(process.execPath);
      expect(isElf(node)).toBe(true);
      expect(neededLibraries(node).join(' ')).toMatch(/libc\.so\.6/);
      const stripped = withoutSections(node);
      expect(neededLibraries(stripped)).toEqual(neededLibraries(node));
      writeFileSync(join(dir, 'node'), stripped, { mode: 0o755 });
      expect(execFileSync(join(dir, 'node'), ['-p', '6*7'], { encoding: 'utf8' }).trim()).toBe('42');
    },
  );

  it('index kernel modules with all that each depends on', () => {
    const module = (name: string, depends: string[]): KernelModule => ({
      name,
      path: `kernel/${name}.ko`,
      data: Buffer.alloc(0),
      depends,
      softPre: [],
      aliases: name === 'bridge' ? ['rtnl-link-bridge'] : [],
    });
    const { dep, alias } = moduleIndexes([module('llc', []), module('stp', ['llc']), module('bridge', ['stp'])]);
    expect(dep.split('\n')).toContain('kernel/bridge.ko: kernel/stp.ko kernel/llc.ko');
    expect(alias).toBe('alias rtnl-link-bridge bridge\n');
  });

  it('make the welcome image the same each time, with an architecture and a command', async () => {
    writeFileSync(join(dir, 'busybox'), 'not really');
    writeFileSync(join(dir, 'page'), '<p>hi');
    for (const name of ['a.tar', 'b.tar']) {
      await writeWelcomeImage(join(dir, name), 'arm64', join(dir, 'busybox'), join(dir, 'page'));
    }
    expect(readFileSync(join(dir, 'a.tar'))).toEqual(readFileSync(join(dir, 'b.tar')));
    const manifest = JSON.parse(
      execFileSync('tar', ['-xOf', join(dir, 'a.tar'), 'manifest.json'], { encoding: 'utf8' }),
    );
    expect(manifest[0].RepoTags).toEqual(['skiff/welcome:latest']);
    const config = JSON.parse(
      execFileSync('tar', ['-xOf', join(dir, 'a.tar'), manifest[0].Config], { encoding: 'utf8' }),
    );
    expect(config).toMatchObject({ architecture: 'arm64', config: { ExposedPorts: { '80/tcp': {} } } });
  });
});

describe('an image that was built before', () => {
  it('is opened by its manifest, as the packaged app does', async () => {
    writeFileSync(join(dir, 'manifest.json'), JSON.stringify({ version: 'v1', arch: 'arm64', files: {} }));
    expect(await openVmImage(dir)).toMatchObject({ version: 'v1', arch: 'arm64', kernel: join(dir, 'kernel') });
    await expect(openVmImage(join(dir, 'none'))).rejects.toThrow();
  });
});
