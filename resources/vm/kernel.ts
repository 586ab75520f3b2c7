/** Takes the uncompressed kernel out of Debian's vmlinuz, which boots seconds faster under emulation than unpacking it there. */
import { spawn } from 'node:child_process';
import { isElf } from './elf.ts';
import type { Arch } from './packages.ts';

const DECOMPRESSORS: { magic: Buffer; command: string[] }[] = [
  { magic: Buffer.from([0x1f, 0x8b]), command: ['gzip', '-dc'] },
  { magic: Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a]), command: ['xz', '-dc', '--single-stream'] },
  { magic: Buffer.from([0x28, 0xb5, 0x2f, 0xfd]), command: ['zstd', '-dc'] },
];

/**
 * x64: the ELF vmlinux, which QEMU enters through its PVH note. arm64: the flat Image.
 * Throws when the file is not laid out as expected.
 */
export async function uncompressedKernel(vmlinuz: Buffer, arch: Arch): Promise<Buffer> {
  const kernel = await (arch === 'x64' ? fromBzImage(vmlinuz) : fromArm64(vmlinuz));
  const ok = arch === 'x64' ? isElf(kernel) && hasPvhNote(kernel) : kernel.toString('latin1', 0x38, 0x3c) === 'ARM\x64';
  if (!ok) throw new Error(`the ${arch} kernel is not one that QEMU can start directly`);
  return kernel;
}

/** Linux's boot protocol (Documentation/arch/x86/boot.rst): where the compressed payload lies in a bzImage. */
async function fromBzImage(image: Buffer): Promise<Buffer> {
  if (image.toString('latin1', 0x202, 0x206) !== 'HdrS') throw new Error('not a bzImage');
  const setupSectors = image.readUInt8(0x1f1) || 4;
  const start = (setupSectors + 1) * 512 + image.readUInt32LE(0x248);
  return decompress(image.subarray(start, start + image.readUInt32LE(0x24c)));
}

/** An Image as it is, gzipped, or inside an EFI zboot wrapper (its header names payload offset and size). */
async function fromArm64(image: Buffer): Promise<Buffer> {
  if (image.toString('latin1', 4, 8) === 'zimg') {
    const start = image.readUInt32LE(8);
    return decompress(image.subarray(start, start + image.readUInt32LE(12)));
  }
  return image.toString('latin1', 0x38, 0x3c) === 'ARM\x64' ? image : decompress(image);
}

/** XEN_ELFNOTE_PHYS32_ENTRY (type 18, owner "Xen"): note header = name size 4, descriptor size 4 or 8, type 18. */
function hasPvhNote(elf: Buffer): boolean {
  return [4, 8].some((size) =>
    elf.includes(Buffer.from([4, 0, 0, 0, size, 0, 0, 0, 18, 0, 0, 0, 0x58, 0x65, 0x6e, 0])),
  );
}

/** Decompresses with the tool that fits the data. The kernel's trailing size word is cut off by the tools themselves. */
export async function decompress(data: Buffer): Promise<Buffer> {
  const [command = '', ...args] =
    DECOMPRESSORS.find(({ magic }) => data.subarray(0, magic.length).equals(magic))?.command ?? [];
  if (!command) throw new Error(`unknown compression, it starts with ${data.toString('hex', 0, 8)}`);
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'ignore'] });
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  child.stdin.on('error', () => {}); // it may stop reading before the end: what follows the stream is not for it
  child.stdin.end(data);
  await new Promise<void>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', () => resolve());
  });
  if (chunks.length === 0) throw new Error(`${command} could not decompress the kernel`);
  return Buffer.concat(chunks);
}
