/** As much of ELF (64 bit, little endian) as the image builder needs: libraries wanted, and kernel modules' own information. */

interface Section {
  name: string;
  offset: number;
  size: number;
}

export function isElf(data: Buffer): boolean {
  return data.length > 64 && data.readUInt32BE(0) === 0x7f454c46 && data[4] === 2 && data[5] === 1;
}

/** The shared libraries (DT_NEEDED) of a program or library; none for a static one. */
export function neededLibraries(data: Buffer): string[] {
  const PT_LOAD = 1;
  const PT_DYNAMIC = 2;
  const headers = programHeaders(data);
  const dynamic = headers.find((header) => header.type === PT_DYNAMIC);
  if (!dynamic) return [];
  const toOffset = (address: number) => {
    const load = headers.find((h) => h.type === PT_LOAD && address >= h.address && address < h.address + h.fileSize);
    return load ? address - load.address + load.offset : -1;
  };
  const needed: number[] = [];
  let strings = -1;
  for (let at = dynamic.offset; at < dynamic.offset + dynamic.fileSize; at += 16) {
    const tag = Number(data.readBigInt64LE(at));
    const value = Number(data.readBigUInt64LE(at + 8));
    if (tag === 0) break;
    if (tag === 1) needed.push(value);
    if (tag === 5) strings = toOffset(value);
  }
  return strings < 0 ? [] : needed.map((offset) => cString(data, strings + offset));
}

/**
 * A program without its section headers and what only they lead to (symbol and debug tables): all that the loader reads stays.
 * Node's binary loses a fifth this way. Returns the data as it is when there is nothing behind the loaded parts.
 */
export function withoutSections(data: Buffer): Buffer {
  const end = Math.max(...programHeaders(data).map((header) => header.offset + header.fileSize));
  if (!Number.isFinite(end) || end >= data.length) return data;
  const stripped = Buffer.from(data.subarray(0, end));
  stripped.writeBigUInt64LE(0n, 0x28); // offset of the section headers
  stripped.writeUInt16LE(0, 0x3c); // their count
  stripped.writeUInt16LE(0, 0x3e); // the section with their names
  return stripped;
}

/** What a kernel module says of itself. */
export interface ModuleInfo {
  depends: string[];
  /** modules to load before it (`softdep: pre`) */
  softPre: string[];
  aliases: string[];
}

/** Reads the .modinfo section of an uncompressed kernel module. */
export function moduleInfo(data: Buffer): ModuleInfo {
  const section = sections(data).find((s) => s.name === '.modinfo');
  if (!section) throw new Error('not a kernel module');
  const entries = data
    .subarray(section.offset, section.offset + section.size)
    .toString('latin1')
    .split('\0')
    .map((entry) => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)] as const);
  const values = (key: string) => entries.filter(([k]) => k === key).map(([, value]) => value);
  return {
    depends: values('depends').flatMap((list) => list.split(',').filter(Boolean)),
    softPre: values('softdep').flatMap((dep) => /pre:\s*([^:]*?)(?:\s+post:|$)/.exec(dep)?.[1]?.split(/\s+/) ?? []),
    aliases: values('alias'),
  };
}

function programHeaders(data: Buffer) {
  const start = Number(data.readBigUInt64LE(0x20));
  const size = data.readUInt16LE(0x36);
  const count = data.readUInt16LE(0x38);
  return Array.from({ length: count }, (_, i) => {
    const at = start + i * size;
    return {
      type: data.readUInt32LE(at),
      offset: Number(data.readBigUInt64LE(at + 8)),
      address: Number(data.readBigUInt64LE(at + 16)),
      fileSize: Number(data.readBigUInt64LE(at + 32)),
    };
  });
}

function sections(data: Buffer): Section[] {
  const start = Number(data.readBigUInt64LE(0x28));
  const size = data.readUInt16LE(0x3a);
  const count = data.readUInt16LE(0x3c);
  const raw = Array.from({ length: count }, (_, i) => {
    const at = start + i * size;
    return {
      nameAt: data.readUInt32LE(at),
      offset: Number(data.readBigUInt64LE(at + 24)),
      size: Number(data.readBigUInt64LE(at + 32)),
    };
  });
  const names = raw[data.readUInt16LE(0x3e)]?.offset ?? 0;
  return raw.map(({ nameAt, offset, size }) => ({ name: cString(data, names + nameAt), offset, size }));
}

function cString(data: Buffer, at: number): string {
  return data.toString('latin1', at, data.indexOf(0, at));
}
