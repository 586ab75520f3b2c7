/** The image `skiff/welcome:latest`, there from the first start, so that the first `docker run` needs no network. */
import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { type Header, pack } from 'tar-stream';
import { WELCOME_APPLETS } from './applets.ts';
import { ARCH_NAMES, type Arch } from './packages.ts';

const EPOCH = new Date(0);
type Entry = Partial<Header> & { name: string } & { data?: Buffer | string };

/**
 * Writes a docker-archive tar (as `docker save` makes: manifest.json, a config, one layer) to `path`.
 * The same inputs always give the same bytes, so the image's ID changes only when its content does.
 */
export async function writeWelcomeImage(path: string, arch: Arch, busybox: string, page: string): Promise<void> {
  const layer = await tar(layerEntries(await readFile(busybox), await readFile(page)));
  const config = JSON.stringify({
    architecture: ARCH_NAMES[arch].debian,
    os: 'linux',
    created: EPOCH.toISOString(),
    config: {
      Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
      // As process 1 httpd itself would ignore the stop signal.
      Cmd: ['sh', '-c', "httpd -f -v -p 80 -h /www & trap 'kill $!' TERM; wait $!"],
      ExposedPorts: { '80/tcp': {} },
      WorkingDir: '/',
      Labels: { 'org.opencontainers.image.title': 'Skiff welcome' },
    },
    rootfs: { type: 'layers', diff_ids: [`sha256:${sha256(layer)}`] },
    history: [{ created: EPOCH.toISOString(), created_by: 'busybox and a page', comment: 'skiff' }],
  });
  const configName = `${sha256(config)}.json`;
  const layerName = `${sha256(layer)}/layer.tar`;
  const manifest = JSON.stringify([{ Config: configName, RepoTags: ['skiff/welcome:latest'], Layers: [layerName] }]);
  await writeFile(
    path,
    await tar([
      { name: configName, data: config },
      { name: `${sha256(layer)}/`, type: 'directory' },
      { name: layerName, data: layer },
      { name: 'manifest.json', data: manifest },
    ]),
  );
}

function layerEntries(busybox: Buffer, page: Buffer): Entry[] {
  const dirs = ['bin', 'dev', 'etc', 'home', 'proc', 'root', 'sys', 'usr', 'usr/bin', 'usr/sbin', 'var', 'www'];
  const account = ['root:x:0:0:root:/root:/bin/sh', 'nobody:x:65534:65534:nobody:/:/bin/false', ''].join('\n');
  return [
    ...dirs.map((name): Entry => ({ name: `${name}/`, type: 'directory', mode: name === 'root' ? 0o700 : 0o755 })),
    { name: 'tmp/', type: 'directory', mode: 0o1777 },
    { name: 'sbin', type: 'symlink', linkname: 'bin' },
    { name: 'bin/busybox', mode: 0o755, data: busybox },
    ...WELCOME_APPLETS.map((name): Entry => ({ name: `bin/${name}`, type: 'symlink', linkname: 'busybox' })),
    { name: 'usr/bin/env', type: 'symlink', linkname: '/bin/busybox' },
    { name: 'etc/passwd', data: account },
    { name: 'etc/group', data: 'root:x:0:\nnogroup:x:65534:\n' },
    { name: 'etc/nsswitch.conf', data: 'hosts: files dns\n' },
    { name: 'www/index.html', data: page },
  ];
}

async function tar(entries: Entry[]): Promise<Buffer> {
  const archive = pack();
  for (const { data, ...header } of entries) {
    archive.entry({ mode: 0o644, mtime: EPOCH, uid: 0, gid: 0, ...header }, data ?? '');
  }
  archive.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of archive) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

const sha256 = (data: Buffer | string) => createHash('sha256').update(data).digest('hex');
