import { constants, type Stats } from 'node:fs';
import {
  type FileHandle,
  lstat,
  mkdir,
  open,
  readdir,
  readlink,
  rename,
  rmdir,
  symlink,
  unlink,
  utimes,
} from 'node:fs/promises';
import { join } from 'node:path';
import ssh2, { type Attributes, type FileEntry, type SFTPWrapper } from 'ssh2';
import { placeOf } from './sftp-paths.ts';

const { STATUS_CODE, OPEN_MODE } = ssh2.utils.sftp;

/** Names in one answer to READDIR. */
const NAMES_AT_ONCE = 128;
/** The largest piece that READ may ask for. */
const READ_LIMIT = 256 * 1024;

type Handle = { readonly file: FileHandle } | { readonly folder: string; readonly names: string[] };

const CODES: Record<string, number> = {
  ENOENT: STATUS_CODE.NO_SUCH_FILE,
  ENOTDIR: STATUS_CODE.NO_SUCH_FILE,
  EACCES: STATUS_CODE.PERMISSION_DENIED,
  EPERM: STATUS_CODE.PERMISSION_DENIED,
  ELOOP: STATUS_CODE.PERMISSION_DENIED,
};

/** Serves one folder of this computer over an SFTP session (draft-ietf-secsh-filexfer-02), and nothing outside of it. */
export function serveFolder(sftp: SFTPWrapper, root: string, platform: NodeJS.Platform = process.platform): void {
  const handles = new Map<number, Handle>();
  let next = 0;

  // In the order of the requests: sshfs opens a file and asks at once what it is like.
  let last: Promise<unknown> = Promise.resolve();
  const answer = (id: number, work: () => Promise<unknown>): void => {
    last = last.then(work).then(
      (done) => {
        if (done !== ANSWERED) sftp.status(id, STATUS_CODE.OK);
      },
      (error: NodeJS.ErrnoException) => {
        sftp.status(id, CODES[error.code ?? ''] ?? STATUS_CODE.FAILURE, error.message);
      },
    );
  };
  const give = (id: number, handle: Handle): typeof ANSWERED => {
    const number = Buffer.alloc(4);
    number.writeUInt32BE(next);
    handles.set(next++, handle);
    sftp.handle(id, number);
    return ANSWERED;
  };
  const held = (handle: Buffer): Handle => {
    const found = handle.length === 4 ? handles.get(handle.readUInt32BE(0)) : undefined;
    if (!found) throw new Error('no such handle');
    return found;
  };
  const fileOf = (handle: Buffer): FileHandle => {
    const found = held(handle);
    if (!('file' in found)) throw new Error('not a file');
    return found.file;
  };
  const tell = async (id: number, path: string): Promise<typeof ANSWERED> => {
    sftp.attrs(id, attributesOf(await lstat(await placeOf(root, path)), platform));
    return ANSWERED;
  };

  sftp.on('OPEN', (id, path, flags, attrs) =>
    answer(id, async () => {
      const place = await placeOf(root, path);
      if (platform === 'win32') await refuseSymlink(place);
      return give(id, { file: await open(place, openFlags(flags), attrs.mode ?? 0o666) });
    }),
  );
  sftp.on('READ', (id, handle, offset, length) =>
    answer(id, async () => {
      const buffer = Buffer.alloc(Math.min(length, READ_LIMIT));
      const { bytesRead } = await fileOf(handle).read(buffer, 0, buffer.length, offset);
      if (bytesRead === 0) sftp.status(id, STATUS_CODE.EOF);
      else sftp.data(id, buffer.subarray(0, bytesRead));
      return ANSWERED;
    }),
  );
  sftp.on('WRITE', (id, handle, offset, data) =>
    answer(id, async () => {
      const file = fileOf(handle);
      for (let done = 0; done < data.length; ) {
        done += (await file.write(data, done, data.length - done, offset + done)).bytesWritten;
      }
    }),
  );
  sftp.on('CLOSE', (id, handle) =>
    answer(id, async () => {
      const found = held(handle);
      handles.delete(handle.readUInt32BE(0));
      if ('file' in found) await found.file.close();
    }),
  );
  sftp.on('FSTAT', (id, handle) =>
    answer(id, async () => {
      sftp.attrs(id, attributesOf(await fileOf(handle).stat(), platform));
      return ANSWERED;
    }),
  );
  sftp.on('LSTAT', (id, path) => answer(id, () => tell(id, path)));
  sftp.on('STAT', (id, path) => answer(id, () => tell(id, path)));
  sftp.on('FSETSTAT', (id, handle, attrs) => answer(id, () => change(fileOf(handle), attrs, platform)));
  sftp.on('SETSTAT', (id, path, attrs) =>
    answer(id, async () => {
      const place = await placeOf(root, path);
      await refuseSymlink(place);
      const info = await lstat(place);
      if (info.isDirectory()) return await setTimes(place, info, attrs);
      const file = await open(place, attrs.size === undefined ? constants.O_RDONLY : constants.O_WRONLY);
      try {
        await change(file, attrs, platform);
      } finally {
        await file.close();
      }
    }),
  );
  sftp.on('OPENDIR', (id, path) =>
    answer(id, async () => {
      const folder = await placeOf(root, path);
      await refuseSymlink(folder);
      return give(id, { folder, names: await readdir(folder) });
    }),
  );
  sftp.on('READDIR', (id, handle) =>
    answer(id, async () => {
      const found = held(handle);
      if (!('names' in found)) throw new Error('not a folder');
      const entries = await Promise.all(
        found.names.splice(0, NAMES_AT_ONCE).map(async (filename): Promise<FileEntry[]> => {
          const info = await lstat(join(found.folder, filename)).catch(() => undefined);
          return info ? [{ filename, longname: filename, attrs: attributesOf(info, platform) }] : [];
        }),
      );
      const names = entries.flat();
      if (names.length > 0 || found.names.length > 0) sftp.name(id, names);
      else sftp.status(id, STATUS_CODE.EOF);
      return ANSWERED;
    }),
  );
  sftp.on('REMOVE', (id, path) => answer(id, async () => unlink(await placeOf(root, path))));
  sftp.on('RMDIR', (id, path) => answer(id, async () => rmdir(await placeOf(root, path))));
  sftp.on('MKDIR', (id, path, attrs) =>
    answer(id, async () => void (await mkdir(await placeOf(root, path), { mode: attrs.mode ?? 0o777 }))),
  );
  sftp.on('RENAME', (id, from, to) =>
    answer(id, async () => rename(await placeOf(root, from), await placeOf(root, to))),
  );
  sftp.on('READLINK', (id, path) =>
    answer(id, async () => {
      const filename = (await readlink(await placeOf(root, path))).replaceAll(platform === 'win32' ? '\\' : '/', '/');
      sftp.name(id, [{ filename, longname: filename, attrs: NO_ATTRIBUTES }]);
      return ANSWERED;
    }),
  );
  // OpenSSH's order, which sshfs follows: first what the link says, then where it is.
  sftp.on('SYMLINK', (id, target, path) => answer(id, async () => symlink(target, await placeOf(root, path))));
  sftp.on('REALPATH', (id, path) => {
    const filename = path === '' || path === '.' ? '/' : path;
    sftp.name(id, [{ filename, longname: filename, attrs: NO_ATTRIBUTES }]);
  });
  sftp.on('EXTENDED', (id) => sftp.status(id, STATUS_CODE.OP_UNSUPPORTED));
  sftp.on('close', () => {
    for (const handle of handles.values()) if ('file' in handle) handle.file.close().catch(() => {});
    handles.clear();
  });
}

/** What an answer other than OK was sent for. */
const ANSWERED = Symbol('answered');

const NO_ATTRIBUTES: Attributes = { mode: 0, uid: 0, gid: 0, size: 0, atime: 0, mtime: 0 };

function attributesOf(info: Stats, platform: NodeJS.Platform): Attributes {
  // Windows has no right to execute that could be asked for.
  const mode = platform === 'win32' ? info.mode | 0o111 : info.mode;
  const seconds = (ms: number) => Math.max(0, Math.floor(ms / 1000));
  return { mode, uid: 0, gid: 0, size: info.size, atime: seconds(info.atimeMs), mtime: seconds(info.mtimeMs) };
}

/** Node's open follows a symlink in the last place unless told otherwise, which Windows can't be. */
async function refuseSymlink(place: string): Promise<void> {
  const info = await lstat(place).catch(() => undefined);
  if (info?.isSymbolicLink()) throw Object.assign(new Error('a symlink'), { code: 'ELOOP' });
}

function openFlags(flags: number): number {
  const reads = (flags & OPEN_MODE.READ) !== 0;
  const writes = (flags & (OPEN_MODE.WRITE | OPEN_MODE.APPEND)) !== 0;
  const has = (flag: number, means: number) => (flags & flag ? means : 0);
  return (
    (writes ? (reads ? constants.O_RDWR : constants.O_WRONLY) : constants.O_RDONLY) |
    has(OPEN_MODE.CREAT, constants.O_CREAT) |
    has(OPEN_MODE.TRUNC, constants.O_TRUNC) |
    has(OPEN_MODE.EXCL, constants.O_EXCL) |
    (constants.O_NOFOLLOW ?? 0) |
    (constants.O_NONBLOCK ?? 0)
  );
}

async function change(file: FileHandle, attrs: Partial<Attributes>, platform: NodeJS.Platform): Promise<void> {
  if (attrs.size !== undefined) await file.truncate(attrs.size);
  // Owners are not changed: what is here is the user's.
  if (attrs.mode !== undefined && platform !== 'win32') await file.chmod(attrs.mode & 0o7777);
  if (attrs.mtime === undefined) return;
  const info = await file.stat();
  if (isNews(info, attrs)) await file.utimes(attrs.atime ?? info.atime, attrs.mtime);
}

async function setTimes(folder: string, info: Stats, attrs: Partial<Attributes>): Promise<void> {
  if (attrs.mtime !== undefined && isNews(info, attrs)) await utimes(folder, attrs.atime ?? info.atime, attrs.mtime);
}

/** A time in whole seconds that the file has already is left with its fraction: that is how watchers are woken. */
const isNews = (info: Stats, attrs: Partial<Attributes>): boolean => Math.floor(info.mtimeMs / 1000) !== attrs.mtime;
