/** Writes the initramfs: a cpio archive in the "newc" format (Documentation/driver-api/early-userspace/buffer-format.rst). */

export type CpioEntry =
  | { path: string; kind: 'dir' }
  | { path: string; kind: 'file'; data: Buffer; mode: number }
  | { path: string; kind: 'link'; target: string }
  | { path: string; kind: 'char'; major: number; minor: number };

const TYPE = { dir: 0o040755, file: 0o100000, link: 0o120777, char: 0o020600 } as const;

/** Paths without a leading slash; parents must come before children. The same entries always give the same bytes. */
export function cpio(entries: CpioEntry[]): Buffer {
  const parts: Buffer[] = [];
  entries.forEach((entry, index) => {
    const data = entry.kind === 'file' ? entry.data : Buffer.from(entry.kind === 'link' ? entry.target : '', 'utf8');
    const mode = TYPE[entry.kind] | (entry.kind === 'file' ? entry.mode : 0);
    const device = entry.kind === 'char' ? [entry.major, entry.minor] : [0, 0];
    parts.push(...member(entry.path, index + 1, mode, data, device));
  });
  parts.push(...member('TRAILER!!!', 0, 0, Buffer.alloc(0), [0, 0]));
  return Buffer.concat(parts);
}

function member(path: string, inode: number, mode: number, data: Buffer, device: number[]): Buffer[] {
  const name = Buffer.from(`${path}\0`, 'utf8');
  const links = (mode & 0o170000) === 0o040000 ? 2 : 1;
  const [major = 0, minor = 0] = device;
  const fields = [inode, mode, 0, 0, links, 0, data.length, 0, 0, major, minor, name.length, 0];
  const header = Buffer.from(`070701${fields.map((n) => n.toString(16).padStart(8, '0')).join('')}`, 'latin1');
  return [header, name, padding(header.length + name.length), data, padding(data.length)];
}

const padding = (length: number) => Buffer.alloc((4 - (length % 4)) % 4);
