import { detectCompression } from '../../snapshots/compression.ts';
import { TarReader } from '../../snapshots/tar/read.ts';

const ARCHIVE = /^application\/((x-)?(tar|gzip|bzip2?|xz|zstd))$/;
const BLOCK = 512;
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what makes a file no text (WHATWG MIME sniffing).
const BINARY = /[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]/;

/**
 * What a remote context is, by its type; servers that know no better say octet-stream, then its first bytes decide (moby
 * remotecontext inspectResponse).
 */
export function contentKind(type: string, head: Buffer): 'archive' | 'dockerfile' | undefined {
  if (ARCHIVE.test(type)) return 'archive';
  if (type === 'text/plain') return 'dockerfile';
  if (type !== '' && type !== 'application/octet-stream') return undefined;
  if (detectCompression(head) !== 'none' || isTarHeader(head)) return 'archive';
  return BINARY.test(head.toString('latin1')) ? 'archive' : 'dockerfile';
}

export function isTarHeader(bytes: Buffer): boolean {
  if (bytes.length < BLOCK) return false;
  try {
    const reader = new TarReader();
    for (const _event of reader.push(bytes.subarray(0, BLOCK))) return true;
    // A header of long names has no event of its own; a zero block is no archive.
    return bytes[0] !== 0;
  } catch {
    return false;
  }
}
