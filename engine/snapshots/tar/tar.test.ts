import { describe, expect, it } from 'vitest';

import type { TarEntry } from './header.ts';
import { TarReader } from './read.ts';
import { type NewEntry, TAR_END, tarHeader, tarPadding } from './write.ts';

function read(bytes: Buffer, step = bytes.length): { entry: TarEntry; data: string }[] {
  const reader = new TarReader();
  const found: { entry: TarEntry; data: string }[] = [];
  for (let at = 0; at < bytes.length; at += step) {
    for (const event of reader.push(bytes.subarray(at, at + step))) {
      if (event.kind === 'entry') found.push({ entry: event.entry, data: '' });
      else if (event.kind === 'data') (found.at(-1) as { data: string }).data += event.data.toString('latin1');
    }
  }
  reader.finish();
  return found;
}

const write = (entry: NewEntry, data = ''): Buffer =>
  Buffer.concat([tarHeader({ ...entry, size: data.length }), Buffer.from(data, 'latin1'), tarPadding(data.length)]);

describe('tar', () => {
  it.each([1, 100, 511, 512, 513, 100_000])('reads back what it wrote, in pieces of %i bytes', (step) => {
    const long = `${'d'.repeat(90)}/${'e'.repeat(90)}/${'f'.repeat(200)}`;
    const archive = Buffer.concat([
      write({ name: 'dir', type: 'directory', mode: 0o1777 }),
      write({ name: 'dir/file', type: 'file', mode: 0o4755, uid: 1, gid: 3_000_000, mtime: 1_600_000_000 }, 'hello'),
      write({ name: long, type: 'file', mode: 0o644, mtime: -5 }, 'x'.repeat(512)),
      write({ name: `${'p'.repeat(120)}/${'n'.repeat(60)}`, type: 'file', mode: 0 }),
      write({ name: 'link', type: 'symlink', mode: 0o777, linkName: long }),
      write({ name: 'null', type: 'char', mode: 0o666, major: 1, minor: 3 }),
      write({
        name: 'caps',
        type: 'file',
        mode: 0o755,
        xattrs: new Map([['security.capability', Buffer.from([1, 0, 10, 61, 255])]]),
      }),
      TAR_END,
    ]);
    const found = read(archive, step);
    expect(found.map(({ entry }) => entry.name)).toEqual([
      'dir/',
      'dir/file',
      long,
      `${'p'.repeat(120)}/${'n'.repeat(60)}`,
      'link',
      'null',
      'caps',
    ]);
    expect(found[1]).toMatchObject({
      data: 'hello',
      entry: { mode: 0o4755, uid: 1, gid: 3_000_000, mtime: 1_600_000_000 },
    });
    expect(found[2]).toMatchObject({ data: 'x'.repeat(512), entry: { mtime: -5 } });
    expect(found[4]?.entry.linkName).toBe(long);
    expect(found[5]?.entry).toMatchObject({ type: 'char', major: 1, minor: 3 });
    expect(found[6]?.entry.xattrs.get('security.capability')).toEqual(Buffer.from([1, 0, 10, 61, 255]));
  });

  it('reads times with fractions, also before 1970', () => {
    const record = (text: string) => `${text.length + 4} ${text}\n`;
    const pax = (text: string) => {
      const body = Buffer.from(record(text));
      const header = tarHeader({ name: 'x', type: 'file', mode: 0, size: body.length });
      header[156] = 0x78;
      header.write('        ', 148, 'latin1');
      const sum = header.reduce((total, byte) => total + byte, 0);
      header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
      return Buffer.concat([header, body, tarPadding(body.length), write({ name: 'f', type: 'file', mode: 0 })]);
    };
    expect(read(pax('mtime=12.5'))[0]?.entry).toMatchObject({ mtime: 12, mtimeNs: 500_000_000 });
    expect(read(pax('mtime=-1.25'))[0]?.entry).toMatchObject({ mtime: -2, mtimeNs: 750_000_000 });
  });

  it('ends at its end mark, and is broken when cut inside an entry', () => {
    const one = write({ name: 'a', type: 'file', mode: 0 }, 'x'.repeat(600));
    expect(read(Buffer.concat([one, TAR_END, one]))).toHaveLength(1);
    expect(read(one)).toHaveLength(1);
    expect(() => read(one.subarray(0, 800))).toThrow('unexpected EOF');
    expect(() => read(Buffer.from('not a tar'.padEnd(512, 'x')))).toThrow('invalid tar header');
  });
});
