import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type BootImage, MachineError } from '../machine/types.ts';
import { projectRoot } from './locations.ts';

/**
 * The VM image to boot: the one SKIFF_VM_IMAGE names, the one in the packaged app's resources, or in a checkout the one that
 * belongs to its sources (built when there is none, with `log` telling how far it is).
 */
export async function bootImage(log: (line: string) => void): Promise<BootImage> {
  const resources = (process as { resourcesPath?: string }).resourcesPath;
  const dirs = [process.env.SKIFF_VM_IMAGE, resources && join(resources, 'vm')];
  for (const dir of dirs) if (dir && existsSync(join(dir, 'manifest.json'))) return imageIn(dir);

  const builder = join(projectRoot(), 'resources', 'vm', 'image.ts');
  if (!existsSync(builder)) {
    throw new MachineError('image-corrupt', 'there is no VM image in this installation', {
      hint: 'Install Skiff again.',
    });
  }
  // A checkout's builder is source beside us, not part of the bundle.
  const { ensureVmImage } = (await import(pathToFileURL(builder).href)) as {
    ensureVmImage(options: { log: (line: string) => void }): Promise<BootImage>;
  };
  return ensureVmImage({ log });
}

function imageIn(dir: string): BootImage {
  const { version, arch } = JSON.parse(readFileSync(join(dir, 'manifest.json'), 'utf8')) as BootImage;
  const file = (name: string) => join(dir, name);
  return { version, arch, dir, kernel: file('kernel'), initramfs: file('initramfs'), rootfs: file('root.erofs') };
}
